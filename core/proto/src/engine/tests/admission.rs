//! Devices that ask to connect, and the app's answers.

use super::*;
use crate::id::ConnectionId;
use crate::limits::{ARRIVAL_BURST, MAX_DECISIONS, MAX_HANDSHAKES, MAX_STRANGER_HANDSHAKES};
use crate::timing::{APPROVAL_TIMEOUT, COMPARING, HANDSHAKE_TIMEOUT, KNOCK_PATIENCE};

impl World {
    /// The steps of handshakes and the questions.
    fn steps(&mut self) -> Vec<(HandshakeId, HandshakeStep)> {
        let step = |output| if let Output::Handshake(id, step) = output { Some((id, step)) } else { None };
        self.all_outputs().into_iter().filter_map(step).collect()
    }

    fn question(&mut self) -> Option<QuestionId> {
        self.all_outputs().into_iter().find_map(|o| if let Output::Ask(id, _) = o { Some(id) } else { None })
    }

    /// A handshake of a device that has proven who it is.
    fn authenticated(&mut self, seed: u8, level: TrustLevel) -> HandshakeId {
        let id = self.engine.handle_incoming(level, self.now);
        let applicant = Applicant { certificate: certificate(seed), sas: None };
        self.engine.handle_authenticated(id, applicant, level, self.now);
        id
    }

    fn knock(&mut self, n: u8, level: TrustLevel) {
        let connection = ConnectionId::from_bytes([n; 16]);
        self.engine.handle_knock(&certificate(2), connection, level, self.now).unwrap();
    }

    fn level(&self, device: DeviceId) -> TrustLevel {
        let (judgement, _) = self.engine.judge(device, None);
        judgement.level.unwrap_or(judgement.otherwise)
    }
}

// proves S127
#[test]
fn strangers_leave_the_places_of_known_devices_alone_and_wait_for_their_own() {
    let mut w = World::new();
    let unknown = TrustLevel::Unknown;
    let strangers: Vec<_> =
        (0..=MAX_STRANGER_HANDSHAKES).map(|_| w.engine.handle_incoming(unknown, w.now)).collect();
    let known: Vec<_> =
        (0..MAX_HANDSHAKES).map(|_| w.engine.handle_incoming(TrustLevel::Known, w.now)).collect();
    let late = strangers[MAX_STRANGER_HANDSHAKES];
    let begun = w.steps();
    let all = strangers.iter().chain(&known).filter(|id| **id != late);
    assert_eq!(begun, all.map(|id| (*id, HandshakeStep::Begin)).collect::<Vec<_>>());
    w.engine.end_handshake(strangers[3], w.now);
    assert_eq!(w.steps(), [(late, HandshakeStep::Begin)]);
    let given_up = w.engine.handle_incoming(unknown, w.now);
    assert_eq!(w.engine.poll_timeout(), Some(w.now + HANDSHAKE_TIMEOUT));
    w.pass(HANDSHAKE_TIMEOUT);
    assert_eq!(w.steps(), [(given_up, HandshakeStep::Refuse)]);
}

#[test]
fn a_device_that_arrives_again_and_again_waits() {
    let mut w = World::new();
    let waits = (0..2 * ARRIVAL_BURST).filter_map(|_| w.engine.handle_arrival(peer(), w.now)).count() as u64;
    assert_eq!(waits, ARRIVAL_BURST, "those beyond the burst");
    assert_eq!(w.engine.handle_arrival(certificate(3).device_id(), w.now), None, "another device");
}

// proves S127
#[test]
fn an_unknown_device_waits_for_the_app_and_is_trusted_from_then_on() {
    let mut w = World::new();
    let id = w.authenticated(2, TrustLevel::Unknown);
    let outputs = w.all_outputs();
    let ask = outputs.iter().position(|o| *o == Output::Handshake(id, HandshakeStep::Ask)).unwrap();
    let Output::Ask(question, _) = outputs[ask + 1] else { panic!("{outputs:?}") };
    assert_eq!(w.engine.ready(id, 0), None, "no consent yet");
    w.engine.handle_answer(question, true, w.now);
    let outputs = w.all_outputs();
    let at = |output| outputs.iter().position(|other| *other == output).unwrap();
    assert!(at(Output::Visible) < at(Output::Handshake(id, HandshakeStep::Consent)), "READY needs the relay");
    assert!(outputs.contains(&Output::Release(peer())) && w.engine.ready(id, 0).is_some());
    assert_eq!(w.level(peer()), TrustLevel::Trusted);
    w.engine.handle_answer(question, false, w.now);
    assert_eq!(w.all_outputs(), [], "an answer counts once");
}

#[test]
fn an_answer_counts_when_the_device_has_given_up() {
    let mut w = World::new();
    let id = w.authenticated(2, TrustLevel::Unknown);
    let question = w.question().unwrap();
    w.engine.end_handshake(id, w.now);
    w.engine.handle_answer(question, true, w.now);
    assert_eq!((w.level(peer()), w.steps()), (TrustLevel::Trusted, vec![]));
}

