//! One device, and what others and the network do to it.

use std::time::Duration;

mod admission;

use super::*;
use crate::certificate::DeviceCertificate;
use crate::keys::{DeviceKeys, UserKeys};
use crate::network::{Medium, NetworkSnapshot};
use crate::path::Tier;
use crate::session::Resume;
use crate::time::UnixTime;
use crate::timing::{GOODBYE, HANDSHAKE_TIMEOUT, KNOCK_PATIENCE, NETWORK_SETTLE};
use crate::transport_kind::TransportKind;
use crate::trust::{KnownKeys, Pins};

/// A device in the foreground, and the outputs that were not looked at.
struct World {
    engine: Engine,
    now: Instant,
}

/// The certificate of another device; each has a user of its own.
fn certificate(seed: u8) -> DeviceCertificate {
    let (user, keys) = (UserKeys::from_seed([seed; 32]), DeviceKeys::from_seed([seed; 32]));
    DeviceCertificate::issue(&user, &keys, UnixTime(1000), "phone").unwrap()
}

/// The device that most tests speak of.
fn peer() -> DeviceId {
    certificate(2).device_id()
}

fn config() -> EngineConfig {
    EngineConfig {
        local: DeviceId::from_bytes([1; 20]),
        own_user: UserId::from_bytes([1; 20]),
        ways: Ways { webrtc: true, relay: true, ..Ways::default() },
        levels: BTreeMap::new(),
        groups: HashSet::new(),
        members: HashMap::new(),
        pins: Pins::default(),
        open: false,
    }
}

impl World {
    fn new() -> Self {
        Self::with(config())
    }

    fn with(config: EngineConfig) -> Self {
        let now = Instant::from_micros(3_600_000_000);
        let mut engine = Engine::new(config, [7; 32], now);
        engine.handle_network(network(1), now);
        Self { engine, now }
    }

    /// The outputs, but those about admission.
    fn outputs(&mut self) -> Vec<Output> {
        let admission = |output: &Output| {
            matches!(output, Output::Handshake(..) | Output::Visible | Output::Release(_))
                || matches!(output, Output::Level(..) | Output::Keys(..))
        };
        self.all_outputs().into_iter().filter(|output| !admission(output)).collect()
    }

    fn all_outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.engine.poll_output()).collect()
    }

    fn request(&mut self, id: u64, device: DeviceId) {
        self.engine.request(RequestId(id), device, TrustLevel::Trusted);
    }

    fn fetch(&mut self, dial: DialId) {
        self.engine.handle_relay(dial, Ok(()), self.now);
        self.engine.handle_fetched(dial, Some(&certificate(2)), self.now);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.engine.handle_timeout(self.now);
    }

    /// The dial that was just decided on, once its keys are known, and the ways that it takes.
    fn dial(&mut self) -> (DialId, Vec<Way>) {
        let id = begun(&self.outputs()).unwrap();
        self.fetch(id);
        (id, self.outputs().iter().filter_map(taken).collect())
    }

    /// A connection of the peer, or one that was dialed in this epoch; the peer sends this READY.
    fn join(&mut self, dialed_as: Option<u64>, theirs: Resume) -> Option<Join> {
        self.join_of(certificate(2), dialed_as, theirs)
    }

    fn join_of(
        &mut self,
        certificate: DeviceCertificate,
        dialed_as: Option<u64>,
        theirs: Resume,
    ) -> Option<Join> {
        let level = TrustLevel::Trusted;
        let id = match dialed_as {
            Some(epoch) => self.engine.handle_outgoing(epoch),
            None => self.engine.handle_incoming(level, self.now),
        };
        self.engine.handle_authenticated(id, Applicant { certificate, sas: None }, level, self.now);
        self.engine.ready(id, 0).unwrap();
        let route = TransportKind::Relay.into();
        self.engine.establish(id, theirs, level, route, Vec::new, self.now)
    }

    fn report(&mut self, session: SessionId, change: SessionChange) {
        let route = Some(TransportKind::Relay.into());
        let status = if let SessionChange::Status(status) = change { status } else { Status::Usable };
        self.engine.handle_session(session, peer(), change, SessionState { status, route }, self.now);
    }

    /// A session with the peer's epoch 5, on a path.
    fn session(&mut self) -> SessionId {
        let session = self.join(None, resume(5, 0)).unwrap().session;
        self.report(session, SessionChange::Path(TransportKind::Relay.into()));
        self.report(session, SessionChange::Status(Status::Usable));
        self.outputs();
        session
    }
}

