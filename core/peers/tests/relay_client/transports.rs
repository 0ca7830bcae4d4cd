use std::sync::Arc;

use bytes::BytesMut;
use peers::relay_client::{RelayError, RelayEvent};
use peers::transport::{CloseReason, Transport, TransportKind};
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::limits;
use peers_relay::{Limits, Relay};
use tokio::sync::Semaphore;

use super::{Device, Online, acquainted, connection, relay, relay_config, soon};

/// A relay that does not slow anybody down.
async fn fast_relay() -> Relay {
    let limits = Limits {
        relay_bytes_per_second: 1 << 30,
        relay_burst: 1 << 30,
        relay_queue_bytes: 64 << 20,
        ..Limits::default()
    };
    Relay::start(peers_relay::RelayConfig { limits, ..relay_config() }).await.unwrap()
}

async fn pair(relay: &Relay) -> (Online, Online) {
    acquainted(&relay.url()).await
}

async fn incoming(online: &mut Online) -> (DeviceId, ConnectionId, Transport) {
    loop {
        match online.event().await {
            RelayEvent::Incoming { peer, connection, transport } => return (peer, connection, transport),
            RelayEvent::Presence(..) => {}
            _ => panic!("a transport was expected"),
        }
    }
}

async fn send(transport: &mut Transport, text: &str) -> Result<(), CloseReason> {
    soon(transport.sink.send(BytesMut::from(text))).await
}

async fn recv(transport: &mut Transport) -> Result<bytes::Bytes, CloseReason> {
    soon(transport.source.recv()).await
}

/// A transport from `a` to `b` over which one frame went.
async fn opened(a: &Online, b: &mut Online, n: u8) -> (Transport, Transport) {
    let mut ours = a.client.open(b.id, connection(n)).unwrap();
    send(&mut ours, "first").await.unwrap();
    let (peer, id, mut theirs) = incoming(b).await;
    assert_eq!((peer, id), (a.id, connection(n)));
    assert_eq!(recv(&mut theirs).await.unwrap(), "first");
    (ours, theirs)
}

/// Sends and checks 64 MiB at once, never more than a session's window ahead of the reader.
async fn exchange(transport: Transport, mine: Arc<Semaphore>, others: Arc<Semaphore>) {
    const FRAMES: u64 = 4096;
    let frame = |n: u64| {
        let mut frame = BytesMut::zeroed(limits::MAX_FRAME);
        for (i, word) in frame.chunks_exact_mut(8).enumerate() {
            word.copy_from_slice(&(n << 32 | i as u64).to_be_bytes());
        }
        frame
    };
    let Transport { mut sink, mut source, .. } = transport;
    let writer = async {
        for n in 0..FRAMES {
            mine.acquire().await.unwrap().forget();
            sink.send(frame(n)).await.unwrap();
        }
        sink.flush().await.unwrap();
    };
    let reader = async {
        for n in 0..FRAMES {
            assert!(source.recv().await.unwrap() == frame(n), "frame {n}");
            others.add_permits(1);
        }
    };
    tokio::join!(writer, reader);
}

// proves S053 S104
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_mebibytes_cross_the_relay_intact_both_ways() {
    let relay = fast_relay().await;
    let (a, mut b) = pair(&relay).await;
    let (ours, theirs) = opened(&a, &mut b, 1).await;
    assert_eq!((ours.route.kind, theirs.route.kind), (TransportKind::Relay, TransportKind::Relay));
    let window = || Arc::new(Semaphore::new(limits::SEND_WINDOW / limits::MAX_FRAME));
    let (there, back) = (window(), window());
    soon(async {
        let one = tokio::spawn(exchange(ours, there.clone(), back.clone()));
        exchange(theirs, back, there).await;
        one.await.unwrap();
    })
    .await;
    assert!(relay.stats().relay_bytes > 128 << 20);
}

#[tokio::test]
async fn a_close_comes_after_the_frames_before_it() {
    let relay = fast_relay().await;
    let (a, mut b) = pair(&relay).await;
    let (mut ours, mut theirs) = opened(&a, &mut b, 1).await;
    send(&mut theirs, "back").await.unwrap();
    assert_eq!(recv(&mut ours).await.unwrap(), "back");
    for _ in 0..100 {
        send(&mut ours, "more").await.unwrap();
    }
    ours.sink.close().await;
    assert_eq!(recv(&mut ours).await, Err(CloseReason::Local));
    assert_eq!(send(&mut ours, "late").await, Err(CloseReason::Local));
    for _ in 0..100 {
        assert_eq!(recv(&mut theirs).await.unwrap(), "more");
    }
    for _ in 0..2 {
        assert_eq!(recv(&mut theirs).await, Err(CloseReason::Remote));
    }
    assert_eq!(send(&mut theirs, "late").await, Err(CloseReason::Remote));
    assert_eq!(a.client.open(b.id, connection(1)).err(), Some(RelayError::Duplicate));

    let (ours, mut theirs) = opened(&a, &mut b, 2).await;
    drop(ours);
    assert_eq!(recv(&mut theirs).await, Err(CloseReason::Remote));
}

