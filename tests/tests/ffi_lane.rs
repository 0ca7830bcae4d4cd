//! The plain C functions that Kotlin and Swift call, over a real session.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};

use peers::{Client, Events};
use peers_ffi::lane::{
    peers_lane_read, peers_lane_send, peers_lane_take, peers_lane_wait_bytes, peers_lane_wait_messages,
    peers_lane_wait_room, peers_lane_write,
};
use peers_ffi::{ClientConfig, PeersClient, PeersError, RelayEndpoint};
use peers_relay::{Relay, RelayConfig};
use peers_tests::device::Everybody;
use tokio::sync::Notify;

const OWN_METHOD: i64 = -1;
const MALFORMED: i64 = -2;
const UNKNOWN: i64 = -3;

/// A device as Kotlin and Swift have it, its session with a device in Rust, and that one's end.
struct World {
    relay: Relay,
    near: Arc<PeersClient>,
    session: Arc<peers_ffi::Session>,
    far: Client,
    _events: Events,
    far_session: peers::Session,
}

impl World {
    async fn start() -> Self {
        let relay = RelayConfig { bind: ([127, 0, 0, 1], 0).into(), ..RelayConfig::default() };
        let relay = Relay::start(relay).await.unwrap();
        let url = format!("ws://{}", relay.local_addr());
        let far = Client::builder().relay(&url).loopback(true).trust_policy(Arc::new(Everybody));
        let (far, events) = far.start().await.unwrap();
        far.watch_state().wait_for(|state| *state == peers::ClientState::Online).await.unwrap();
        let near = client(&url);
        near.start(None).await.unwrap();
        let session = near.session(far.device_id(), None).await.unwrap();
        let far_session = far.session(near.device_id().unwrap()).await.unwrap();
        Self { relay, near, session, far, _events: events, far_session }
    }

    async fn stop(self) {
        self.near.shutdown().await;
        self.far.shutdown().await;
        self.relay.shutdown().await;
    }
}

fn client(relay: &str) -> Arc<PeersClient> {
    let config = ClientConfig {
        relays: vec![RelayEndpoint { url: relay.into(), token: None, authorities: vec![], pins: vec![] }],
        loopback: true,
        ..ClientConfig::default()
    };
    PeersClient::new(config).unwrap()
}

fn pack(bodies: &[&[u8]]) -> Vec<u8> {
    let mut packed = Vec::new();
    for body in bodies {
        packed.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        packed.push(0);
        packed.extend(*body);
    }
    packed
}

fn unpack(mut packed: &[u8]) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    while let Some((length, rest)) = packed.split_first_chunk::<4>() {
        assert_eq!(rest[0], 0, "no group");
        let (body, rest) = rest[1..].split_at(u32::from_le_bytes(*length) as usize);
        bodies.push(body.to_vec());
        packed = rest;
    }
    bodies
}

fn send(session: u64, packed: &[u8]) -> i64 {
    // SAFETY: the slice's own pointer and length.
    unsafe { peers_lane_send(session, packed.as_ptr(), packed.len() as u32) }
}

fn take(session: u64, room: &mut [u8]) -> i64 {
    // SAFETY: the slice's own pointer and length.
    unsafe { peers_lane_take(session, room.as_mut_ptr(), room.len() as u32) }
}

fn write(stream: u64, data: &[u8]) -> i64 {
    // SAFETY: the slice's own pointer and length.
    unsafe { peers_lane_write(stream, data.as_ptr(), data.len() as u32) }
}