fn resume(epoch: u64, with: u64) -> Resume {
    Resume { epoch, with, next: 0 }
}

fn network(number: u64) -> NetworkSnapshot {
    NetworkSnapshot {
        online: true,
        network: Some(number),
        medium: Medium::Wifi,
        metered: false,
        validated: true,
        addresses: Vec::new(),
    }
}

/// The way that an output takes.
fn taken(output: &Output) -> Option<Way> {
    match output {
        Output::Take(_, _, way) => Some(way.clone()),
        // A negotiation with a peer that it does not know begins with a question.
        Output::Negotiation(NegotiationOutput::Send { .. }) => Some(Way::WebRtc),
        _ => None,
    }
}

/// The dial that begins in these outputs.
fn begun(outputs: &[Output]) -> Option<DialId> {
    outputs.iter().find_map(|output| if let Output::FindRelay(id, _) = output { Some(*id) } else { None })
}

fn answers(outputs: &[Output]) -> Vec<(RequestId, Result<SessionId, DialFailure>)> {
    let answer = |output: &Output| match output {
        Output::Answer(id, answer) => Some((*id, answer.clone())),
        _ => None,
    };
    outputs.iter().filter_map(answer).collect()
}

#[test]
fn requests_for_one_device_share_a_dial_and_its_session() {
    let mut w = World::new();
    w.request(1, peer());
    let (dial, ways) = w.dial();
    assert_eq!(ways, [Way::Relay, Way::WebRtc]);
    w.request(2, peer());
    assert_eq!(w.outputs(), [], "the dial under way is its own");
    let epoch = w.engine.epoch_of(dial);
    let session = w.join(epoch, resume(5, 0)).unwrap().session;
    w.engine.handle_way(dial, &Way::Relay, Ok(()), w.now);
    assert_eq!(answers(&w.outputs()), [], "its driver has not reported the path");
    w.report(session, SessionChange::Path(TransportKind::Relay.into()));
    assert_eq!(answers(&w.outputs()), [(RequestId(1), Ok(session)), (RequestId(2), Ok(session))]);
    w.request(3, peer());
    assert_eq!(answers(&w.outputs()), [(RequestId(3), Ok(session))]);
}

#[test]
fn a_request_fails_when_every_way_has_failed_and_says_why_of_each() {
    let mut w = World::new();
    w.request(1, peer());
    let (dial, _) = w.dial();
    let failure = |why: &str| Err(DialFailure::Unreachable(why.into()));
    w.engine.handle_way(dial, &Way::Relay, failure("away"), w.now);
    assert_eq!(answers(&w.outputs()), []);
    w.engine.handle_way(dial, &Way::WebRtc, failure("blocked"), w.now);
    let outputs = w.outputs();
    assert_eq!(
        answers(&outputs),
        [(RequestId(1), failure("relay: away; webrtc: blocked").map(|()| SessionId(0)))]
    );
    assert!(outputs.contains(&Output::Stop(dial)));
}