// proves S127
#[test]
fn a_level_that_the_app_gives_before_its_answer_counts_instead() {
    for (level, step) in
        [(TrustLevel::Malicious, HandshakeStep::Refuse), (TrustLevel::NewDevice, HandshakeStep::Consent)]
    {
        let mut w = World::new();
        let id = w.authenticated(2, TrustLevel::Unknown);
        let question = w.question().unwrap();
        w.engine.set_trust(peer(), level, w.now);
        w.engine.handle_answer(question, true, w.now);
        assert_eq!((w.level(peer()), w.steps()), (level, vec![(id, step)]));
    }
}

// proves S127
#[test]
fn questions_are_bounded_one_per_device_and_answered_by_time() {
    let mut w = World::new();
    for n in 0..MAX_DECISIONS as u8 {
        w.authenticated(n + 2, TrustLevel::Unknown);
        assert!(w.question().is_some());
    }
    // The answer to the question that waits may still let the device in.
    for (seed, step) in [(2, HandshakeStep::Leave), (200, HandshakeStep::Refuse)] {
        let id = w.authenticated(seed, TrustLevel::Unknown);
        assert_eq!(w.steps(), [(id, HandshakeStep::Begin), (id, step)]);
    }
    w.pass(APPROVAL_TIMEOUT);
    let refused = w.steps();
    assert_eq!(refused.len(), MAX_DECISIONS);
    assert!(refused.iter().all(|(_, step)| *step == HandshakeStep::Refuse));
    w.authenticated(200, TrustLevel::Unknown);
    assert!(w.question().is_some());
}

// proves S127
#[test]
fn an_untrusted_device_is_refused_and_one_with_other_keys_as_well() {
    let mut w = World::new();
    let id = w.authenticated(2, TrustLevel::Untrusted);
    assert_eq!(w.steps(), [(id, HandshakeStep::Begin), (id, HandshakeStep::Refuse)]);
    assert!(w.engine.ready(id, 0).is_none());
    // Trust that is withdrawn during the handshake.
    let id = w.authenticated(2, TrustLevel::Trusted);
    w.engine.ready(id, 0).unwrap();
    let route = TransportKind::Relay.into();
    let join = w.engine.establish(id, resume(5, 0), TrustLevel::Untrusted, route, Vec::new, w.now);
    assert_eq!((join, w.engine.session(peer())), (None, None));
}

#[test]
fn levels_and_keys_are_to_be_stored() {
    let mut w = World::new();
    let stored = |w: &mut World| {
        let outputs = w.all_outputs().into_iter();
        outputs.filter(|o| matches!(o, Output::Level(..) | Output::Keys(..))).collect::<Vec<_>>()
    };
    let keys =
        |seed| Output::Keys(certificate(seed).device_id(), Some(KnownKeys::of(&certificate(seed)).into()));
    w.authenticated(2, TrustLevel::Unknown);
    let question = w.question().unwrap();
    w.engine.handle_answer(question, true, w.now);
    assert_eq!(stored(&mut w), [Output::Level(peer(), TrustLevel::Trusted), keys(2)]);
    w.authenticated(3, TrustLevel::Known);
    assert_eq!(stored(&mut w), [keys(3)], "a rule's level is the rule's");
    w.authenticated(4, TrustLevel::Untrusted);
    assert_eq!(stored(&mut w), []);
}

// proves D06
#[test]
fn a_device_with_other_keys_than_in_an_earlier_run_is_refused() {
    let known = KnownKeys { noise_pk: [1; 32], ..KnownKeys::of(&certificate(2)) };
    let mut w = World::with(EngineConfig { pins: Pins::load([(peer(), known)]), ..config() });
    let id = w.authenticated(2, TrustLevel::Trusted);
    assert_eq!(w.steps(), [(id, HandshakeStep::Begin), (id, HandshakeStep::Refuse)]);
}

// proves S127
#[test]
fn trust_that_is_withdrawn_ends_the_session_and_refuses_requests() {
    let mut w = World::new();
    let session = w.session();
    w.report(session, SessionChange::Down);
    w.request(1, peer());
    w.outputs();
    w.engine.set_trust(peer(), TrustLevel::Untrusted, w.now);
    let outputs = w.all_outputs();
    assert!(outputs.contains(&Output::End(session, EndReason::Closed)), "{outputs:?}");
    assert!(outputs.contains(&Output::Scope(session, Scope::default())), "{outputs:?}");
    assert_eq!(answers(&outputs), [(RequestId(1), Err(DialFailure::Denied))]);
    w.engine.request(RequestId(2), peer(), TrustLevel::Untrusted);
    assert_eq!(answers(&w.outputs()), [(RequestId(2), Err(DialFailure::Denied))]);
}

