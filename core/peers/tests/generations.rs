//! A device has one session after another, a client one state after another: what is said about them names which, in order.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use peers::{
    AppState, Client, ClientBuilder, ClientState, DeviceId, EndReason, Event, Events, Identity, Medium,
    NetworkSnapshot, PathKind, Session, Transports, TrustLevel,
};
use peers_relay::{Relay, RelayConfig};
use tokio::runtime::{Builder, Runtime};

/// Only a guard: nothing here takes as long unless it is broken.
const GUARD: Duration = Duration::from_secs(60);

const RELAY: Transports = Transports { webrtc: false, relay: true };

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, what).await.unwrap()
}

async fn relay() -> Relay {
    let config = RelayConfig { bind: "127.0.0.1:0".parse().unwrap(), ..RelayConfig::default() };
    Relay::start(config).await.unwrap()
}

fn device(relay: &Relay, identity: Identity, friend: DeviceId) -> ClientBuilder {
    let builder = Client::builder().relay(format!("ws://{}", relay.local_addr())).loopback(true);
    builder.identity(identity).trust(friend, TrustLevel::Trusted)
}

async fn start(builder: ClientBuilder) -> (Client, Events) {
    let (client, events) = builder.start().await.unwrap();
    within(client.watch_state().wait_for(|s| *s == ClientState::Online)).await.unwrap();
    (client, events)
}

/// A device whose process can be killed: no task of it says goodbye.
struct Mortal {
    runtime: Runtime,
    client: Client,
}

impl Mortal {
    async fn start(builder: ClientBuilder) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (client, _) = runtime.spawn(start(builder)).await.unwrap();
        Self { runtime, client }
    }

    /// What is left of it would say goodbye when it is dropped.
    fn kill(self) -> Client {
        self.runtime.shutdown_background();
        self.client
    }
}

/// What an app can know of the sessions with one device.
#[derive(Default)]
struct Account {
    live: Option<Session>,
    /// Its path, as events say.
    path: Option<PathKind>,
    ended: Vec<EndReason>,
}

impl Account {
    /// Takes events until `enough`, and checks that each is about the session there is.
    async fn follow(&mut self, events: &mut Events, mut enough: impl FnMut(&Self) -> bool) {
        while !enough(self) {
            let event = within(events.next()).await.unwrap();
            let about = match &event {
                Event::Connected { session, path } => {
                    assert!(self.live.is_none(), "{event:?} while there is another one");
                    self.live = Some(session.clone());
                    self.path = Some(*path);
                    session
                }
                Event::PathChanged { session, path } => {
                    assert_ne!(self.path, *path, "{event:?} has changed nothing");
                    self.path = *path;
                    session
                }
                Event::StatusChanged { session, .. }
                | Event::QualityChanged { session, .. }
                | Event::Disconnected { session, .. } => session,
                _ => continue,
            };
            assert_eq!(self.live.as_ref(), Some(about), "{event:?}");
            if let Event::Disconnected { reason, .. } = event {
                self.ended.push(reason);
                self.live = None;
            }
        }
    }
}

// proves S019, S076
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_was_killed_and_started_anew_is_not_said_to_have_left() {
    for transports in [RELAY, Transports::default()] {
        let relay = relay().await;
        let (a, b) = (Identity::generate(), Identity::generate());
        let (id_a, id_b) = (a.device_id(), b.device_id());
        let (a, mut events) = start(device(&relay, a, id_b).transports(transports)).await;
        let mut other = Mortal::start(device(&relay, b.clone(), id_a).transports(transports)).await;
        let (mut account, mut dead) = (Account::default(), Vec::new());
        for round in 0..3 {
            account.follow(&mut events, |account| account.live.is_some()).await;
            let session = account.live.clone().unwrap();
            if transports.webrtc {
                within(session.watch_path().wait_for(|p| *p == Some(PathKind::WebRtc))).await.unwrap();
            }
            dead.push(other.kill());
            other = Mortal::start(device(&relay, b.clone(), id_a).transports(transports)).await;
            let there = within(other.client.session(id_a)).await.unwrap();
            account.follow(&mut events, |account| account.ended.len() > round).await;
            account.follow(&mut events, |account| account.live.is_some()).await;
            let here = account.live.clone().unwrap();
            assert!(here != session && here.device() == session.device() && session.has_ended());
            there.send("anew").await.unwrap();
            assert_eq!(within(here.recv()).await.unwrap().decode::<String>().unwrap(), "anew");
        }
        assert_eq!(account.ended, [EndReason::PeerRestarted; 3]);
        // What the sessions that are gone still had to do is done, and said nothing more.
        within(a.shutdown()).await;
        account.follow(&mut events, |account| account.ended.len() == 4).await;
        assert_eq!(account.ended[3], EndReason::Closed);
        dead.push(other.kill());
    }
}