#[test]
fn the_way_through_relays_is_tried_again_when_a_relay_has_ended_or_lost_what_was_sent() {
    let offline = || Err(DialFailure::Offline("the relay has ended".into()));
    let unreachable = || Err(DialFailure::Unreachable("timed out".into()));
    for (first, wait, tries) in [
        (offline(), Duration::ZERO, 3),
        (unreachable(), HANDSHAKE_TIMEOUT, 2),
        (unreachable(), HANDSHAKE_TIMEOUT - Duration::from_micros(1), 1),
    ] {
        let mut w = World::new();
        w.request(1, peer());
        let (dial, _) = w.dial();
        for _ in 1..tries {
            w.pass(wait);
            w.engine.handle_way(dial, &Way::Relay, first.clone(), w.now);
            assert_eq!(w.outputs().iter().filter_map(taken).collect::<Vec<_>>(), [Way::Relay]);
        }
        w.now += wait;
        w.engine.handle_way(dial, &Way::Relay, first, w.now);
        assert!(!w.outputs().iter().any(|output| taken(output) == Some(Way::Relay)));
        w.engine.handle_way(dial, &Way::WebRtc, unreachable(), w.now);
        assert!(matches!(answers(&w.outputs())[..], [(RequestId(1), Err(DialFailure::Unreachable(_)))]));
    }
}

/// An address of the peer, whose keys are known from an earlier run.
fn with_address() -> (World, Way) {
    let (url, pins) =
        ("ws://192.168.1.2:7000".to_owned(), Pins::load([(peer(), KnownKeys::of(&certificate(2)))]));
    let addresses = HashMap::from([(peer(), vec![(url.clone(), Tier::Lan)])]);
    let ways = Ways { addresses, ..config().ways };
    (World::with(EngineConfig { ways, pins, ..config() }), Way::Address(url))
}

// proves S191
#[test]
fn an_address_of_a_known_device_is_dialed_without_a_relay() {
    let (mut w, address) = with_address();
    w.request(1, peer());
    let outputs = w.outputs();
    let dial = begun(&outputs).unwrap();
    assert_eq!(outputs.iter().filter_map(taken).collect::<Vec<_>>(), std::slice::from_ref(&address));
    w.engine.handle_relay(dial, Err("it sleeps".into()), w.now);
    assert_eq!(answers(&w.outputs()), []);
    let session = w.join(w.engine.epoch_of(dial), resume(5, 0)).unwrap().session;
    w.engine.handle_way(dial, &address, Ok(()), w.now);
    w.report(session, SessionChange::Path(TransportKind::Lan.into()));
    let outputs = w.outputs();
    assert_eq!(answers(&outputs), [(RequestId(1), Ok(session))]);
    assert!(outputs.contains(&Output::Stop(dial)));
}

#[test]
fn addresses_that_fail_leave_the_other_ways_to_the_relay_and_a_failure_names_both() {
    let failed = || Err(DialFailure::Unreachable("refused".into()));
    let relay = || Err("it sleeps".to_owned());
    let expected = |why: &str| vec![(RequestId(1), Err(DialFailure::Unreachable(why.into())))];
    for address_first in [true, false] {
        let (mut w, address) = with_address();
        w.request(1, peer());
        let dial = begun(&w.outputs()).unwrap();
        if address_first {
            w.engine.handle_way(dial, &address, failed(), w.now);
            assert_eq!(answers(&w.outputs()), []);
            w.engine.handle_relay(dial, relay(), w.now);
            assert_eq!(answers(&w.outputs()), expected("address: refused; relay: it sleeps"));
        } else {
            w.engine.handle_relay(dial, relay(), w.now);
            w.engine.handle_way(dial, &address, failed(), w.now);
            assert_eq!(answers(&w.outputs()), expected("relay: it sleeps; address: refused"));
        }
    }
    let (mut w, address) = with_address();
    w.request(1, peer());
    let dial = begun(&w.outputs()).unwrap();
    w.engine.handle_way(dial, &address, failed(), w.now);
    w.engine.handle_relay(dial, Ok(()), w.now);
    w.pass(KNOCK_PATIENCE);
    assert_eq!(w.outputs().iter().filter_map(taken).collect::<Vec<_>>(), [Way::Relay, Way::WebRtc]);
}

