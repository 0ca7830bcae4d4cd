//! Two clients and a real relay: the whole way.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use peers::{ClientState, EndReason, Error, Event, FailureCode, PathKind, Transports, TrustLevel};
use peers_proto::limits::{MAX_CALLS, MAX_MESSAGE, OBJECT_COST, RECEIVE_BUDGET, SEND_QUEUE};
use peers_proto::timing::CLOSE_GRACE;
use support::{Echo, World};

const WEBRTC: Transports = Transports { webrtc: true, relay: false };
const RELAY: Transports = Transports { webrtc: false, relay: true };

// proves S001, S002, S004, S010, S016, S018, S032, S040, S042, S043, S051, S052, S063, S066, S068, S069, S070, S071,
// proves S075, S078, S083, S086, S105, S140, S141, S150
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_connect_by_webrtc_and_exchange_everything() {
    exchange_everything(WEBRTC, PathKind::WebRtc).await;
}

// proves S007, S123, S128, S164, S168: the same over the relay, where no UDP passes; everything is sealed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_connect_by_relay_and_exchange_everything() {
    exchange_everything(RELAY, PathKind::Relay).await;
}

async fn exchange_everything(transports: Transports, kind: PathKind) {
    let world = World::start().await;
    let (a, b) = world.pair(transports).await;
    let session = a.client.session(b.client.device_id()).await.unwrap();
    assert_eq!((session.path(), session.device()), (Some(kind), b.client.device_id()));
    let there = b.connected().await;
    assert_eq!(there.device(), a.client.device_id());

    // Objects, both ways.
    session.send(&("hello", 7u32)).await.unwrap();
    assert_eq!(there.recv().await.unwrap().decode::<(String, u32)>().unwrap(), ("hello".into(), 7));
    let long = vec!["the same words again and again"; 10_000];
    there.send(&long).await.unwrap();
    assert_eq!(session.recv().await.unwrap().decode::<Vec<String>>().unwrap(), long);

    // Calls.
    assert_eq!(session.call("echo", "echo", "ping").await.unwrap(), "ping");
    let failed = session.call("echo", "fail", "").await.unwrap_err();
    assert_eq!(failed, Error::CallFailed { code: FailureCode::Application, text: "as asked".into() });
    let missing = session.call("nobody", "home", "").await.unwrap_err();
    assert_eq!(missing, Error::CallFailed { code: FailureCode::NotFound, text: String::new() });
    let calls = (0..50u32).map(|n| {
        let session = session.clone();
        tokio::spawn(async move { session.call("echo", "echo", n.to_be_bytes().to_vec()).await })
    });
    for (n, call) in (0u32..).zip(calls.collect::<Vec<_>>()) {
        assert_eq!(call.await.unwrap().unwrap(), n.to_be_bytes().to_vec());
    }

    // A stream, read to its end and answered.
    let body = Bytes::from((0..8_000_000u32).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    let (mut send, mut recv) = session.open_stream("file").unwrap();
    let reader = tokio::spawn(async move {
        let mut stream = there.accept_stream().await.unwrap();
        assert_eq!(stream.name, "file");
        let mut all = Vec::new();
        while let Some(chunk) = stream.recv.read().await.unwrap() {
            all.extend_from_slice(&chunk);
        }
        stream.send.write("thanks").await.unwrap();
        stream.send.finish().await.unwrap();
        all
    });
    send.write(body.clone()).await.unwrap();
    send.finish().await.unwrap();
    assert!(reader.await.unwrap() == body);
    assert_eq!(recv.read().await.unwrap().unwrap(), "thanks");
    assert_eq!(recv.read().await.unwrap(), None);
    a.client.shutdown().await;
    b.client.shutdown().await;
}

// proves S004, S085: by default the relay carries the first data and WebRTC takes over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_relay_comes_first_and_webrtc_takes_over() {
    let world = World::start().await;
    let (a, b) = world.pair(Transports::default()).await;
    let session = a.client.session(b.client.device_id()).await.unwrap();
    for n in 0..2000u32 {
        session.send(&n).await.unwrap();
    }
    let there = b.connected().await;
    for n in 0..2000u32 {
        assert_eq!(there.recv().await.unwrap().decode::<u32>().unwrap(), n);
    }
    for session in [&session, &there] {
        let mut path = session.watch_path();
        path.wait_for(|path| *path == Some(PathKind::WebRtc)).await.unwrap();
    }
    there.send("after").await.unwrap();
    assert_eq!(session.recv().await.unwrap().decode::<String>().unwrap(), "after");
}