// proves S076
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_sessions_follow_each_other_their_events_do_not_mix() {
    let relay = relay().await;
    let (a, b) = (Identity::generate(), Identity::generate());
    let (id_a, id_b) = (a.device_id(), b.device_id());
    let (a, mut at_a) = start(device(&relay, a, id_b)).await;
    let (b, mut at_b) = start(device(&relay, b, id_a)).await;
    let (mut account_a, mut account_b) = (Account::default(), Account::default());
    for round in 0..40 {
        account_a.follow(&mut at_a, |account| account.live.is_some()).await;
        account_b.follow(&mut at_b, |account| account.live.is_some()).await;
        // One end or both of them close, and dial before the other has heard of it.
        let (here, there) = (account_a.live.clone().unwrap(), account_b.live.clone().unwrap());
        let (by_a, by_b) = (round % 3 != 0, round % 3 != 1);
        let again = async |session: Session, client: &Client, by_this: bool| {
            if by_this {
                session.close().await;
                assert!(client.session(session.device()).await.unwrap() != session);
            }
        };
        within(async { tokio::join!(again(here, &a, by_a), again(there, &b, by_b)) }).await;
        account_a.follow(&mut at_a, |account| account.ended.len() > round).await;
        account_b.follow(&mut at_b, |account| account.ended.len() > round).await;
    }
}

async fn reaches(client: &Client, wanted: ClientState) {
    within(client.watch_state().wait_for(|state| *state == wanted)).await.unwrap();
}

// proves S019
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superseded_client_says_so_until_its_app_comes_to_the_front() {
    let relay = relay().await;
    let (own, friend) = (Identity::generate(), Identity::generate().device_id());
    let (first, _events) = start(device(&relay, own.clone(), friend)).await;
    let (second, _events) = start(device(&relay, own.clone(), friend)).await;
    reaches(&first, ClientState::Superseded).await;
    for state in [AppState::Background, AppState::Suspended, AppState::Background] {
        within(first.set_app_state(state)).await;
        assert_eq!(first.state(), ClientState::Superseded, "{state:?}");
    }
    let address = "192.168.0.7".parse().unwrap();
    let wifi = NetworkSnapshot {
        online: true,
        medium: Medium::Wifi,
        addresses: vec![address],
        ..NetworkSnapshot::OFFLINE
    };
    for online in [true, false, true] {
        first.network_changed(NetworkSnapshot { online, ..wifi.clone() });
        // Facts are acted on when they have settled.
        tokio::time::sleep(2 * peers_proto::timing::NETWORK_SETTLE).await;
        assert_eq!(first.state(), ClientState::Superseded);
    }
    assert_eq!(second.state(), ClientState::Online);
    within(first.set_app_state(AppState::Foreground)).await;
    reaches(&first, ClientState::Online).await;
    reaches(&second, ClientState::Superseded).await;
    // And back.
    for state in [AppState::Suspended, AppState::Foreground] {
        within(second.set_app_state(state)).await;
    }
    reaches(&second, ClientState::Online).await;
    reaches(&first, ClientState::Superseded).await;
    within(first.shutdown()).await;
    within(first.set_app_state(AppState::Suspended)).await;
    within(first.set_app_state(AppState::Foreground)).await;
    assert_eq!(first.state(), ClientState::Closed);
    assert_eq!(second.state(), ClientState::Online);
}