#[test]
fn a_dial_that_a_request_joins_knocks_for_it() {
    let mut w = World::new();
    w.engine.set_trust(peer(), TrustLevel::Trusted, w.now);
    w.pass(Duration::ZERO);
    let dial = begun(&w.outputs()).unwrap();
    w.request(1, peer());
    assert_eq!(w.outputs(), [], "it joins the dial under way");
    w.engine.handle_relay(dial, Ok(()), w.now);
    assert_eq!(w.outputs(), [Output::FetchCertificate(dial, peer())]);
    w.engine.handle_fetched(dial, None, w.now);
    assert_eq!(w.outputs(), [Output::Knock(peer())]);
    w.pass(crate::timing::APPROVAL_TIMEOUT);
    assert!(matches!(answers(&w.outputs())[..], [(RequestId(1), Err(DialFailure::Unreachable(_)))]));
}

// proves S127
#[test]
fn a_refusal_by_the_peer_ends_a_dial_on_all_ways() {
    let mut w = World::new();
    w.request(1, peer());
    let (dial, _) = w.dial();
    w.engine.handle_way(dial, &Way::Relay, Err(DialFailure::Denied), w.now);
    let outputs = w.outputs();
    assert_eq!(answers(&outputs), [(RequestId(1), Err(DialFailure::Denied))]);
    assert!(outputs.contains(&Output::Stop(dial)));
}

#[test]
fn a_dial_ends_with_the_session_that_it_was_for_and_a_request_gets_another() {
    let mut w = World::new();
    let session = w.session();
    w.report(session, SessionChange::Down);
    w.request(1, peer());
    let (first, _) = w.dial();
    w.report(session, SessionChange::Ending(EndReason::Closed));
    w.report(session, SessionChange::Ended(EndReason::Closed));
    let outputs = w.outputs();
    assert!(outputs.contains(&Output::Stop(first)), "{outputs:?}");
    let again = begun(&outputs).is_some_and(|dial| dial != first);
    assert!(again && answers(&outputs).is_empty(), "{outputs:?}");
}

#[test]
fn a_negotiation_for_a_session_that_is_closed_leads_nowhere() {
    let mut w = World::new();
    let session = w.session();
    w.report(session, SessionChange::Down);
    w.report(session, SessionChange::Status(Status::Down));
    w.engine.handle_presence(0, peer(), Presence::Online, w.now);
    w.request(1, peer());
    let (dial, _) = w.dial();
    w.engine.handle_way(dial, &Way::Relay, Err(DialFailure::Unreachable("away".into())), w.now);
    assert_eq!(answers(&w.outputs()), []);
    w.report(session, SessionChange::Ending(EndReason::Closed));
    assert!(matches!(answers(&w.outputs())[..], [(_, Err(DialFailure::Unreachable(_)))]));
}

#[test]
fn a_connection_for_a_closed_session_begins_no_other() {
    let mut w = World::new();
    let epoch = w.engine.epoch(peer());
    let session = w.session();
    w.report(session, SessionChange::Ended(EndReason::Closed));
    w.outputs();
    assert_eq!(w.join(Some(epoch), resume(6, 0)), None, "dialed before the end");
    assert_eq!(w.join(None, resume(5, epoch)), None, "the peer has not heard of it");
    assert!(w.join(None, resume(6, 0)).is_some_and(|join| join.begins.is_some()));
}

// proves S019
#[test]
fn another_instance_of_the_peer_replaces_the_session_and_the_app_sees_both() {
    let mut w = World::new();
    let first = w.session();
    let second = w.join(None, resume(6, 0)).unwrap().session;
    let route = TransportKind::Relay.into();
    let events = [
        Output::End(first, EndReason::PeerRestarted),
        Output::Event(first, peer(), AppEvent::Disconnected(EndReason::PeerRestarted)),
        Output::Event(second, peer(), AppEvent::Connected(route)),
    ];
    assert_eq!(w.outputs(), events);
    w.report(first, SessionChange::Ended(EndReason::PeerRestarted));
    assert_eq!((w.outputs(), w.engine.session(peer())), (vec![], Some(second)), "its driver reports late");
}

