//! The data path through the relay.

use std::time::{Duration, Instant};

use bytes::Bytes;
use peers_proto::id::DeviceId;
use peers_proto::limits::{MAX_FRAME, MAX_RELAY_FRAME};
use peers_proto::signaling::{ErrorCode, RelayCloseReason, RelayFrame, ServerMessage};
use peers_relay::Limits;

use crate::device::{Device, Received, connection_id, relay, relay_with};

fn data(peer: DeviceId, connection: u8, frame: &[u8]) -> RelayFrame {
    RelayFrame::Data { peer, connection: connection_id(connection), frame: Bytes::copy_from_slice(frame) }
}

fn close(peer: DeviceId, connection: u8, reason: RelayCloseReason) -> RelayFrame {
    RelayFrame::Close { peer, connection: connection_id(connection), reason }
}

#[tokio::test]
async fn frames_go_both_ways_in_order_with_the_senders_name() {
    let relay = relay().await;
    let (mut a, mut b) = (Device::arrive(&relay, 1).await, Device::arrive(&relay, 2).await);
    for n in 0..100u8 {
        a.send_frame(b.id, 1, &[n]).await;
        b.send_frame(a.id, 1, &[n, n]).await;
    }
    for n in 0..100u8 {
        assert_eq!(b.socket.frame().await, data(a.id, 1, &[n]));
        assert_eq!(a.socket.frame().await, data(b.id, 1, &[n, n]));
    }
    assert_eq!(relay.stats().relay_connections, 1);
}

#[tokio::test]
async fn a_close_follows_the_data_and_ends_the_connection() {
    let relay = relay().await;
    let (mut a, mut b) = (Device::arrive(&relay, 1).await, Device::arrive(&relay, 2).await);
    a.send_frame(b.id, 1, b"last words").await;
    a.socket.send_bytes(close(b.id, 1, RelayCloseReason::Closed).encode()).await;
    assert_eq!(b.socket.frame().await, data(a.id, 1, b"last words"));
    assert_eq!(b.socket.frame().await, close(a.id, 1, RelayCloseReason::Closed));
    // Late frames of it go nowhere, and cause no message.
    b.send_frame(a.id, 1, b"late").await;
    b.socket.settle().await;
    a.socket.settle().await;
    assert_eq!(relay.stats().relay_connections, 0);
}

#[tokio::test]
async fn an_absent_peer_closes_the_connection() {
    let relay = relay().await;
    let mut a = Device::arrive(&relay, 1).await;
    let nobody = DeviceId::derive(b"nobody");
    a.send_frame(nobody, 1, b"hello?").await;
    assert_eq!(a.socket.frame().await, close(nobody, 1, RelayCloseReason::Absent));
}

#[tokio::test]
async fn a_peer_that_leaves_or_registers_anew_ends_its_relayed_connections() {
    let relay = relay().await;
    let (mut a, mut b) = (Device::arrive(&relay, 1).await, Device::arrive(&relay, 2).await);
    a.send_frame(b.id, 1, b"x").await;
    assert_eq!(b.socket.frame().await, data(a.id, 1, b"x"));
    // The newer registration never sees the middle of a connection.
    let mut newer = Device::arrive(&relay, 2).await;
    assert_eq!(a.socket.frame().await, close(b.id, 1, RelayCloseReason::Absent));
    a.send_frame(b.id, 1, b"late").await;
    a.send_frame(b.id, 2, b"fresh").await;
    assert_eq!(newer.socket.frame().await, data(a.id, 2, b"fresh"));
    drop(newer);
    assert_eq!(a.socket.frame().await, close(b.id, 2, RelayCloseReason::Absent));
}

#[tokio::test]
async fn a_full_queue_closes_the_connection_at_both_ends_and_spares_the_others() {
    let limits = Limits { relay_queue_bytes: 8 << 20, ..Limits::default() };
    let relay = relay_with(limits).await;
    let mut fast = Device::arrive(&relay, 1).await;
    let mut other = Device::arrive(&relay, 2).await;
    let mut slow = Device::arrive(&relay, 3).await;
    other.send_frame(slow.id, 2, b"before").await;
    other.socket.settle().await;
    // `slow` does not read: the socket buffers fill, then the relay's queue.
    let frame =
        RelayFrame::Data { peer: slow.id, connection: connection_id(1), frame: vec![0; MAX_FRAME].into() };
    let frame = frame.encode();
    let mut sent = 0;
    while relay.stats().relay_overflows == 0 {
        for _ in 0..64 {
            fast.socket.feed_bytes(frame.clone()).await;
        }
        fast.socket.flush().await;
        sent += 64;
        assert!(sent < 100_000, "nothing overflows");
    }
    assert_eq!(fast.socket.frame().await, close(slow.id, 1, RelayCloseReason::Overflow));
    other.send_frame(slow.id, 2, b"after").await;

    assert_eq!(slow.socket.frame().await, data(other.id, 2, b"before"));
    let mut received = 0;
    loop {
        match slow.socket.frame().await {
            RelayFrame::Data { peer, .. } if peer == fast.id => received += 1,
            end => break assert_eq!(end, close(fast.id, 1, RelayCloseReason::Overflow)),
        }
    }
    assert!(received < sent, "what was queued is gone, and both know");
    assert_eq!(slow.socket.frame().await, data(other.id, 2, b"after"));
}

#[tokio::test]
async fn a_rate_limit_delays_and_loses_nothing() {
    let rate = 1 << 20;
    let limits = Limits { relay_bytes_per_second: rate, relay_burst: 64 << 10, ..Limits::default() };
    let relay = relay_with(limits).await;
    let (mut a, mut b) = (Device::arrive(&relay, 1).await, Device::arrive(&relay, 2).await);
    let started = Instant::now();
    let frames = 64u8; // 1 MiB
    for n in 0..frames {
        a.send_frame(b.id, 1, &[n; MAX_FRAME]).await;
    }
    for n in 0..frames {
        assert_eq!(b.socket.frame().await, data(a.id, 1, &[n; MAX_FRAME]));
    }
    // All but the burst and the last frame have to wait.
    assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
}

#[tokio::test]
async fn too_many_relayed_connections_are_refused_one_by_one() {
    let limits = Limits { relay_connections: 2, ..Limits::default() };
    let relay = relay_with(limits).await;
    let (mut a, mut b) = (Device::arrive(&relay, 1).await, Device::arrive(&relay, 2).await);
    for n in 1..=3 {
        a.send_frame(b.id, n, b"x").await;
    }
    assert_eq!(a.socket.frame().await, close(b.id, 3, RelayCloseReason::TooMany));
    for n in 1..=2 {
        assert_eq!(b.socket.frame().await, data(a.id, n, b"x"));
    }
    b.socket.settle().await;
}

#[tokio::test]
async fn bytes_that_are_no_relay_frame_end_the_socket() {
    let relay = relay().await;
    let peer = DeviceId::derive(b"b");
    for bytes in [Bytes::new(), vec![9; 40].into(), data(peer, 1, &vec![0; MAX_RELAY_FRAME + 1]).encode()] {
        let mut a = Device::arrive(&relay, 1).await;
        a.socket.send_bytes(bytes).await;
        let error = a.socket.event().await;
        assert!(matches!(error, ServerMessage::Error { code: ErrorCode::Malformed, .. }), "{error:?}");
        assert!(matches!(a.socket.receive().await, Received::Closed(Some(_))));
    }
}