// proves S019, S035, S076: the end of a session is told once, to both sides, with its reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_session_is_closed_at_both_ends() {
    let world = World::start().await;
    let (mut a, mut b) = world.pair(Transports::default()).await;
    let session = a.client.session(b.client.device_id()).await.unwrap();
    let there = b.connected().await;
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.call("echo", "never", "").await }
    });
    assert_eq!(session.call("echo", "echo", "x").await.unwrap(), "x");
    there.close().await;
    let ended = waiting.await.unwrap().unwrap_err();
    assert!(matches!(ended, Error::SessionLost(_) | Error::Closed), "{ended:?}");
    assert_eq!(a.disconnected().await, EndReason::ClosedByPeer);
    assert_eq!(b.disconnected().await, EndReason::Closed);
    assert!(a.client.sessions().is_empty() && b.client.sessions().is_empty());
    assert_eq!(session.send("late").await, Err(Error::Closed));
    // The device can be reached again.
    let again = a.client.session(b.client.device_id()).await.unwrap();
    assert_eq!(again.call("echo", "echo", "y").await.unwrap(), "y");
}

// proves S038: dropping a call cancels it at the other side.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_call_stops_its_handler() {
    let world = World::start().await;
    let a = world.client("a", RELAY, |b| b).await;
    let (echo, mut stopped) = Echo::watched();
    let b = world
        .client("b", RELAY, |builder| builder.handler("echo", echo).trust_policy(support::everybody()))
        .await;
    let session = a.client.session(b.client.device_id()).await.unwrap();
    let call = tokio::time::timeout(Duration::from_millis(200), session.call("echo", "never", "")).await;
    assert!(call.is_err());
    stopped.recv().await.unwrap();
}

/// Bytes that do not compress.
fn noise(len: usize) -> Bytes {
    let mut body = vec![0; len];
    peers::random::fill(&mut body);
    body.into()
}

/// Lets a call begin, which is not to be answered.
fn begin(call: Pin<&mut impl Future>) {
    assert!(call.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// A deadline that is far away, and one that passes; both end long before the default one.
const DEADLINES: (Duration, Duration) = (Duration::from_secs(20), Duration::from_millis(300));

/// Nothing here takes as long unless it waits beyond its deadline.
async fn before_the_default_deadline<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.unwrap()
}

// proves S039
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_answered_beside_messages_that_nobody_takes() {
    let world = World::start().await;
    let (a, b) = world.pair(RELAY).await;
    let session = a.client.session(b.client.device_id()).await.unwrap();
    let there = b.connected().await;
    let message = noise(100_000);
    let with_credit = RECEIVE_BUDGET / (message.len() + OBJECT_COST);
    for _ in 0..with_credit {
        session.send_bytes(message.clone()).await.unwrap();
    }
    session.drain().await.unwrap();
    let queued = SEND_QUEUE.div_ceil(message.len());
    for _ in 0..queued {
        session.try_send_bytes(message.clone()).unwrap();
    }
    assert_eq!(session.try_send_bytes(message.clone()), Err(Error::Full));
    for size in [10, 2_000_000] {
        let body = noise(size);
        let call = session.request("echo", "echo").timeout(DEADLINES.0).send(body.clone());
        assert_eq!(before_the_default_deadline(call).await.unwrap(), body);
    }
    // Nothing of what waited is lost.
    for _ in 0..with_credit + queued {
        assert_eq!(there.recv().await.unwrap().body, message);
    }
}

// proves S039: the wait for room counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_finds_no_room_ends_at_its_deadline() {
    let world = World::start().await;
    let (a, b) = world.pair(RELAY).await;
    let session = a.client.session(b.client.device_id()).await.unwrap();
    let mut waiting: Vec<_> = (0..MAX_CALLS).map(|_| Box::pin(session.call("echo", "never", ""))).collect();
    for call in &mut waiting {
        begin(call.as_mut());
    }
    let late = session.request("echo", "echo").timeout(DEADLINES.1).send("");
    assert_eq!(before_the_default_deadline(late).await, Err(Error::TimedOut));
    // One place is enough for the next.
    waiting.pop();
    let call = session.request("echo", "echo").timeout(DEADLINES.0).send("x");
    assert_eq!(before_the_default_deadline(call).await.unwrap(), "x");
}

// proves S039: so does the wait for credit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_finds_no_credit_ends_at_its_deadline() {
    let world = World::start().await;
    let (a, b) = world.pair(RELAY).await;
    let session = a.client.session(b.client.device_id()).await.unwrap();
    let mut large = Box::pin(session.call("echo", "never", noise(MAX_MESSAGE)));
    begin(large.as_mut());
    let late = session.request("echo", "echo").timeout(DEADLINES.1).send(noise(1_000_000));
    assert_eq!(before_the_default_deadline(late).await, Err(Error::TimedOut));
    drop(large);
    let body = noise(1_000_000);
    let call = session.request("echo", "echo").timeout(DEADLINES.0).send(body.clone());
    assert_eq!(before_the_default_deadline(call).await.unwrap(), body);
}

