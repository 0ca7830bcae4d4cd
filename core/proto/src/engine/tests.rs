//! One device, and what others and the network do to it.

use std::time::Duration;

use super::*;
use crate::id::UserId;
use crate::network::{Medium, NetworkSnapshot};
use crate::session::Resume;
use crate::timing::{GOODBYE, NETWORK_SETTLE};
use crate::transport_kind::TransportKind;

const PEER: DeviceId = DeviceId::from_bytes([2; 20]);

/// A device in the foreground, and the outputs that were not looked at.
struct World {
    engine: Engine,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let now = Instant::from_micros(3_600_000_000);
        let ways = Ways { webrtc: true, relay: true, ..Ways::default() };
        let mut engine = Engine::new(DeviceId::from_bytes([1; 20]), ways, 7, now);
        engine.handle_network(network(1), now);
        Self { engine, now }
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.engine.poll_output()).collect()
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.engine.handle_timeout(self.now);
    }

    /// The dial that was just decided on, once its keys are known, and the ways that it takes.
    fn dial(&mut self) -> (DialId, Vec<Way>) {
        let learn = |output: &Output| if let Output::LearnKeys(id, _) = output { Some(*id) } else { None };
        let id = self.outputs().iter().find_map(learn).unwrap();
        self.engine.handle_keys(id, Ok(()), self.now);
        let taken =
            |output| if let Output::Take(of, _, way) = output { (of == id).then_some(way) } else { None };
        (id, self.outputs().into_iter().filter_map(taken).collect())
    }

    /// A connection that `theirs` began as a dial of this device, in its present epoch or `dialed_as` one.
    fn join(&mut self, dialed_as: Option<u64>, theirs: Resume) -> Option<Join> {
        let ours = self.engine.ready(PEER, dialed_as, 0);
        let connection = ReadyConnection {
            device: PEER,
            user: UserId::from_bytes([9; 20]),
            level: TrustLevel::Trusted,
            groups: Default::default(),
            ours,
            theirs,
            dialed: dialed_as.is_some(),
            route: TransportKind::Relay.into(),
        };
        self.engine.establish(connection, Vec::new, self.now)
    }

    fn report(&mut self, session: SessionId, change: SessionChange) {
        let route = Some(TransportKind::Relay.into());
        let status = if let SessionChange::Status(status) = change { status } else { Status::Usable };
        self.engine.handle_session(session, PEER, change, SessionState { status, route }, self.now);
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
    w.engine.request(RequestId(1), PEER);
    let (dial, ways) = w.dial();
    assert_eq!(ways, [Way::WebRtc, Way::Relay]);
    w.engine.request(RequestId(2), PEER);
    assert_eq!(w.outputs(), [], "the dial under way is its own");
    let epoch = w.engine.epoch_of(dial);
    let session = w.join(epoch, resume(5, 0)).unwrap().session;
    w.engine.handle_way(dial, &Way::Relay, Ok(()), w.now);
    assert_eq!(answers(&w.outputs()), [], "its driver has not reported the path");
    w.report(session, SessionChange::Path(TransportKind::Relay.into()));
    assert_eq!(answers(&w.outputs()), [(RequestId(1), Ok(session)), (RequestId(2), Ok(session))]);
    w.engine.request(RequestId(3), PEER);
    assert_eq!(answers(&w.outputs()), [(RequestId(3), Ok(session))]);
}