#[tokio::test]
async fn an_absent_peer_ends_the_transport() {
    let relay = relay().await;
    let a = Device::new(1).register(&relay.url()).await;
    let mut transport = a.client.open(Device::new(2).id(), connection(1)).unwrap();
    send(&mut transport, "anybody?").await.unwrap();
    assert!(matches!(recv(&mut transport).await, Err(CloseReason::Network(_))));
}

#[tokio::test]
async fn a_peer_that_leaves_the_relay_ends_its_transports() {
    let relay = relay().await;
    let (a, mut b) = pair(&relay).await;
    let (mut ours, mut theirs) = opened(&a, &mut b, 1).await;
    drop(b.task);
    assert!(matches!(recv(&mut ours).await, Err(CloseReason::Network(_))));
    assert_eq!(recv(&mut theirs).await, Err(CloseReason::Local), "its own client was dropped");
}

#[tokio::test]
async fn shutdown_closes_transports_in_good_order() {
    let relay = relay().await;
    let (a, mut b) = pair(&relay).await;
    let (mut ours, mut theirs) = opened(&a, &mut b, 1).await;
    send(&mut ours, "last words").await.unwrap();
    soon(a.task.shutdown()).await;
    assert_eq!(recv(&mut ours).await, Err(CloseReason::Local));
    assert_eq!(recv(&mut theirs).await.unwrap(), "last words");
    assert_eq!(recv(&mut theirs).await, Err(CloseReason::Remote));
}

#[tokio::test]
async fn a_lost_relay_ends_every_transport_once_and_new_ones_work_after_it() {
    let first = relay().await;
    let (a, mut b) = pair(&first).await;
    let mut ends = Vec::new();
    for n in 0..3 {
        ends.extend(<[Transport; 2]>::from(opened(&a, &mut b, n).await));
    }
    let bind = first.local_addr();
    first.shutdown().await;
    for end in &mut ends {
        let reason = recv(end).await.unwrap_err();
        assert!(matches!(reason, CloseReason::Network(_)), "{reason:?}");
        assert_eq!(recv(end).await, Err(reason.clone()), "it is repeated");
        assert_eq!(send(end, "late").await, Err(reason));
    }
    let _second = Relay::start(peers_relay::RelayConfig { bind, ..relay_config() }).await.unwrap();
    for side in [&a, &b] {
        side.until(|s| *s == peers::relay_client::RelayState::Registered).await;
    }
    opened(&a, &mut b, 9).await;
}

#[tokio::test]
async fn a_reader_that_stops_costs_its_own_transport_and_no_more() {
    let relay = fast_relay().await;
    let (a, mut b) = pair(&relay).await;
    let (mut flood, mut unread) = opened(&a, &mut b, 1).await;
    let (mut ours, mut theirs) = opened(&a, &mut b, 2).await;
    let reason = soon(async {
        loop {
            if let Err(reason) = flood.sink.send(BytesMut::zeroed(limits::MAX_FRAME)).await {
                return reason;
            }
        }
    })
    .await;
    assert!(matches!(reason, CloseReason::Network(_)), "{reason:?}");
    let reason = recv(&mut unread).await.unwrap_err();
    assert!(matches!(reason, CloseReason::Protocol(_)), "{reason:?}");
    send(&mut ours, "still here").await.unwrap();
    assert_eq!(recv(&mut theirs).await.unwrap(), "still here");
}

#[tokio::test]
async fn one_peer_cannot_open_transports_without_end() {
    let relay = relay().await;
    let (a, mut b) = pair(&relay).await;
    let mut open = Vec::new();
    for n in 0..limits::MAX_RELAY_INCOMING_PER_PEER as u8 {
        open.push(opened(&a, &mut b, n).await);
    }
    let mut refused = a.client.open(b.id, connection(99)).unwrap();
    send(&mut refused, "one more").await.unwrap();
    assert!(matches!(recv(&mut refused).await, Err(CloseReason::Network(_))));
    drop(open.pop());
    // Its end crosses the relay before the next beginning.
    opened(&a, &mut b, 100).await;
}
