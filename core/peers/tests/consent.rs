//! Consent: what a device without it can do, and what follows when trust changes.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use peers::{
    Client, ClientBuilder, DeviceId, Error, Event, GroupId, Identity, Session, Transports, TrustLevel,
    TrustPolicy, UserId,
};
use support::{Device, Echo, World, everybody, talk};
use tokio::task::JoinHandle;

const RELAY: Transports = Transports { webrtc: false, relay: true };

fn dial(from: &Device, to: DeviceId) -> JoinHandle<Result<Session, Error>> {
    let client = from.client.clone();
    tokio::spawn(async move { client.session(to).await })
}

// proves S127, S135, D25: a stranger is shown to the app, and gets nowhere without its word. Both have the digits when it is
// given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_waits_for_a_decision() {
    let world = World::start().await;
    let mut a = world.client("a", Transports::default(), |b| b).await;
    let mut b = world.client("b", Transports::default(), |b| b).await;
    let dialing = dial(&a, b.client.device_id());
    let incoming = b.incoming().await;
    assert_eq!((incoming.device(), incoming.name(), incoming.sas()), (a.client.device_id(), "a", None));
    incoming.accept();
    let (incoming, asks) = (b.incoming().await, a.comparing().await);
    assert_eq!(asks, (b.client.device_id(), incoming.sas().unwrap().to_owned()));
    assert_eq!((incoming.device(), incoming.name()), (a.client.device_id(), "a"));
    assert!(b.client.sessions().is_empty() && a.client.sessions().is_empty() && !dialing.is_finished());
    incoming.accept();
    assert!(matches!(a.events.next().await, Some(Event::Compared(device)) if device == b.client.device_id()));
    let session = dialing.await.unwrap().unwrap();
    talk(&session, &b.connected().await).await;
}

// proves S127, D25
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_whose_digits_differ_is_turned_away_and_has_to_knock_again() {
    let world = World::start().await;
    let mut a = world.client("a", RELAY, |b| b).await;
    let mut b = world.client("b", RELAY, |b| b).await;
    let target = b.client.device_id();
    let dialing = dial(&a, target);
    b.incoming().await.accept();
    a.comparing().await;
    b.incoming().await.reject();
    assert_eq!(a.compared().await, target);
    assert_eq!(dialing.await.unwrap().unwrap_err(), Error::Denied);
    while !matches!(a.events.next().await, Some(Event::Offline(device)) if device == target) {}
    let again = dial(&a, target);
    assert_eq!(b.incoming().await.sas(), None);
    again.abort();
    assert!(b.client.sessions().is_empty());
}

/// Lets a person decide about everybody.
struct Asks;

impl TrustPolicy for Asks {
    fn trust(&self, _: DeviceId, _: UserId) -> Option<TrustLevel> {
        Some(TrustLevel::Unknown)
    }
}

// proves D25
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_people_can_be_asked_and_see_the_same_digits() {
    let world = World::start().await;
    let asks = |b: ClientBuilder| b.trust_policy(Arc::new(Asks)).open(true);
    let mut a = world.client("a", RELAY, asks).await;
    let mut b = world.client("b", RELAY, asks).await;
    let dialing = dial(&a, b.client.device_id());
    let (here, there) = (a.incoming().await, b.incoming().await);
    assert_eq!((here.sas().map(str::len), here.sas()), (Some(6), there.sas()));
    there.accept();
    here.accept();
    talk(&dialing.await.unwrap().unwrap(), &b.connected().await).await;
}

/// A knock that a person refuses, one that the block list refuses and one at an absent device look alike: they have no
/// answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_knock_has_no_answer() {
    let world = World::start().await;
    let mut asked = world.client("asked", RELAY, |b| b).await;
    let (person, blocked, absent) =
        (asked.client.device_id(), Identity::generate(), Identity::generate().device_id());
    let stranger = Identity::generate();
    let (id, block) = (blocked.device_id(), stranger.device_id());
    let _blocking =
        world.client("blocking", RELAY, |b| b.identity(blocked).trust(block, TrustLevel::Untrusted)).await;
    let a = world.client("a", RELAY, |b| b.identity(stranger)).await;
    let mut dials = [person, id, absent].map(|to| dial(&a, to));
    asked.incoming().await.reject();
    for dialing in &mut dials {
        let answer = tokio::time::timeout(Duration::from_millis(700), dialing).await;
        assert!(answer.is_err(), "{answer:?}");
    }
    assert!(asked.client.sessions().is_empty());
}

/// An open device lets strangers begin a handshake: its refusal is its own word, sealed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_device_refuses_a_stranger_after_the_handshake() {
    let world = World::start().await;
    let (keys, friend) = (Identity::generate(), Identity::generate());
    let (target, known) = (keys.device_id(), friend.device_id());
    let mut friend =
        world.client("friend", RELAY, |b| b.identity(friend).trust(target, TrustLevel::NewDevice)).await;
    let mut a = world.client("a", RELAY, |b| b).await;
    let open = |b: ClientBuilder| b.identity(keys).trust(known, TrustLevel::NewDevice).open(true);
    let mut b = world.client("b", RELAY, open).await;
    // The relay has the friend's name and the open door from the same message.
    while !matches!(friend.events.next().await, Some(Event::Online(_))) {}
    let dialing = dial(&a, target);
    let (incoming, (_, sas)) = (b.incoming().await, a.comparing().await);
    assert_eq!((sas.len(), incoming.sas()), (6, Some(&*sas)));
    incoming.reject();
    assert_eq!(dialing.await.unwrap().unwrap_err(), Error::Denied);
    assert!(b.client.sessions().is_empty());
}