#[test]
fn a_request_fails_when_every_way_has_failed_and_says_why_of_each() {
    let mut w = World::new();
    w.engine.request(RequestId(1), PEER);
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
fn a_request_is_not_answered_by_a_dial_that_did_not_knock() {
    let mut w = World::new();
    w.engine.set_trust(PEER, TrustLevel::Trusted, w.now);
    w.pass(Duration::ZERO);
    let learn = |output: &Output| if let Output::LearnKeys(id, _) = output { Some(*id) } else { None };
    let unwanted = w.outputs().iter().find_map(learn).unwrap();
    w.engine.request(RequestId(1), PEER);
    assert_eq!(w.outputs(), [], "it joins the dial under way");
    let away = || Err(DialFailure::Unreachable("away".into()));
    w.engine.handle_keys(unwanted, away(), w.now);
    let outputs = w.outputs();
    assert_eq!(answers(&outputs), []);
    let wanted = outputs.iter().find_map(learn).unwrap();
    w.engine.handle_keys(wanted, away(), w.now);
    assert_eq!(answers(&w.outputs()), [(RequestId(1), away().map(|()| SessionId(0)))]);
}

// proves S127
#[test]
fn a_refusal_by_the_peer_ends_a_dial_on_all_ways() {
    let mut w = World::new();
    w.engine.request(RequestId(1), PEER);
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
    w.engine.request(RequestId(1), PEER);
    let (first, _) = w.dial();
    w.report(session, SessionChange::Ending(EndReason::Closed));
    assert!(w.outputs().contains(&Output::Closing(PEER, true)));
    w.report(session, SessionChange::Ended(EndReason::Closed));
    let outputs = w.outputs();
    assert!(outputs.contains(&Output::Stop(first)), "{outputs:?}");
    let again = outputs.iter().any(|output| matches!(output, Output::LearnKeys(id, _) if *id != first));
    assert!(again && answers(&outputs).is_empty(), "{outputs:?}");
}

#[test]
fn a_connection_for_a_closed_session_begins_no_other() {
    let mut w = World::new();
    let epoch = w.engine.epoch(PEER);
    let session = w.session();
    w.report(session, SessionChange::Ended(EndReason::Closed));
    w.outputs();
    assert_eq!(w.join(Some(epoch), resume(6, 0)), None, "dialed before the end");
    assert_eq!(w.join(None, resume(5, epoch)), None, "the peer has not heard of it");
    assert!(w.join(None, resume(6, 0)).is_some_and(|join| join.is_new));
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
        Output::Event(first, PEER, AppEvent::Disconnected(EndReason::PeerRestarted)),
        Output::Event(second, PEER, AppEvent::Connected(route)),
    ];
    assert_eq!(w.outputs(), events);
    w.report(first, SessionChange::Ended(EndReason::PeerRestarted));
    assert_eq!((w.outputs(), w.engine.session(PEER)), (vec![], Some(second)), "its driver reports late");
}

// proves S096
#[test]
fn another_network_begins_every_dial_anew_once_its_facts_have_settled() {
    let mut w = World::new();
    w.engine.request(RequestId(1), PEER);
    let (dial, _) = w.dial();
    w.engine.handle_network(network(2), w.now);
    assert_eq!(w.outputs(), []);
    w.pass(NETWORK_SETTLE);
    let outputs = w.outputs();
    let at = |wanted: &Output| outputs.iter().position(|output| output == wanted);
    let relays = at(&Output::Relays(RelayInput::NetworkChanged { another: true }));
    assert!(at(&Output::Stop(dial)) < relays && at(&Output::RenewNames) < relays);
    assert!(relays < at(&Output::Sessions(SessionInput::NetworkChanged { another: true })), "{outputs:?}");
    assert!(outputs.iter().any(|output| matches!(output, Output::LearnKeys(id, _) if *id != dial)));
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
    w.engine.request(RequestId(1), PEER);
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
    w.engine.request(RequestId(1), PEER);
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
        let device = DeviceId::from_bytes([n + 3; 20]);
        let ours = w.engine.ready(device, None, 0);
        let connection = ReadyConnection {
            device,
            user: UserId::from_bytes([n; 20]),
            level: TrustLevel::Trusted,
            groups: Default::default(),
            ours,
            theirs: resume(5, 0),
            dialed: false,
            route: TransportKind::Relay.into(),
        };
        w.engine.establish(connection, Vec::new, w.now).unwrap();
    }
    let evicted = |output| if let Output::Evict(_, device, _) = output { Some(device) } else { None };
    let evicted: Vec<_> = w.outputs().into_iter().filter_map(evicted).collect();
    assert_eq!(evicted.len(), 1);
    w.engine.request(RequestId(1), evicted[0]);
    assert_eq!(w.outputs(), [], "its end comes first");
}
