//! Another protocol on the sockets and the nominated pair of a peer connection (RFC 7983, RFC 9443).
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::ErrorKind;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use peers::transport::Transport;
use peers::transport::webrtc::{DatagramLane, LaneError, WebRtcAttempt, WebRtcConfig, WebRtcNegotiation};
use peers_proto::limits;

const SOON: Duration = Duration::from_secs(5);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.unwrap_or_else(|_| panic!("not within {SOON:?}"))
}

async fn connected() -> [(Transport, WebRtcNegotiation); 2] {
    let config = WebRtcConfig { include_loopback: true, ..WebRtcConfig::default() };
    let offering = WebRtcAttempt::offer(&config).await.unwrap();
    let answering = WebRtcAttempt::answer(&config, &offering.sdp).await.unwrap();
    offering.negotiation.set_remote_answer(&answering.sdp).await.unwrap();
    let (a, b) = tokio::join!(offering.connecting.connected(), answering.connecting.connected());
    [(a.unwrap(), offering.negotiation), (b.unwrap(), answering.negotiation)]
}

async fn send(lane: &DatagramLane, contents: &[u8], segment_size: Option<usize>) {
    while let Err(error) = lane.try_send(contents, segment_size) {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        lane.writable().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_carries_datagrams_both_ways_beside_the_data_channel() {
    let [(mut a, a_end), (mut b, b_end)] = within(connected()).await;
    let (mut a_lane, mut b_lane) = (a_end.lane().await.unwrap(), b_end.lane().await.unwrap());
    // Every first byte of QUIC's, those among them that a TURN server's channel data begins with.
    for first in (64..=127).chain(192..=255) {
        send(&a_lane, &[first, 1], None).await;
        assert_eq!(within(b_lane.recv()).await.unwrap(), [first, 1][..]);
        send(&b_lane, &[first, 2], None).await;
        assert_eq!(within(a_lane.recv()).await.unwrap(), [first, 2][..]);
        a.sink.send(BytesMut::from(&[first][..])).await.unwrap();
        b.sink.send(BytesMut::from(&[first][..])).await.unwrap();
    }
    for first in (64..=127).chain(192..=255) {
        assert_eq!(within(b.source.recv()).await.unwrap(), [first][..]);
        assert_eq!(within(a.source.recv()).await.unwrap(), [first][..]);
    }
    // One call, several datagrams.
    send(&a_lane, &[200; 2500], Some(1000)).await;
    let mut sizes = Vec::new();
    for _ in 0..3 {
        sizes.push(within(b_lane.recv()).await.as_ref().map(Bytes::len).unwrap());
    }
    assert_eq!(sizes, [1000, 1000, 500]);
    for end in [a_end, b_end] {
        let counters = end.counters();
        assert_eq!((counters.datagrams_refused, counters.lane_datagrams_dropped), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_lane_takes_is_dropped_and_counted() {
    let [(a, a_end), (b, b_end)] = within(connected()).await;
    let a_lane = a_end.lane().await.unwrap();
    assert_eq!(a_end.lane().await.unwrap_err(), LaneError::Taken);
    // Nobody listens.
    send(&a_lane, &[255], None).await;
    within(until(|| b_end.counters().datagrams_refused == 1)).await;
    // Nobody reads.
    let mut b_lane = b_end.lane().await.unwrap();
    let sent = limits::LANE_QUEUE as u64 + 100;
    for n in 0..sent {
        send(&a_lane, &[255; 8], None).await;
        // Paced, so that none is lost on the way.
        within(until(|| b_end.counters().datagrams_received >= n)).await;
    }
    within(until(|| b_end.counters().lane_datagrams_dropped == 100)).await;
    for _ in 0..limits::LANE_QUEUE {
        assert_eq!(within(b_lane.recv()).await.unwrap(), [255; 8][..]);
    }
    // Who lets go makes room.
    drop(b_lane);
    let mut b_lane = b_end.lane().await.unwrap();
    send(&a_lane, &[254], None).await;
    assert_eq!(within(b_lane.recv()).await.unwrap(), [254][..]);
    drop((a, b));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_peer_would_take_for_its_stack_is_not_sent() {
    let [(_a, a_end), (_b, _)] = within(connected()).await;
    let lane = a_end.lane().await.unwrap();
    for first in [0, 22, 63, 128, 191] {
        assert_eq!(lane.try_send(&[first], None).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    let mut segments = [255; 16];
    segments[8] = 22;
    assert_eq!(lane.try_send(&segments, Some(8)).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(lane.try_send(&[], None).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_ends_with_its_connection() {
    let [(mut a, a_end), (_b, _)] = within(connected()).await;
    let mut lane = a_end.lane().await.unwrap();
    within(a.sink.close()).await;
    assert_eq!(within(lane.recv()).await, None);
    assert_eq!(lane.try_send(&[255], None).unwrap_err().kind(), ErrorKind::NotConnected);
    let config = WebRtcConfig { include_loopback: true, ..WebRtcConfig::default() };
    let unconnected = WebRtcAttempt::offer(&config).await.unwrap();
    assert_eq!(unconnected.negotiation.lane().await.unwrap_err(), LaneError::NotConnected);
}

/// Waits for what the counters show: they wake nobody.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}
