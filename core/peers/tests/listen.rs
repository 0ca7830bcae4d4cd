//! Devices that listen, and those that dial them without a relay.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use peers::transport::Transport;
use peers::transport::websocket::{DialOptions, dial};
use peers::{AppState, Client, ClientBuilder, Error, Identity, MemoryStore, PathKind};
use peers_proto::certificate::DeviceCertificate;
use peers_proto::handshake::{Config, Expected, Handshake};
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::limits::{MAX_HALF_OPEN, MAX_HALF_OPEN_PER_SOURCE};
use peers_proto::time::{Instant, UnixTime};
use support::{Device, World, answering, talk};
use tokio::net::TcpStream;

const ANY: &str = "127.0.0.1:0";

/// The keys and the store of a device, in all of its runs.
#[derive(Clone)]
struct Kept {
    identity: Identity,
    store: Arc<MemoryStore>,
}

impl Kept {
    fn new() -> Self {
        Self { identity: Identity::generate(), store: Arc::default() }
    }

    fn apply(&self, builder: ClientBuilder) -> ClientBuilder {
        answering(builder).identity(self.identity.clone()).store(self.store.clone())
    }

    /// A client without a relay.
    async fn start(&self, more: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Device {
        let (client, events) = more(self.apply(Client::builder())).start().await.unwrap();
        Device { client, events }
    }
}

/// Two devices that have met through a relay, which is gone.
async fn acquainted() -> [Kept; 2] {
    let (world, kept) = (World::start().await, [Kept::new(), Kept::new()]);
    let relay = peers::Transports { webrtc: false, relay: true };
    let a = world.client("a", relay, |b| kept[0].apply(b)).await;
    let b = world.client("b", relay, |b| kept[1].apply(b)).await;
    let session = a.client.session(b.client.device_id()).await.unwrap();
    talk(&session, &b.connected().await).await;
    a.client.shutdown().await;
    b.client.shutdown().await;
    kept
}

/// A device that listens, and another one that knows its address.
async fn neighbours() -> [Device; 2] {
    let [a, b] = acquainted().await;
    let a = a.start(|builder| builder.listen(ANY.parse().unwrap())).await;
    let (id, url) = (a.client.device_id(), url(&a.client));
    let b = b.start(|builder| builder.address(id, url)).await;
    [a, b]
}

fn address(client: &Client) -> SocketAddr {
    client.listening().unwrap()
}

fn url(client: &Client) -> String {
    format!("ws://{}", address(client))
}

// proves S080 S191
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_is_known_from_an_earlier_run_is_reached_at_its_address_without_a_relay() {
    let [a, b] = neighbours().await;
    let session = b.client.session(a.client.device_id()).await.unwrap();
    assert_eq!(session.path(), Some(PathKind::Lan));
    talk(&session, &a.connected().await).await;
    talk(&a.connected().await, &session).await;
}

// proves S127
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialer_that_does_not_know_the_keys_learns_nothing() {
    let [a, b] = neighbours().await;
    let (connection, mut transport) = dial(&url(&a.client), &DialOptions::default()).await.unwrap();
    let (keys, user) = (DeviceKeys::from_seed([9; 32]), UserKeys::from_seed([9; 32]));
    let config = Config {
        certificate: DeviceCertificate::issue(&user, &keys, UnixTime(1), "").unwrap(),
        keys,
        kind: PathKind::Lan,
        connection_id: connection,
        binding: Vec::new(),
        require_sealing: false,
        pairing: false,
        entropy: [7; 32],
    };
    let expected = Expected { device: a.client.device_id(), keys: None };
    let mut handshake = Handshake::initiator(config, expected, Instant::ZERO).unwrap();
    send(&mut transport, &handshake.poll_output().unwrap()).await;
    let answer = transport.source.recv().await.unwrap();
    assert_eq!(&answer[..], [0xf4], "denied, as for every reason");
    assert!(transport.source.recv().await.is_err());
    // A device that is known is not in its way.
    b.client.session(a.client.device_id()).await.unwrap();
    assert_eq!(a.client.sessions().len(), 1);
}

async fn send(transport: &mut Transport, frame: &[u8]) {
    transport.sink.send(BytesMut::from(frame)).await.unwrap();
    transport.sink.flush().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_prove_nothing_give_way_to_newer_ones() {
    let [a, b] = neighbours().await;
    let mut silent = Vec::new();
    for _ in 0..MAX_HALF_OPEN {
        silent.push(dial(&url(&a.client), &DialOptions::default()).await.unwrap().1);
    }
    for first in &mut silent[..MAX_HALF_OPEN - MAX_HALF_OPEN_PER_SOURCE] {
        assert!(first.source.recv().await.is_err(), "more than one address may have");
    }
    b.client.session(a.client.device_id()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_port_is_closed_while_the_app_is_suspended() {
    let [a, b] = neighbours().await;
    let at = address(&a.client);
    a.client.set_app_state(AppState::Suspended).await;
    assert_eq!(a.client.listening(), None);
    TcpStream::connect(at).await.unwrap_err();
    a.client.set_app_state(AppState::Foreground).await;
    while a.client.listening().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(a.client.listening(), Some(at));
    b.client.session(a.client.device_id()).await.unwrap();
    a.client.shutdown().await;
    assert_eq!(a.client.listening(), None);
    TcpStream::connect(at).await.unwrap_err();
}

// proves S127
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_dialed_while_a_question_waits_is_no_refusal() {
    let world = World::start().await;
    let [a, b] = acquainted().await;
    let relay = peers::Transports { webrtc: false, relay: true };
    let asks = |kept: &Kept, builder: ClientBuilder| {
        builder.identity(kept.identity.clone()).store(kept.store.clone()).listen(ANY.parse().unwrap())
    };
    let mut host = world.client("host", relay, |builder| asks(&a, builder)).await;
    let (id, url) = (host.client.device_id(), url(&host.client));
    let guest = world.client("guest", relay, |builder| b.apply(builder).address(id, url)).await;
    let dialing = tokio::spawn({
        let client = guest.client.clone();
        async move { client.session(id).await }
    });
    // The knock through the relay and the handshake at the address come in either order.
    host.incoming().await.accept();
    tokio::pin!(dialing);
    let session = loop {
        tokio::select! {
            session = &mut dialing => break session.unwrap().unwrap(),
            asked = host.incoming() => asked.accept(),
        }
    };
    talk(&session, &host.connected().await).await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_of_the_configuration() {
    let taken = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = Client::builder().listen(address).start().await.err().unwrap();
    assert!(matches!(error, Error::Config(text) if text.starts_with(&format!("listen {address}: "))));
}
