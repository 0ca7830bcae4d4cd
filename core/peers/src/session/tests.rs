//! What a peer's objects and calls cost the process that takes them.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use bytes::BytesMut;
use peers_proto::multipath::Multipath;
use peers_proto::path::{Paths, Preference};
use peers_proto::session::wire::{FrameKind, Header, ObjectHead, Piece, RequestHead, Segment};
use peers_proto::session::{Encoding, Object, SessionConfig, SessionMachine};
use peers_proto::timing::RESUME_WINDOW;

use super::*;
use crate::clock::Clock;
use crate::runtime::Runtime;

const MIB: usize = 1024 * 1024;

fn machine(local: u8, remote: u8) -> SessionMachine {
    let [local, remote] = [local, remote].map(|n| DeviceId::derive(&[n]));
    let (groups, budget) = Default::default();
    let mut machine = SessionMachine::new(SessionConfig { local, remote, groups, ungrouped: true, budget });
    machine.attach(0).unwrap();
    machine
}

fn session(clock: &Clock, handlers: Handlers) -> Session {
    let peer = PeerInfo { device: DeviceId::derive(&[2]), user: UserId::derive(b"u"), name: String::new() };
    let paths = Paths::new(true, Preference::default(), RESUME_WINDOW, clock.now());
    let runtime = Runtime::current().unwrap();
    Session {
        shared: Shared::new(peer, clock.clone(), runtime, handlers, Multipath::new(machine(1, 2), paths)),
    }
}

/// The peer sends what it has to, and learns what there is to learn.
fn exchange(session: &Session, peer: &mut SessionMachine, clock: &Clock) {
    let now = clock.now();
    session.shared.inspect(|s| {
        loop {
            let sent = peer.poll_frame(now);
            let back = s.multipath.session.poll_frame(now);
            if sent.is_none() && back.is_none() {
                return;
            }
            sent.inspect(|frame| s.multipath.session.handle_frame(frame, now).unwrap());
            back.inspect(|frame| peer.handle_frame(frame, now).unwrap());
        }
    });
}

/// An object of noise in half of its bits: it shrinks by half.
fn packed(len: usize) -> Object {
    let mut state = 1_u32;
    let body = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 28) as u8
    });
    let object = packing::pack(body.take(len).collect()).unwrap();
    assert_eq!((object.encoding, object.raw_len), (Encoding::Brotli, len));
    object
}

