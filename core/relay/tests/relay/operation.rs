//! Limits, bad input, many devices, metrics, shutdown.

use std::time::{Duration, Instant};

use peers_proto::limits::MAX_SIGNALING;
use peers_proto::signaling::{ClientMessage, ErrorCode, ExchangeKind, ServerMessage, close_code};
use peers_relay::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::device::{Device, Received, Socket, relay, relay_with};

async fn get(relay: &peers_relay::Relay, path: &str) -> String {
    let mut tcp = TcpStream::connect(relay.local_addr()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn expect_error(socket: &mut Socket, expected: ErrorCode) {
    let event = socket.event().await;
    assert!(matches!(event, ServerMessage::Error { code, .. } if code == expected), "{event:?}");
}

#[tokio::test]
async fn garbage_is_answered_and_ends_the_socket() {
    let relay = relay().await;
    for text in ["", "{", "[]", "\0", r#"{"event":"offer"}"#, r#"{"event":7}"#] {
        let mut a = Device::register(&relay, 1).await;
        a.socket.send_text(text).await;
        expect_error(&mut a.socket, ErrorCode::Malformed).await;
        assert_eq!(a.socket.closed().await, Some(close_code::POLICY), "{text:?}");
    }
}

#[tokio::test]
async fn an_unknown_event_is_answered_and_the_socket_stays() {
    let relay = relay().await;
    let mut a = Device::register(&relay, 1).await;
    a.socket.send_text(r#"{"event":"teleport"}"#).await;
    expect_error(&mut a.socket, ErrorCode::UnknownEvent).await;
    a.socket.settle().await;
}

#[tokio::test]
async fn an_oversized_message_ends_the_socket() {
    let relay = relay().await;
    let mut a = Device::register(&relay, 1).await;
    a.socket.send_text(&" ".repeat(MAX_SIGNALING + 1)).await;
    expect_error(&mut a.socket, ErrorCode::TooLarge).await;
    assert_eq!(a.socket.closed().await, Some(close_code::TOO_LARGE));

    // Far above, it is not even read.
    let mut b = Device::register(&relay, 2).await;
    b.socket.send_text(&" ".repeat(3 * MAX_SIGNALING)).await;
    assert_eq!(b.socket.closed().await, None);
}

#[tokio::test]
async fn too_many_messages_are_delayed_not_dropped() {
    let limits = Limits { messages_per_second: 100, messages_burst: 10, ..Limits::default() };
    let relay = relay_with(limits).await;
    let (mut a, mut b) = (Device::arrive(&relay, 1).await, Device::arrive(&relay, 2).await);
    let started = Instant::now();
    let mut sent = Vec::new();
    for _ in 0..60 {
        sent.push(a.say(ExchangeKind::IceCandidate, b.id, 1, "eA==").await);
    }
    for exchange in sent {
        assert_eq!(b.socket.event().await, ServerMessage::IceCandidate(exchange));
    }
    assert!(started.elapsed() >= Duration::from_millis(480), "{:?}", started.elapsed());
}

#[tokio::test]
async fn one_address_gets_no_more_than_its_sockets() {
    let relay = relay_with(Limits { max_sockets_per_ip: 2, ..Limits::default() }).await;
    let mut a = Device::register(&relay, 1).await;
    let b = Device::register(&relay, 2).await;
    let mut third = Socket::dial(&relay).await;
    expect_error(&mut third, ErrorCode::Full).await;
    assert_eq!(third.closed().await, Some(close_code::TRY_LATER));

    // A place that becomes free can be taken.
    a.socket.send(ClientMessage::Watch { device_ids: vec![b.id], open: false }).await;
    let mut b = b;
    b.socket.send(ClientMessage::Watch { device_ids: vec![a.id], open: false }).await;
    assert_eq!(a.socket.event().await, ServerMessage::DeviceOnline { device_id: b.id });
    drop(b);
    assert!(matches!(a.socket.event().await, ServerMessage::DeviceOffline { .. }));
    while relay.stats().sockets > 1 {
        tokio::task::yield_now().await;
    }
    Device::register(&relay, 3).await;
}

#[tokio::test]
async fn a_ping_is_answered() {
    let relay = relay().await;
    let mut a = Device::register(&relay, 1).await;
    a.socket.ping().await;
}

// RFC 6455 section 5.5.1
#[tokio::test]
async fn a_close_is_answered_and_the_device_is_gone_at_once() {
    let relay = relay().await;
    let mut a = Device::register(&relay, 1).await;
    a.socket.close().await;
    assert_eq!(a.socket.closed().await, Some(close_code::NORMAL));
    assert_eq!(relay.stats().devices, 0);
}

// RFC 6455 section 7.1.1: a descriptor is not held for what both ends have closed.
#[tokio::test]
async fn tcp_ends_with_the_second_close_frame_and_not_later() {
    let relay = relay().await;
    let (mut leaves, mut errs) = (Device::register(&relay, 1).await, Device::register(&relay, 2).await);
    let begun = Instant::now();
    leaves.socket.close().await;
    errs.socket.send_text("{").await;
    expect_error(&mut errs.socket, ErrorCode::Malformed).await;
    for mut socket in [leaves.socket, errs.socket] {
        assert!(socket.closed().await.is_some());
        assert_eq!(socket.closed().await, None);
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_device_that_sends_nothing_more_still_hears_the_last_words() {
    let relay = relay().await;
    for _ in 0..50 {
        let mut socket = Socket::dial(&relay).await;
        socket.challenge().await;
        socket.close_and_end().await;
        assert_eq!(socket.closed().await, Some(close_code::NORMAL));
    }
}

#[tokio::test]
async fn a_silent_socket_is_closed() {
    let relay = relay_with(Limits { idle_seconds: 0, ..Limits::default() }).await;
    let mut socket = Socket::dial(&relay).await;
    socket.challenge().await;
    // Zero seconds of silence are allowed, and the sweep comes within five.
    assert_eq!(socket.closed().await, Some(close_code::NORMAL));
    assert_eq!(relay.stats().idle, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_devices_register_at_once_and_reach_each_other() {
    let relay = relay_with(Limits { max_sockets_per_ip: 1000, ..Limits::default() }).await;
    let mut tasks = JoinSet::new();
    let relay = std::sync::Arc::new(relay);
    for seed in 0..500 {
        let relay = relay.clone();
        tasks.spawn(async move { Device::arrive(&relay, seed).await });
    }
    let mut devices = tasks.join_all().await;
    assert_eq!(relay.stats().devices, 500);
    let ids: Vec<_> = devices.iter().map(|d| d.id).collect();
    let mut sent = Vec::new();
    for (n, device) in devices.iter_mut().enumerate() {
        sent.push(device.say(ExchangeKind::Offer, ids[(n + 1) % 500], 1, "eA==").await);
    }
    for (n, exchange) in sent.into_iter().enumerate() {
        assert_eq!(devices[(n + 1) % 500].socket.event().await, ServerMessage::Offer(exchange));
    }
    drop(devices);
    while relay.stats().sockets > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(relay.stats().devices, 0);
}

#[tokio::test]
async fn health_and_metrics_speak_http() {
    let relay = relay().await;
    assert!(get(&relay, "/health").await.starts_with("HTTP/1.1 200 OK"));
    let _a = Device::register(&relay, 1).await;
    let text = get(&relay, "/metrics").await;
    assert!(text.contains("# TYPE peers_relay_devices gauge\npeers_relay_devices 1\n"), "{text}");
    assert!(
        text.contains("# TYPE peers_relay_registrations_total counter\npeers_relay_registrations_total 1\n")
    );
    assert!(get(&relay, "/v2").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn two_relays_in_one_process_count_apart() {
    let (one, two) = (relay().await, relay().await);
    let _a = Device::register(&one, 1).await;
    assert!(get(&one, "/metrics").await.contains("\npeers_relay_devices 1\n"));
    assert!(get(&two, "/metrics").await.contains("\npeers_relay_devices 0\n"));
}

#[tokio::test]
async fn shutdown_tells_devices_and_delivers_what_waits() {
    let relay = relay().await;
    let (mut a, mut b) = (Device::arrive(&relay, 1).await, Device::arrive(&relay, 2).await);
    let offer = a.say(ExchangeKind::Offer, b.id, 1, "eA==").await;
    a.socket.settle().await;
    let ends = async {
        assert_eq!(b.socket.event().await, ServerMessage::Offer(offer));
        for socket in [&mut a.socket, &mut b.socket] {
            expect_error(socket, ErrorCode::ShuttingDown).await;
            assert_eq!(socket.closed().await, Some(close_code::GOING_AWAY));
            assert_eq!(socket.receive().await, Received::Closed(None));
        }
    };
    let addr = relay.local_addr();
    tokio::join!(relay.shutdown(), ends);
    assert!(TcpStream::connect(addr).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_dropped_relay_leaves_nothing_listening() {
    let relay = relay().await;
    let mut a = Device::register(&relay, 1).await;
    drop(relay);
    assert_eq!(a.socket.receive().await, Received::Closed(None));
}