// proves S096
#[test]
fn another_network_begins_every_dial_anew_once_its_facts_have_settled() {
    let mut w = World::new();
    w.request(1, peer());
    let (dial, _) = w.dial();
    w.engine.handle_network(network(2), w.now);
    assert_eq!(w.outputs(), []);
    w.pass(NETWORK_SETTLE);
    let outputs = w.outputs();
    let at = |wanted: &Output| outputs.iter().position(|output| output == wanted);
    let relays = at(&Output::Relays(RelayInput::NetworkChanged { another: true }));
    assert!(at(&Output::Stop(dial)) < relays && at(&Output::RenewNames) < relays);
    assert!(relays < at(&Output::Sessions(SessionInput::NetworkChanged { another: true })), "{outputs:?}");
    assert!(begun(&outputs).is_some_and(|again| again != dial));
}

#[test]
fn relays_close_after_the_sessions_and_not_for_an_app_that_is_back() {
    let mut w = World::new();
    let session = w.session();
    w.engine.set_app_state(AppState::Suspended, w.now);
    assert!(w.outputs().contains(&Output::Sessions(SessionInput::Suspend)));
    w.report(session, SessionChange::Status(Status::Away));
    let closed = [Output::Relays(RelayInput::Suspend), Output::Suspended];
    assert!(w.outputs().windows(2).any(|outputs| outputs == closed));
    w.request(1, peer());
    assert_eq!(answers(&w.outputs()), [(RequestId(1), Err(DialFailure::Suspended))]);
    w.engine.set_app_state(AppState::Foreground, w.now);
    assert!(w.outputs().contains(&Output::Relays(RelayInput::Resume)));
    // A session whose path takes nothing is not waited for, and an app that is back is not suspended.
    w.report(session, SessionChange::Path(TransportKind::Relay.into()));
    for comes_back in [false, true] {
        w.engine.set_app_state(AppState::Suspended, w.now);
        if comes_back {
            w.engine.set_app_state(AppState::Foreground, w.now);
        }
        w.outputs();
        w.pass(GOODBYE);
        assert_eq!(w.outputs().contains(&Output::Relays(RelayInput::Suspend)), !comes_back);
        w.engine.set_app_state(AppState::Foreground, w.now);
    }
}

// proves S022
#[test]
fn a_request_that_waits_outlives_a_suspension() {
    let mut w = World::new();
    w.request(1, peer());
    let (dial, _) = w.dial();
    w.engine.set_app_state(AppState::Suspended, w.now);
    for way in [Way::WebRtc, Way::Relay] {
        w.engine.handle_way(dial, &way, Err(DialFailure::Unreachable("no network".into())), w.now);
    }
    assert_eq!(answers(&w.outputs()), []);
    w.engine.set_app_state(AppState::Foreground, w.now);
    let (again, _) = w.dial();
    assert_ne!(again, dial);
    let session = w.join(w.engine.epoch_of(again), resume(5, 0)).unwrap().session;
    w.report(session, SessionChange::Path(TransportKind::Relay.into()));
    assert_eq!(answers(&w.outputs()), [(RequestId(1), Ok(session))]);
}

#[test]
fn one_session_too_many_is_evicted_and_answers_no_request() {
    let mut w = World::new();
    for n in 0..=crate::limits::MAX_CONNECTIONS as u8 {
        w.join_of(certificate(n + 3), None, resume(5, 0)).unwrap();
    }
    let evicted = |output| if let Output::Evict(_, device, _) = output { Some(device) } else { None };
    let evicted: Vec<_> = w.outputs().into_iter().filter_map(evicted).collect();
    assert_eq!(evicted.len(), 1);
    w.request(1, evicted[0]);
    assert_eq!(w.outputs(), [], "its end comes first");
}
