//! A hostile device among honest ones, on real sockets.

use std::time::{Duration, Instant};

use peers_proto::id::DeviceId;
use peers_proto::limits::MAX_FRAME;
use peers_proto::signaling::{
    ClientMessage, ExchangeKind, Knock, MessageId, RelayCloseReason, RelayFrame, ServerMessage,
};
use peers_relay::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::device::{Device, connection_id, relay, relay_with};

/// A flood that no rate holds back: what is full, not how fast it fills, is at issue.
const BURST: u64 = 1 << 20;

#[tokio::test]
async fn a_strangers_messages_and_frames_do_not_arrive_and_a_knock_does() {
    let relay = relay().await;
    let mut stranger = Device::arrive(&relay, 1).await;
    let mut victim = Device::register(&relay, 2).await;
    victim.watch(&[]).await;
    victim.socket.settle().await;
    stranger.say(ExchangeKind::Offer, victim.id, 1, "eA==").await;
    stranger.send_frame(victim.id, 1, b"let me in").await;
    let (peer, connection, reason) = (victim.id, connection_id(1), RelayCloseReason::Absent);
    assert_eq!(stranger.socket.frame().await, RelayFrame::Close { peer, connection, reason });
    stranger.socket.send(ClientMessage::GetCertificate { device_id: victim.id }).await;
    let unknown = ServerMessage::Certificate { device_id: victim.id, certificate: None };
    assert_eq!(stranger.socket.event().await, unknown);
    victim.socket.settle().await;

    let knock = Knock {
        connection_id: connection_id(1),
        from_device_id: DeviceId::derive(b"somebody else"),
        to_device_id: victim.id,
        message_id: MessageId::from_bytes([1; 16]),
        knock: b"it is me".to_vec(),
        queued: false,
    };
    stranger.socket.send(ClientMessage::Knock(knock.clone())).await;
    let stamped = Knock { from_device_id: stranger.id, ..knock };
    assert_eq!(victim.socket.event().await, ServerMessage::Knock(stamped));
    stranger.socket.settle().await;
}

#[tokio::test]
async fn a_flood_of_messages_does_not_throw_a_slow_device_off() {
    let relay = relay_with(Limits { messages_burst: BURST, ..Limits::default() }).await;
    let mut flood = Device::arrive(&relay, 1).await;
    let victim = Device::arrive(&relay, 2).await;
    // The victim reads nothing meanwhile: what the kernel does not take waits at the relay.
    let envelope = "A".repeat(40_000);
    for _ in 0..480 {
        flood.say(ExchangeKind::IceCandidate, victim.id, 1, &envelope).await;
    }
    flood.socket.settle().await;
    let stats = relay.stats();
    assert_eq!((stats.too_slow, stats.devices), (0, 2), "{stats:?}");
    assert!(stats.queued_bytes < 4 << 20, "{stats:?}");
}

#[tokio::test]
async fn a_full_queue_costs_the_device_that_filled_it_and_no_other() {
    let relay = relay().await;
    let mut flood = Device::arrive(&relay, 1).await;
    let mut honest = Device::arrive(&relay, 2).await;
    let mut victim = Device::arrive(&relay, 3).await;
    let frame =
        RelayFrame::Data { peer: victim.id, connection: connection_id(1), frame: vec![0; MAX_FRAME].into() };
    let frame = frame.encode();
    // What fits: all but the honest device's frame fills the queue to the brim.
    let brim = (peers_relay::Limits::default().relay_queue_bytes - 256 * 1024) as u64;
    let mut turns = 0;
    while relay.stats().relay_queued_bytes < brim && relay.stats().relay_overflows == 0 {
        for _ in 0..8 {
            flood.socket.feed_bytes(frame.clone()).await;
        }
        flood.socket.flush().await;
        flood.socket.settle().await;
        turns += 1;
        assert!(turns < 10_000, "the queue does not fill");
    }
    // Now the honest device brings more than is left.
    for n in 0..32 {
        honest.send_frame(victim.id, 2, &[n; MAX_FRAME]).await;
    }
    honest.socket.settle().await;
    let mut arrived = 0;
    while arrived < 32 {
        match victim.socket.frame().await {
            RelayFrame::Data { peer, .. } if peer == honest.id => arrived += 1,
            RelayFrame::Close { peer, .. } => assert_eq!(peer, flood.id),
            RelayFrame::Data { .. } => {}
        }
    }
}

#[tokio::test]
async fn one_sender_does_not_fill_the_offline_queue_of_all() {
    let relay = relay_with(Limits { messages_burst: BURST, ..Limits::default() }).await;
    let mut honest = Device::arrive(&relay, 1).await;
    let envelope = "A".repeat(60_000);
    for seed in 2..6 {
        let mut flood = Device::arrive(&relay, seed).await;
        for n in 0..400u16 {
            let to = DeviceId::derive(&[seed.to_be_bytes(), n.to_be_bytes()].concat());
            flood.say(ExchangeKind::IceCandidate, to, 1, &envelope).await;
        }
        flood.socket.settle().await;
    }
    let late = crate::device::keys(9).device_id();
    // As big as those that found no more room.
    let sent = honest.say(ExchangeKind::Offer, late, 1, &envelope).await;
    honest.socket.settle().await;
    let mut late = Device::register(&relay, 9).await;
    late.watch(&[honest.id]).await;
    let event = tokio::time::timeout(Duration::from_secs(5), late.socket.event()).await;
    assert!(matches!(event, Ok(ServerMessage::Offer(e)) if e.message_id == sent.message_id));
}

#[tokio::test]
async fn half_a_request_does_not_hold_a_descriptor() {
    const REQUESTS: usize = 300;
    let relay = relay().await;
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for n in 0..REQUESTS {
        let mut tcp = TcpStream::connect(relay.local_addr()).await.unwrap();
        // From nothing at all to all but the last line.
        let request = b"GET /v1 HTTP/1.1\r\nHost: relay\r\nConnection: upgrade\r\n";
        tcp.write_all(&request[..n % request.len()]).await.unwrap();
        tasks.spawn(async move {
            let mut answer = Vec::new();
            let end = tokio::time::timeout(Duration::from_secs(15), tcp.read_to_end(&mut answer)).await;
            end.is_ok()
        });
    }
    assert_eq!(relay.stats().sockets, 0);
    while let Some(closed) = tasks.join_next().await {
        assert!(closed.unwrap(), "still open after {:?}", started.elapsed());
    }
    // An answered request does not keep its connection either.
    let mut tcp = TcpStream::connect(relay.local_addr()).await.unwrap();
    tcp.write_all(b"GET /health HTTP/1.1\r\nHost: relay\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(5), tcp.read_to_string(&mut answer)).await;
    assert!(read.is_ok() && answer.ends_with("ok\n"), "{answer}");
}
