//! Who is dialed without being asked, and through which relay.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use peers::{
    Client, ClientBuilder, ClientState, DeviceId, EndReason, Event, Events, Identity, Session, Transports,
    TrustLevel,
};
use peers_relay::{Relay, RelayConfig};

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

async fn start(builder: ClientBuilder, relays: &[&Relay]) -> (Client, Events) {
    let url = |relay: &&Relay| format!("ws://{}", relay.local_addr());
    let builder = relays.iter().map(url).fold(builder, ClientBuilder::relay).loopback(true);
    let (client, events) = builder.start().await.unwrap();
    client.watch_state().wait_for(|s| *s == ClientState::Online).await.unwrap();
    (client, events)
}

async fn connected(events: &mut Events) -> Session {
    loop {
        if let Event::Connected { session, .. } = events.next().await.unwrap() {
            return session;
        }
    }
}

async fn talk(here: &Session, there: &Session, word: &str) {
    for (from, to) in [(here, there), (there, here)] {
        from.send(word).await.unwrap();
        assert_eq!(to.recv().await.unwrap().decode::<String>().unwrap(), word);
    }
}

/// Two devices that know each other's id.
fn acquainted(transports: Transports) -> [ClientBuilder; 2] {
    let (a, b) = (Identity::generate(), Identity::generate());
    let (id_a, id_b) = (a.device_id(), b.device_id());
    let builder = |own: Identity, other: DeviceId| {
        Client::builder().identity(own).transports(transports).trust(other, TrustLevel::Trusted)
    };
    [builder(a, id_b), builder(b, id_a)]
}

// proves S071, S073, S074, S075: trusted devices are tried at once, and again when they come online.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_that_know_each_other_connect_without_being_asked() {
    let relay = relay().await;
    let [a, b] = acquainted(RELAY);
    let (_a, mut at_a) = start(a, &[&relay]).await;
    let (_b, mut at_b) = start(b, &[&relay]).await;
    let (here, there) = (within(connected(&mut at_a)).await, within(connected(&mut at_b)).await);
    within(talk(&here, &there, "hello")).await;
}

// proves S188: each has another first relay, and only one in common.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_reached_through_the_relay_that_both_share() {
    let (first, second, third) = (relay().await, relay().await, relay().await);
    let everybody = |_| Client::builder().transports(RELAY);
    let [a, b] = [0, 1].map(everybody);
    let (b, mut at_b) = start(b, &[&third, &second]).await;
    let (a, _at_a) = start(a, &[&first, &second]).await;
    let asking = tokio::spawn(async move {
        loop {
            match at_b.next().await.unwrap() {
                // Its knock, then its handshake.
                Event::Incoming(incoming) => incoming.accept(),
                Event::Connected { session, .. } => return session,
                _ => {}
            }
        }
    });
    let here = within(a.session(b.device_id())).await.unwrap();
    let there = within(asking).await.unwrap();
    within(talk(&here, &there, "hello")).await;
}

// proves S188
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_goes_on_through_another_relay_when_its_own_is_gone() {
    let relays = [relay().await, relay().await];
    let [a, b] = acquainted(RELAY);
    let (_a, mut at_a) = start(a, &[&relays[0], &relays[1]]).await;
    let (_b, mut at_b) = start(b, &[&relays[0], &relays[1]]).await;
    let (here, there) = (within(connected(&mut at_a)).await, within(connected(&mut at_b)).await);
    within(talk(&here, &there, "before")).await;
    // Whichever of them carries the session, one goes and comes back, then the other one goes.
    let [first, second] = relays;
    first.shutdown().await;
    within(talk(&here, &there, "without the first")).await;
    let config = RelayConfig { bind: second.local_addr(), ..RelayConfig::default() };
    second.shutdown().await;
    let _again = Relay::start(config).await.unwrap();
    within(talk(&here, &there, "and the second restarted")).await;
}