// proves S054: a relay that takes connections and says nothing, and one that has frozen, delay nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_waits_for_no_relay_and_no_dial() {
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let builder = peers::Client::builder().relay(format!("ws://{}", mute.local_addr().unwrap()));
    let (client, _events) = builder.start().await.unwrap();
    let (_held, _) = mute.accept().await.unwrap();
    let nobody = peers::Identity::generate().device_id();
    let dialing = tokio::spawn({
        let client = client.clone();
        async move { client.session(nobody).await }
    });
    let begun = Instant::now();
    client.shutdown().await;
    assert!(begun.elapsed() < 2 * CLOSE_GRACE, "{:?}", begun.elapsed());
    assert_eq!(dialing.await.unwrap(), Err(Error::Closed));
}

// proves S054, S070: everything after shutdown says so, and nothing hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_shutdown_everything_is_closed() {
    let world = World::start().await;
    let (a, b) = world.pair(Transports::default()).await;
    let session = a.client.session(b.client.device_id()).await.unwrap();
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.call("echo", "never", "").await }
    });
    a.client.shutdown().await;
    a.client.shutdown().await;
    assert!(waiting.await.unwrap().is_err());
    assert_eq!(a.client.session(b.client.device_id()).await.unwrap_err(), Error::Closed);
    assert_eq!(session.recv().await.unwrap_err(), Error::Closed);
    assert_eq!(a.client.state(), ClientState::Closed);
}

// proves S077: a device that is not there is an error of its own, soon.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absent_device_is_unreachable() {
    let world = World::start().await;
    let a = world.client("a", Transports::default(), |b| b).await;
    let nobody = peers::Identity::generate().device_id();
    let error = a.client.session(nobody).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
    assert!(matches!(a.client.session(a.client.device_id()).await, Err(Error::Config(_))));
}

// proves S101: both dial at once, one session comes of it, at both ends the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_dial_at_once_and_share_one_session() {
    for transports in [WEBRTC, RELAY, Transports::default()] {
        let world = World::start().await;
        let (a, b) = world.pair(transports).await;
        let (ida, idb) = (a.client.device_id(), b.client.device_id());
        let (here, there) = tokio::join!(a.client.session(idb), b.client.session(ida));
        let (here, there) = (here.unwrap(), there.unwrap());
        for n in 0..200u32 {
            here.send(&n).await.unwrap();
            there.send(&n).await.unwrap();
        }
        for n in 0..200u32 {
            assert_eq!(here.recv().await.unwrap().decode::<u32>().unwrap(), n);
            assert_eq!(there.recv().await.unwrap().decode::<u32>().unwrap(), n);
        }
        assert_eq!((a.client.sessions().len(), b.client.sessions().len()), (1, 1));
    }
}

// proves S022: signaling comes back by itself after the relay was restarted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_relay_is_found_again() {
    let mut world = World::start().await;
    let (a, b) = world.pair(Transports::default()).await;
    world.restart().await;
    let found = async {
        loop {
            // Each failure takes as long as the client needs to see where it stands.
            if let Ok(session) = a.client.session(b.client.device_id()).await {
                return session;
            }
        }
    };
    let session = tokio::time::timeout(Duration::from_secs(30), found).await.unwrap();
    assert_eq!(session.call("echo", "echo", "back").await.unwrap(), "back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_nobody_takes_are_counted() {
    let world = World::start().await;
    let (mut a, b) = world.pair(RELAY).await;
    for _ in 0..600 {
        let session = a.client.session(b.client.device_id()).await.unwrap();
        session.close().await;
    }
    let missed = loop {
        if let Event::Missed(n) = a.events.next().await.unwrap() {
            break n;
        }
    };
    assert!(missed >= 100, "{missed}");
}

// proves S054: nothing that begins while a client ends is waited for, whoever began it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_amid_dials_of_both_ends_ends() {
    let world = World::start().await;
    for n in 0..30 {
        let (a, b) = world.pair(Transports::default()).await;
        let (ida, idb) = (a.client.device_id(), b.client.device_id());
        a.client.trust(idb, TrustLevel::Trusted).unwrap();
        b.client.trust(ida, TrustLevel::Trusted).unwrap();
        if n % 2 == 0 {
            a.client.session(idb).await.unwrap();
        }
        let both = async { tokio::join!(a.client.shutdown(), b.client.shutdown()) };
        tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    }
}