// proves S107
#[test]
fn a_session_carries_the_groups_that_both_share_from_the_level_on_that_groups_need() {
    let (both, here, there) =
        (GroupId::from_bytes([1; 20]), GroupId::from_bytes([2; 20]), GroupId::from_bytes([3; 20]));
    let members = HashMap::from([(peer(), HashSet::from([both, there]))]);
    let mut w = World::with(EngineConfig { groups: HashSet::from([both, here]), members, ..config() });
    let join = w.join(None, resume(5, 0)).unwrap();
    assert_eq!(join.begins, Some(Scope { groups: HashSet::from([both]), ungrouped: true }));
    w.outputs();
    w.engine.set_trust(peer(), TrustLevel::Unknown, w.now);
    let scope =
        w.outputs().into_iter().find_map(|o| if let Output::Scope(_, s) = o { Some(s) } else { None });
    assert_eq!(scope.unwrap().groups, HashSet::new());
}

// proves S135
#[test]
fn an_accepted_knock_lets_a_device_come_and_be_compared_and_no_more() {
    let mut w = World::new();
    w.all_outputs();
    w.knock(1, TrustLevel::Unknown);
    w.knock(1, TrustLevel::Unknown);
    let asked = w.all_outputs();
    let [Output::Ask(question, _)] = asked[..] else { panic!("a copy asks again: {asked:?}") };
    w.engine.handle_answer(question, true, w.now);
    let welcome = Output::Welcome(peer(), ConnectionId::from_bytes([1; 16]));
    assert_eq!(w.all_outputs(), [Output::Visible, Output::Release(peer()), welcome]);
    assert_eq!((w.level(peer()), w.engine.visible()), (TrustLevel::Unknown, vec![peer()]));
    w.knock(2, TrustLevel::Unknown);
    assert!(
        w.all_outputs().iter().any(|o| matches!(o, Output::Welcome(..))),
        "the answer may have been lost"
    );
    // It comes, and is refused: the refusal has a moment to arrive.
    let id = w.authenticated(2, TrustLevel::Unknown);
    let question = w.question().unwrap();
    w.engine.handle_answer(question, false, w.now);
    assert_eq!(w.steps(), [(id, HandshakeStep::Refuse)]);
    w.engine.end_handshake(id, w.now);
    assert_eq!(w.engine.visible(), [peer()]);
    w.pass(GOODBYE);
    assert_eq!((w.engine.visible(), w.all_outputs()), (vec![], vec![Output::Visible]));
    // Another one is let come, and does not.
    w.knock(3, TrustLevel::Unknown);
    let question = w.question().unwrap();
    w.engine.handle_answer(question, true, w.now);
    w.pass(COMPARING);
    assert_eq!(w.engine.visible(), []);
}

#[test]
fn an_open_device_asks_once_and_a_known_device_is_answered_without_a_question() {
    for (open, level) in [(true, TrustLevel::Unknown), (false, TrustLevel::Known)] {
        let mut w = World::with(EngineConfig { open, ..config() });
        w.knock(1, level);
        let outputs = w.all_outputs();
        assert!(outputs.iter().any(|o| matches!(o, Output::Welcome(..))), "{outputs:?}");
        assert!(!outputs.iter().any(|o| matches!(o, Output::Ask(..))), "{outputs:?}");
    }
    let mut w = World::new();
    w.all_outputs();
    w.knock(1, TrustLevel::Untrusted);
    assert_eq!(w.all_outputs(), [], "a refusal has no answer");
}

#[test]
fn a_device_without_the_relay_for_data_trusts_by_the_id_alone() {
    let ways = Ways { webrtc: true, ..Ways::default() };
    let mut w = World::with(EngineConfig { ways, ..config() });
    w.knock(1, TrustLevel::Unknown);
    let question = w.question().unwrap();
    w.engine.handle_answer(question, true, w.now);
    assert_eq!(w.level(peer()), TrustLevel::Trusted);
}

#[test]
fn a_known_device_that_no_relay_sees_is_knocked_at_and_has_a_moment_to_come() {
    for comes in [true, false] {
        let mut w = World::new();
        w.engine.handle_certificate(&certificate(2), w.now).unwrap();
        w.request(1, peer());
        let dial = begun(&w.outputs()).unwrap();
        w.engine.handle_relay(dial, Ok(()), w.now);
        assert_eq!(w.outputs(), [Output::Knock(peer())]);
        if comes {
            w.engine.handle_presence(0, peer(), Presence::Online, w.now);
        } else {
            w.pass(KNOCK_PATIENCE);
        }
        let taken = w.outputs().iter().filter_map(taken).count();
        assert_eq!(taken, 2);
    }
}

#[test]
fn a_device_is_gone_when_no_relay_sees_it() {
    let mut w = World::new();
    w.all_outputs();
    for (relay, online, seeing, reported) in [
        (0, true, vec![0], Some(true)),
        (1, true, vec![0, 1], Some(true)),
        (0, false, vec![1], None),
        (1, false, vec![], Some(false)),
    ] {
        let presence = if online { Presence::Online } else { Presence::Offline };
        w.engine.handle_presence(relay, peer(), presence, w.now);
        assert_eq!(w.engine.relays_seeing(peer()).into_iter().collect::<Vec<_>>(), seeing);
        let expected: Vec<_> = reported.map(|online| Output::Presence(peer(), online)).into_iter().collect();
        assert_eq!(w.all_outputs(), expected);
    }
}