/// Strangers that were accepted keep no place of strangers: an open device serves more of them than begin at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_device_serves_as_many_strangers_as_it_accepts() {
    let world = World::start().await;
    let mut open = world.client("open", RELAY, |b| b.open(true)).await;
    let target = open.client.device_id();
    let mut served = Vec::new();
    for n in 0..12 {
        let stranger = world.client(&format!("stranger {n}"), RELAY, |b| b).await;
        let dialing = dial(&stranger, target);
        open.incoming().await.accept();
        let session = dialing.await.unwrap().unwrap();
        talk(&session, &open.client.session(stranger.client.device_id()).await.unwrap()).await;
        served.push((stranger, session));
    }
    assert_eq!(open.client.sessions().len(), served.len());
}

/// A device that was started anew lets its friends in by its policy alone, which they cannot know: they knock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_device_with_a_policy_is_reached_again() {
    let world = World::start().await;
    let keys = Identity::generate();
    let target = keys.device_id();
    let a = world.client("a", RELAY, |b| b).await;
    let first = world.client("b", RELAY, |b| b.identity(keys.clone()).trust_policy(everybody())).await;
    a.client.session(target).await.unwrap();
    first.client.shutdown().await;
    let again = world.client("b", RELAY, |b| b.identity(keys).trust_policy(everybody())).await;
    let session = loop {
        // The first one may still be the session that has just ended.
        match a.client.session(target).await {
            Ok(session) => break session,
            Err(error) => assert!(matches!(error, Error::Closed | Error::SessionLost(_)), "{error:?}"),
        }
    };
    talk(&session, &again.connected().await).await;
}

/// Says yes, and before that the app has called the device malicious.
#[derive(Default)]
struct Overtaken(OnceLock<Client>);

impl TrustPolicy for Overtaken {
    fn trust(&self, device: DeviceId, _: UserId) -> Option<TrustLevel> {
        if let Some(client) = self.0.get() {
            client.trust(device, TrustLevel::Malicious).unwrap();
        }
        Some(TrustLevel::Trusted)
    }
}

// proves S127: the level that counts is the one at the moment of the session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_lost_its_trust_during_the_handshake_gets_no_session() {
    let world = World::start().await;
    let policy = Arc::new(Overtaken::default());
    let a = world.client("a", RELAY, |b| b.trust_policy(everybody())).await;
    let b = world.client("b", RELAY, |b| b.trust_policy(policy.clone())).await;
    policy.0.set(b.client.clone()).ok();
    let outcome = b.client.session(a.client.device_id()).await;
    assert_eq!(outcome.unwrap_err(), Error::Denied);
    assert!(b.client.sessions().is_empty());
}

struct Nobody;

impl TrustPolicy for Nobody {
    fn trust(&self, _: DeviceId, _: UserId) -> Option<TrustLevel> {
        Some(TrustLevel::Untrusted)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialing_does_not_overrule_the_policy() {
    let world = World::start().await;
    let a = world.client("a", RELAY, |b| b.trust_policy(Arc::new(Nobody))).await;
    let b = world.client("b", RELAY, |b| b.trust_policy(everybody())).await;
    let outcome = a.client.session(b.client.device_id()).await;
    assert_eq!(outcome.unwrap_err(), Error::Denied);
    assert!(a.client.sessions().is_empty());
}

/// Two devices of which both carry a group; `member` says whether the second one names the first as a member.
async fn grouped(world: &World, member: bool) -> (Device, Device, GroupId) {
    let group = GroupId::derive(b"notes");
    let (a, b) = (Identity::generate(), Identity::generate());
    let (ida, idb) = (a.device_id(), b.device_id());
    let setup = |own: Identity, other: DeviceId, member: bool| {
        move |b: ClientBuilder| {
            let (echo, _) = Echo::watched();
            let b = b.identity(own).trust(other, TrustLevel::Trusted).group(group).handler("echo", echo);
            if member { b.member(group, other) } else { b }
        }
    };
    let a = world.client("a", RELAY, setup(a, idb, true)).await;
    let b = world.client("b", RELAY, setup(b, ida, member)).await;
    (a, b, group)
}

// proves S129: a group's data passes only where both ends name the other as a member.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_data_needs_membership_on_both_sides() {
    let world = World::start().await;
    for member in [true, false] {
        let (a, b, group) = grouped(&world, member).await;
        let session = a.client.session(b.client.device_id()).await.unwrap();
        let there = b.connected().await;
        let answer = session.request("echo", "echo").group(group).send("x").await;
        assert_eq!(answer.is_ok(), member, "{answer:?}");
        session.send_to_group(group, "for the group").await.unwrap();
        session.send("for this device").await.unwrap();
        let first = there.recv().await.unwrap();
        assert_eq!(first.group, member.then_some(group));
        let back = there.send_to_group(group, "back").await;
        assert_eq!(back.is_ok(), member, "{back:?}");
    }
}