fn read(stream: u64, room: &mut [u8]) -> i64 {
    // SAFETY: the slice's own pointer and length.
    unsafe { peers_lane_read(stream, room.as_mut_ptr(), room.len() as u32) }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_keep_their_order_across_a_full_queue_and_the_slow_way() {
    let world = World::start().await;
    let lane = world.session.clone().lane();
    let body = |n: u32| [&n.to_be_bytes()[..], &[7; 996]].concat();
    let mut sent = 0;
    // The peer takes nothing: at last there is no room, for a batch neither whole nor in part.
    loop {
        let batch: Vec<_> = (sent..sent + 8).map(body).collect();
        let queued = send(lane, &pack(&batch.iter().map(Vec::as_slice).collect::<Vec<_>>()));
        sent += u32::try_from(queued).unwrap();
        if queued == 0 {
            break;
        }
    }
    let slow = tokio::spawn({
        let (session, body) = (world.session.clone(), body(sent));
        async move { session.send(body, None, None).await }
    });
    for n in 0..=sent {
        assert_eq!(world.far_session.recv().await.unwrap().body, body(n), "message {n}");
    }
    slow.await.unwrap().unwrap();
    assert_eq!(send(lane, &pack(&[&body(sent + 1)])), 1);
    assert_eq!(world.far_session.recv().await.unwrap().body, body(sent + 1));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arrived_messages_are_taken_in_order_as_far_as_they_fit() {
    let world = World::start().await;
    let lane = world.session.clone().lane();
    let mut room = [0; 50];
    assert_eq!(take(lane, &mut room), 0, "nothing has arrived");
    let large = vec![9; 100];
    for body in [&b"first"[..], b"second", &large, b"last"] {
        world.far_session.send_bytes(body.to_vec()).await.unwrap();
    }
    world.far_session.drain().await.unwrap();
    assert!(world.session.clone().messages_ready(None).await.unwrap());
    let filled = usize::try_from(take(lane, &mut room)).unwrap();
    assert_eq!(unpack(&room[..filled]), [&b"first"[..], b"second"]);
    assert_eq!(take(lane, &mut room), OWN_METHOD, "the next one is larger than the room");
    assert_eq!(world.session.take_messages(1)[0].body, large);
    let filled = usize::try_from(take(lane, &mut room)).unwrap();
    assert_eq!(unpack(&room[..filled]), [b"last"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_batch_sends_what_comes_before_the_mistake() {
    let world = World::start().await;
    let lane = world.session.clone().lane();
    let broken = b"\xff\0\0\0\0not that many";
    assert_eq!(send(lane, broken), MALFORMED);
    assert_eq!(send(lane, &[&pack(&[b"well-formed"])[..], broken].concat()), 1);
    assert_eq!(send(lane, b""), 0);
    assert_eq!(world.far_session.recv().await.unwrap().body, &b"well-formed"[..]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_carries_bytes_both_ways_and_its_writer_waits_for_its_reader() {
    let world = World::start().await;
    let stream = world.session.open_stream("bytes".into(), None, None).await.unwrap();
    let lane = stream.clone().lane();
    let data: Vec<u8> = (0..32 * 1024 * 1024_u32).map(|n| (n / 251) as u8).collect();
    let mut written = 0;
    loop {
        let some = write(lane, &data[written..(written + 100_000).min(data.len())]);
        written += usize::try_from(some).unwrap();
        if some == 0 {
            break;
        }
    }
    assert!(written < data.len(), "the writer was not held up");
    let mut far = world.far_session.accept_stream().await.unwrap();
    let rest = tokio::spawn({
        let (stream, rest) = (stream.clone(), data[written..].to_vec());
        async move {
            stream.write(rest, None).await.unwrap();
            stream.finish(None).await.unwrap();
        }
    });
    let mut arrived = Vec::new();
    while let Some(bytes) = far.recv.read().await.unwrap() {
        arrived.extend_from_slice(&bytes);
    }
    rest.await.unwrap();
    assert!(arrived == data);

    let mut room = vec![0; 1000];
    assert_eq!(read(lane, &mut room), 0, "nothing has arrived");
    far.send.write(data[..2500].to_vec()).await.unwrap();
    far.send.finish().await.unwrap();
    let mut back = Vec::new();
    while stream.clone().bytes_ready(None).await.unwrap() {
        let filled = usize::try_from(read(lane, &mut room)).unwrap();
        back.extend_from_slice(&room[..filled]);
    }
    assert!(back == data[..2500]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_is_left_to_the_methods_that_say_so() {
    let world = World::start().await;
    let stream = world.session.open_stream("bytes".into(), None, None).await.unwrap();
    let (session_lane, stream_lane) = (world.session.clone().lane(), stream.clone().lane());
    assert_eq!(world.session.clone().lane(), session_lane, "one number for one session");
    assert_eq!(write(session_lane, b"x"), UNKNOWN, "a session is no stream");
    let World { relay, near, session, far, .. } = world;
    near.shutdown().await;
    assert_eq!(send(session_lane, &pack(&[b"too late"])), OWN_METHOD);
    assert_eq!(session.send(b"too late".to_vec(), None, None).await, Err(PeersError::Closed));
    assert_eq!(write(stream_lane, b"too late"), OWN_METHOD);
    assert_eq!(read(stream_lane, &mut [0; 8]), 0);
    drop((near, session, stream));
    assert_eq!(send(session_lane, &pack(&[b"too late"])), UNKNOWN);
    assert_eq!(read(stream_lane, &mut [0; 8]), UNKNOWN);
    far.shutdown().await;
    relay.shutdown().await;
}

static WOKEN: Mutex<Vec<u64>> = Mutex::new(Vec::new());
static WOKE: Notify = Notify::const_new();

extern "C" fn wake(token: u64) {
    WOKEN.lock().unwrap().push(token);
    WOKE.notify_one();
}

async fn woken(token: u64) {
    while !WOKEN.lock().unwrap().contains(&token) {
        WOKE.notified().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_once_with_its_token() {
    let world = World::start().await;
    let stream = world.session.open_stream("bytes".into(), None, None).await.unwrap();
    let lane = stream.clone().lane();
    while write(lane, &[7; 50_000]) > 0 {}
    assert_eq!(peers_lane_wait_room(lane, Some(wake), 1), 0);
    let mut far = world.far_session.accept_stream().await.unwrap();
    let reading = tokio::spawn(async move {
        far.send.write(vec![1; 10]).await.unwrap();
        while let Ok(Some(_)) = far.recv.read().await {}
    });
    woken(1).await;
    assert!(write(lane, &[7; 1000]) == 1000, "there is room");

    assert_eq!(peers_lane_wait_bytes(lane, Some(wake), 2), 0);
    woken(2).await;
    assert_eq!(read(lane, &mut [0; 100]), 10);
    assert_eq!(peers_lane_wait_bytes(lane, Some(wake), 3), 0);
    assert_eq!(peers_lane_wait_bytes(lane, Some(wake), 4), 0, "takes the place of the third");
    woken(3).await;
    assert_eq!(peers_lane_wait_bytes(lane, None, 0), 0);
    woken(4).await;
    assert_eq!(peers_lane_wait_bytes(lane, Some(wake), 5), 0);
    let session = world.session.clone().lane();
    assert_eq!(peers_lane_wait_messages(session, Some(wake), 6), 0);
    world.far_session.send_bytes(vec![1]).await.unwrap();
    woken(6).await;
    assert_eq!(take(session, &mut [0; 100]), 6);
    world.near.shutdown().await;
    woken(5).await;
    assert_eq!(peers_lane_wait_bytes(lane, Some(wake), 7), 0, "nothing to wait for");
    woken(7).await;
    drop(stream);
    assert_eq!(peers_lane_wait_room(lane, Some(wake), 8), UNKNOWN);
    assert_eq!(*WOKEN.lock().unwrap(), [1, 2, 3, 4, 6, 5, 7]);
    reading.await.unwrap();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_seen_by_a_wait_is_reported_by_the_method() {
    static WOKE: Notify = Notify::const_new();
    extern "C" fn wake(_: u64) {
        WOKE.notify_one();
    }
    let world = World::start().await;
    let lane = world.session.clone().lane();
    assert_eq!(peers_lane_wait_messages(lane, Some(wake), 1), 0);
    world.far_session.close().await;
    WOKE.notified().await;
    assert_eq!(take(lane, &mut [0; 100]), 0);
    for _ in 0..2 {
        assert_eq!(world.session.clone().messages_ready(None).await, Ok(false));
    }
    world.stop().await;
}