// One way that leads nowhere for twenty seconds is no reason to wait with the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_path_is_dialed_anew_while_webrtc_is_still_being_tried() {
    let relay = relay().await;
    let [a, b] = acquainted(RELAY);
    let (_b, mut at_b) = start(b, &[&relay]).await;
    // Nobody answers its offers.
    let (_a, mut at_a) = start(a.transports(Transports::default()), &[&relay]).await;
    let (here, there) = (within(connected(&mut at_a)).await, within(connected(&mut at_b)).await);
    within(talk(&here, &there, "before")).await;
    let lost = Instant::now();
    let config = RelayConfig { bind: relay.local_addr(), ..RelayConfig::default() };
    relay.shutdown().await;
    let _again = Relay::start(config).await.unwrap();
    within(talk(&here, &there, "after")).await;
    assert!(lost.elapsed() < Duration::from_secs(10), "{:?}", lost.elapsed());
}

async fn disconnected(events: &mut Events) -> EndReason {
    loop {
        if let Event::Disconnected { reason, .. } = events.next().await.unwrap() {
            return reason;
        }
    }
}

// proves S113, S115
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_forty_devices_thirty_stay_and_the_others_are_told() {
    const DEVICES: usize = 40;
    const KEPT: usize = 30;
    let relay = relay().await;
    let (own, peers): (_, Vec<_>) =
        (Identity::generate(), (0..DEVICES).map(|_| Identity::generate()).collect());
    let hub_id = own.device_id();
    let hub = Client::builder().identity(own).transports(RELAY);
    let hub = peers.iter().fold(hub, |hub, peer| hub.trust(peer.device_id(), TrustLevel::Trusted));
    let (hub, mut hub_events) = start(hub, &[&relay]).await;
    let mut crowd = Vec::new();
    for peer in peers {
        let peer = Client::builder().identity(peer).transports(RELAY).trust(hub_id, TrustLevel::Trusted);
        crowd.push(start(peer, &[&relay]).await);
    }
    for _ in KEPT..DEVICES {
        assert_eq!(within(disconnected(&mut hub_events)).await, EndReason::Evicted);
    }
    let mut told = 0;
    for (client, events) in &mut crowd {
        if hub.sessions().iter().any(|session| session.device() == client.device_id()) {
            continue;
        }
        assert_eq!(within(disconnected(events)).await, EndReason::ClosedByPeer);
        told += 1;
    }
    assert_eq!((told, hub.sessions().len()), (DEVICES - KEPT, KEPT));
    // They rest for a while, and nobody else goes for them.
    let again = tokio::time::timeout(Duration::from_secs(3), disconnected(&mut hub_events)).await;
    assert!(again.is_err(), "{again:?}");
    assert_eq!(hub.sessions().len(), KEPT);
}

/// What was under way for a session when it was closed neither brings it back nor passes for the next dial.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_session_stays_closed_and_the_next_one_begins_at_once() {
    let relay = relay().await;
    let [a, b] = acquainted(Transports::default());
    let (a, mut at_a) = start(a, &[&relay]).await;
    let (b, mut at_b) = start(b, &[&relay]).await;
    // They have found each other already.
    let mut sessions = (within(connected(&mut at_a)).await, within(connected(&mut at_b)).await);
    for round in 0..20 {
        let (here, there) = sessions;
        within(talk(&here, &there, "hello")).await;
        let closing = if round % 2 == 0 { &here } else { &there };
        within(closing.close()).await;
        let reasons = (within(disconnected(&mut at_a)).await, within(disconnected(&mut at_b)).await);
        use EndReason::{Closed, ClosedByPeer};
        let by_a = closing.device() == b.device_id();
        let expected = if by_a { (Closed, ClosedByPeer) } else { (ClosedByPeer, Closed) };
        assert_eq!(reasons, expected, "round {round}");
        assert!(a.sessions().is_empty() && b.sessions().is_empty(), "round {round}");
        // Either end may begin the next one.
        let (from, to) = if round % 3 == 0 { (&a, b.device_id()) } else { (&b, a.device_id()) };
        within(from.session(to)).await.unwrap();
        sessions = (within(connected(&mut at_a)).await, within(connected(&mut at_b)).await);
    }
}