/// Whether it is done within a while, without the clock moving.
async fn done<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_secs(2), future).await.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_peer_makes_this_device_decompress_keeps_a_pace() {
    let (clock, mut peer) = (Clock::manual(), machine(2, 1));
    let session = session(&clock, Handlers::default());
    let object = packed(4 * MIB);
    let mut taken = 0;
    for _ in 0..6 {
        peer.send_message(None, object.clone()).unwrap();
        exchange(&session, &mut peer, &clock);
        match done(session.recv()).await {
            Some(message) => taken += message.unwrap().body.len(),
            None => break,
        }
    }
    assert!((8 * MIB..=16 * MIB).contains(&taken), "{taken} bytes were decompressed at once");
    // What waits keeps its credit, and is not lost although the app gave up waiting for it.
    clock.advance(Duration::from_secs(2));
    assert_eq!(done(session.recv()).await.unwrap().unwrap().body.len(), 4 * MIB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_keep_their_order_and_none_is_lost_however_often_the_app_stops_waiting() {
    let (clock, mut peer) = (Clock::manual(), machine(2, 1));
    let session = session(&clock, Handlers::default());
    for n in 1..=20_usize {
        let object = if n % 2 == 0 { packed(n * 10_000) } else { Object::plain(vec![0; n]) };
        peer.send_message(None, object).unwrap();
        exchange(&session, &mut peer, &clock);
    }
    let mut context = Context::from_waker(Waker::noop());
    for n in 1..=20_usize {
        let len = if n % 2 == 0 { n * 10_000 } else { n };
        let first = pin!(session.recv()).poll(&mut context);
        let message = match first {
            Poll::Ready(message) => message,
            Poll::Pending => session.recv().await,
        };
        assert_eq!(message.unwrap().body.len(), len);
    }
    assert_eq!(done(session.recv()).await, None);
}

#[tokio::test]
async fn an_object_that_cannot_be_decoded_takes_no_other_with_it() {
    let (clock, mut peer) = (Clock::manual(), machine(2, 1));
    let session = session(&clock, Handlers::default());
    let broken = Object { encoding: Encoding::Brotli, raw_len: 2000, content: vec![0xff; 1000].into() };
    let good = |n: usize| if n.is_multiple_of(2) { packed(n * 10_000) } else { Object::plain(vec![0; n]) };
    for n in 1..=6 {
        for object in [good(n), broken.clone()] {
            peer.send_message(None, object).unwrap();
        }
    }
    exchange(&session, &mut peer, &clock);
    let (mut lengths, mut errors) = (Vec::new(), 0);
    while let Some(taken) = done(session.recv_many(100)).await {
        match taken {
            Ok(messages) => lengths.extend(messages.iter().map(|message| message.body.len())),
            Err(Error::Codec(_)) => errors += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((lengths, errors), (vec![1, 20_000, 3, 40_000, 5, 60_000], 6));
}

/// Counts its calls and never ends.
struct Counting(Arc<AtomicUsize>);

#[async_trait]
impl RequestHandler for Counting {
    async fn handle(&self, _: InboundRequest) -> Result<Bytes, RequestError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::future::pending().await
    }
}

fn frame(seq: u64, segments: impl Iterator<Item = Segment<'static>>) -> Bytes {
    let mut frame = BytesMut::new();
    Header { kind: FrameKind::Data, seq, ack: 0 }.write(&mut frame);
    segments.for_each(|s| s.write(&mut frame));
    frame.freeze()
}

fn call(call: u64, service: &'static str) -> Segment<'static> {
    let head = RequestHead { lane: 0, timeout_ms: 60_000, service, method: "" };
    let object = ObjectHead { encoding: Encoding::Plain, content_len: 0, raw_len: 0 };
    Segment::Request { call, head: Some(head), piece: Piece { head: Some(object), last: true, content: b"" } }
}

#[tokio::test]
async fn a_call_that_no_handler_answers_takes_no_task() {
    let (clock, count) = (Clock::manual(), Arc::<AtomicUsize>::default());
    let counting: Arc<dyn RequestHandler> = Arc::new(Counting(count.clone()));
    let handlers = Handlers(Arc::new([("known".to_owned(), counting)].into()));
    let session = session(&clock, handlers);
    let now = clock.now();
    session.shared.inspect(|s| {
        let unknown = frame(0, (0..200).map(|n| call(n, "unknown")));
        s.multipath.session.handle_frame(&unknown, now).unwrap();
    });
    assert_eq!(session.shared.lock().answering.tasks.len(), 0);
    session.shared.inspect(|s| {
        s.multipath.session.handle_frame(&frame(1, (200..400).map(|n| call(n, "known"))), now).unwrap();
    });
    assert_eq!(session.shared.lock().answering.tasks.len(), 200);
    tokio::task::yield_now().await;
    assert!(count.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn a_peer_that_asks_in_vain_without_end_is_taken_from_at_a_pace() {
    let clock = Clock::manual();
    let session = session(&clock, Handlers::default());
    let now = clock.now();
    for seq in 0..10 {
        session.shared.inspect(|s| {
            let cancels = frame(seq, (0..1000).map(|call| Segment::Cancel { call }));
            s.multipath.session.handle_frame(&cancels, now).unwrap();
        });
    }
    let until = session.shared.lock().multipath.session.rests_until(now).unwrap();
    assert_eq!(until - now, Duration::from_millis(500), "10 000 a second after a burst of 5 000");
}
