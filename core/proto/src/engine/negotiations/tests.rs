use std::time::Duration;

use super::*;
use crate::limits::{ENVELOPE_BURST, ENVELOPES_PER_SECOND, MAX_UNOPENED_ENVELOPES};
use crate::signaling::{Body, ByeReason};
use crate::timing::{NEGOTIATION_IDLE, TURN_VERDICT, WEBRTC_ESTABLISHMENT};
use NegotiationOutput::{
    AddCandidates, Apply, Close, Concluded, Handshake, Make, Open, RenewCredentials, Send,
};

const NOW: Instant = Instant::from_micros(1_000_000);
const LOCAL: DeviceId = DeviceId::from_bytes([5; 20]);
/// Loses glare.
const PEER: DeviceId = DeviceId::from_bytes([1; 20]);
const OTHER: DeviceId = DeviceId::from_bytes([2; 20]);
/// The instance of every remote device.
const REMOTE: u64 = 99;
const EPOCH: u64 = 7;
const CONFIG: NegotiationConfig = NegotiationConfig { local: LOCAL, webrtc: true, relay_only: false };

fn conn(n: u8) -> ConnectionId {
    ConnectionId::from_bytes([n; 16])
}

fn contents(connection_id: ConnectionId, attempt: u32, body: Body) -> Contents {
    Contents { connection_id, attempt, fingerprint: Some([9; 32]), body }
}

fn bye(connection_id: ConnectionId) -> Contents {
    contents(connection_id, 1, Body::Bye(ByeReason::Failed))
}

fn remote(sdp: &str) -> SignedDescription {
    SignedDescription { sdp: sdp.into(), fingerprint: [9; 32] }
}

fn local() -> SignedDescription {
    SignedDescription { sdp: "local".into(), fingerprint: [5; 32] }
}

fn failed(why: &str) -> Result<(), NegotiationError> {
    Err(NegotiationError::Failed(why.into()))
}

fn concluded(
    dials: impl IntoIterator<Item = u64>,
    outcome: Result<(), NegotiationError>,
) -> NegotiationOutput {
    Concluded { dials: dials.into_iter().map(DialId).collect(), outcome }
}

/// A device with the machine under test.
struct Device {
    machine: Negotiations,
    /// Questions of peers so far.
    questions: u8,
}

impl Device {
    fn new() -> Self {
        Self::with(CONFIG)
    }

    fn with(config: NegotiationConfig) -> Self {
        Self { machine: Negotiations::new(config, [3; 32]), questions: 0 }
    }

    fn outputs(&mut self) -> Vec<NegotiationOutput> {
        std::iter::from_fn(|| self.machine.poll_output()).collect()
    }

    fn seal(&mut self, from: DeviceId, connection: ConnectionId, text: &str, level: TrustLevel) {
        self.machine.handle_sealed(from, connection, text.into(), level, NOW);
    }

    fn opened(&mut self, from: DeviceId, contents: Contents) {
        self.machine.handle_opened(from, Ok(contents), true, NOW);
    }

    /// An envelope of a trusted device arrives and is opened.
    fn receive(&mut self, from: DeviceId, contents: Contents) -> Vec<NegotiationOutput> {
        let connection = contents.connection_id;
        self.seal(from, connection, "sealed", TrustLevel::Trusted);
        let open = Open { peer: from, connection, sealed: "sealed".into() };
        assert_eq!(self.outputs(), [open]);
        self.opened(from, contents);
        self.outputs()
    }

    /// Our instance towards a device: the answer to its question.
    fn instance(&mut self, peer: DeviceId) -> u64 {
        self.questions += 1;
        let outputs = self.receive(peer, contents(conn(200 + self.questions), 0, Body::Hello));
        let [Send { contents: Contents { body: Body::Retry { instance }, .. }, .. }] = outputs[..] else {
            panic!("{outputs:?}")
        };
        instance
    }

    /// Takes an offer of the peer.
    fn offered(&mut self, peer: DeviceId, connection: ConnectionId, attempt: u32) {
        let to = Some(self.instance(peer));
        let body = Body::Offer { instance: REMOTE, to, sdp: "offer".into() };
        let made = self.receive(peer, contents(connection, attempt, body));
        assert_eq!(made, [Make { peer, connection, offer: Some(remote("offer")) }]);
    }

    /// Dials, and asks the peer for its instance first.
    fn ask(&mut self, dial: u64) -> ConnectionId {
        self.machine.dial(PEER, DialId(dial), EPOCH, NOW);
        let outputs = self.outputs();
        let [Send { contents: Contents { connection_id, body: Body::Hello, .. }, .. }] = outputs[..] else {
            panic!("{outputs:?}")
        };
        connection_id
    }

    /// Dials, and makes a peer connection once the peer has answered the question.
    fn dialed(&mut self, dial: u64) -> ConnectionId {
        let question = self.ask(dial);
        made(&self.receive(PEER, contents(question, 0, Body::Retry { instance: REMOTE })))
    }

    /// The same up to the answer.
    fn answered(&mut self, dial: u64) -> ConnectionId {
        let connection = self.dialed(dial);
        self.machine.handle_made(PEER, connection, local(), NOW);
        let body = Body::Answer { instance: REMOTE, sdp: "answer".into() };
        self.outputs();
        let applied = self.receive(PEER, contents(connection, 1, body));
        assert_eq!(applied, [Apply { peer: PEER, connection, answer: remote("answer") }]);
        connection
    }

    /// The same up to the open transport.
    fn connected(&mut self, dial: u64) -> ConnectionId {
        let connection = self.answered(dial);
        self.machine.handle_connected(PEER, connection);
        connection
    }

    fn closed(&mut self, connection: ConnectionId, ended: Option<&str>) -> Vec<NegotiationOutput> {
        self.machine.handle_closed(PEER, connection, ended.map(Into::into), NOW);
        self.outputs()
    }
}

/// The attempt of ours that the only output begins.
fn made(outputs: &[NegotiationOutput]) -> ConnectionId {
    let [Make { connection, offer: None, .. }] = *outputs else { panic!("{outputs:?}") };
    connection
}

fn close(connection: ConnectionId) -> NegotiationOutput {
    Close { peer: PEER, connection }
}

// ---- dials ----

#[test]
fn a_handshake_concludes_every_dial_that_waits() {
    let mut device = Device::new();
    let connection = device.connected(1);
    assert_eq!(device.outputs(), [Handshake { peer: PEER, connection, epoch: Some(EPOCH) }]);
    device.machine.dial(PEER, DialId(2), EPOCH, NOW);
    assert_eq!(device.outputs(), []);
    device.machine.handle_settled(PEER, connection, Ok(()), NOW);
    assert_eq!(device.outputs(), [close(connection), concluded([1, 2], Ok(()))]);
    assert_eq!(device.closed(connection, None), []);
}

/// READY of the peer is on its way when the peer's failure arrives through a relay.
#[test]
fn a_peer_that_fails_does_not_end_the_handshake_here() {
    for outcome in [Ok(()), failed("the session changed while connecting")] {
        let mut device = Device::new();
        let connection = device.connected(1);
        device.outputs();
        assert_eq!(device.receive(PEER, bye(connection)), []);
        device.machine.handle_settled(PEER, connection, outcome.clone(), NOW);
        assert_eq!(device.outputs(), [close(connection), concluded([1], outcome)]);
        assert_eq!(device.closed(connection, None), []);
    }
}

#[test]
fn a_handshake_that_fails_leaves_the_dials_to_the_attempt_that_goes_on() {
    let mut device = Device::new();
    let connection = device.connected(1);
    device.outputs();
    device.receive(PEER, bye(connection));
    device.machine.dial(PEER, DialId(2), EPOCH, NOW);
    let next = made(&device.outputs());
    device.machine.handle_settled(PEER, connection, failed("stale"), NOW);
    assert_eq!(device.outputs(), [close(connection)]);
    device.machine.handle_connected(PEER, next);
    device.outputs();
    device.machine.handle_settled(PEER, next, Ok(()), NOW);
    assert_eq!(device.outputs(), [close(next), concluded([1, 2], Ok(()))]);
}

#[test]
fn an_attempt_has_the_epoch_of_the_latest_dial() {
    let mut device = Device::new();
    let question = device.ask(1);
    device.machine.dial(PEER, DialId(2), EPOCH + 1, NOW);
    let connection = made(&device.receive(PEER, contents(question, 0, Body::Retry { instance: REMOTE })));
    device.machine.handle_connected(PEER, connection);
    assert_eq!(device.outputs(), [Handshake { peer: PEER, connection, epoch: Some(EPOCH + 1) }]);
}

#[test]
fn an_attempt_of_the_peer_serves_a_dial() {
    let mut device = Device::new();
    device.offered(PEER, conn(1), 1);
    device.machine.dial(PEER, DialId(1), EPOCH, NOW);
    device.machine.handle_made(PEER, conn(1), local(), NOW);
    device.machine.handle_connected(PEER, conn(1));
    let handshake = Handshake { peer: PEER, connection: conn(1), epoch: None };
    assert_eq!(device.outputs().last(), Some(&handshake));
    device.machine.handle_settled(PEER, conn(1), Err(NegotiationError::Denied), NOW);
    let bye = Contents { fingerprint: Some([5; 32]), ..bye(conn(1)) };
    let denied = concluded([1], Err(NegotiationError::Denied));
    assert_eq!(device.outputs(), [close(conn(1)), denied, Send { peer: PEER, contents: bye }]);
}

/// The peer does not know yet that this device has closed the session that it dials for.
#[test]
fn a_dial_outlives_one_handshake_of_the_peer_that_fails() {
    let mut device = Device::new();
    device.offered(PEER, conn(1), 1);
    device.machine.dial(PEER, DialId(1), EPOCH, NOW);
    device.machine.handle_connected(PEER, conn(1));
    device.outputs();
    device.machine.handle_settled(PEER, conn(1), failed("stale"), NOW);
    let outputs = device.outputs();
    assert_eq!(outputs[0], close(conn(1)));
    let own = made(&outputs[outputs.len() - 1..]);
    // The next one of the peer is parked, and takes the place of the attempt that fails.
    let to = Some(device.instance(PEER));
    let offer = Body::Offer { instance: REMOTE, to, sdp: "offer".into() };
    assert_eq!(device.receive(PEER, contents(conn(2), 2, offer)), []);
    device.machine.handle_failed(PEER, own, "ICE failed".into(), NOW);
    device.machine.handle_connected(PEER, conn(2));
    device.outputs();
    assert_eq!(device.closed(own, None), []);
    device.machine.handle_settled(PEER, conn(2), failed("stale"), NOW);
    assert!(device.outputs().contains(&concluded([1], failed("stale"))));
}

/// READY has named the session of the first dial as closed, and the next dial is quicker than the outcome.
#[test]
fn a_dial_outlives_one_handshake_of_another_epoch_that_fails() {
    let mut device = Device::new();
    let connection = device.connected(1);
    device.machine.dial(PEER, DialId(2), EPOCH + 1, NOW);
    device.outputs();
    device.machine.handle_settled(PEER, connection, failed("stale"), NOW);
    let outputs = device.outputs();
    assert_eq!(outputs[..2], [close(connection), concluded([1], failed("stale"))]);
    let next = made(&outputs[outputs.len() - 1..]);
    device.machine.handle_connected(PEER, next);
    assert_eq!(device.outputs(), [Handshake { peer: PEER, connection: next, epoch: Some(EPOCH + 1) }]);
    device.machine.handle_settled(PEER, next, failed("stale"), NOW);
    assert_eq!(device.outputs()[..2], [close(next), concluded([2], failed("stale"))]);
}

#[test]
fn glare_leaves_one_attempt_and_concludes_the_dial_with_it() {
    // This device loses against one with a greater id.
    let mut device = Device::with(NegotiationConfig { local: DeviceId::from_bytes([0; 20]), ..CONFIG });
    let own = device.dialed(1);
    device.machine.handle_made(PEER, own, local(), NOW);
    device.outputs();
    let to = Some(device.instance(PEER));
    let offer = Body::Offer { instance: REMOTE, to, sdp: "offer".into() };
    let outputs = device.receive(PEER, contents(conn(1), 1, offer));
    assert_eq!(outputs.first(), Some(&close(own)));
    assert_eq!(outputs.last(), Some(&Make { peer: PEER, connection: conn(1), offer: Some(remote("offer")) }));
    assert_eq!(device.closed(own, None), [], "the other attempt concludes the dial");
    device.machine.handle_connected(PEER, conn(1));
    device.machine.handle_settled(PEER, conn(1), Ok(()), NOW);
    let settled = device.outputs();
    assert_eq!(settled[1..], [close(conn(1)), concluded([1], Ok(()))]);
}

#[test]
fn a_dial_whose_answer_is_lost_fails_at_the_deadline() {
    let mut device = Device::new();
    let connection = device.dialed(1);
    device.machine.handle_made(PEER, connection, local(), NOW);
    device.outputs();
    let deadline = NOW + WEBRTC_ESTABLISHMENT;
    assert_eq!(device.machine.poll_timeout(), Some(deadline));
    device.machine.handle_timeout(deadline);
    assert_eq!(device.outputs().first(), Some(&close(connection)));
    assert_eq!(device.closed(connection, None), [concluded([1], failed("not connected in time"))]);
}

#[test]
fn a_dial_whose_question_has_no_answer_fails_at_the_deadline() {
    let mut device = Device::new();
    device.ask(1);
    device.machine.handle_timeout(NOW + WEBRTC_ESTABLISHMENT);
    assert_eq!(device.outputs(), [concluded([1], failed("not connected in time"))]);
}

#[test]
fn a_dial_whose_question_has_no_answer_waits_for_the_attempt_of_the_peer() {
    let mut device = Device::new();
    let to = Some(device.instance(PEER));
    device.ask(1);
    let later = NOW + Duration::from_secs(1);
    device.machine.handle_sealed(PEER, conn(1), "offer".into(), TrustLevel::Trusted, later);
    let offer = Body::Offer { instance: REMOTE, to, sdp: "offer".into() };
    device.machine.handle_opened(PEER, Ok(contents(conn(1), 1, offer)), true, later);
    device.outputs();
    device.machine.handle_timeout(NOW + WEBRTC_ESTABLISHMENT);
    assert_eq!(device.outputs(), []);
    device.machine.handle_settled(PEER, conn(1), Ok(()), later);
    assert_eq!(device.outputs(), [close(conn(1)), concluded([1], Ok(()))]);
}

#[test]
fn the_end_of_an_earlier_connection_does_not_conclude_a_dial() {
    let mut device = Device::new();
    let earlier = device.connected(1);
    device.machine.handle_settled(PEER, earlier, Ok(()), NOW);
    device.outputs();
    device.machine.dial(PEER, DialId(2), EPOCH, NOW);
    let connection = made(&device.outputs());
    device.machine.handle_failed(PEER, connection, "no socket".into(), NOW);
    device.outputs();
    assert_eq!(device.receive(PEER, bye(earlier)), []);
    assert_eq!(device.closed(connection, None), [concluded([2], failed("no socket"))]);
}

#[test]
fn a_cancelled_dial_is_not_concluded_and_begins_nothing() {
    let mut device = Device::new();
    let question = device.ask(1);
    device.machine.cancel_dial(PEER, DialId(1));
    let retry = contents(question, 0, Body::Retry { instance: REMOTE });
    assert_eq!(device.receive(PEER, retry), []);
    // Nor does one that waits for an envelope to be opened.
    device.seal(PEER, conn(1), "sealed", TrustLevel::Trusted);
    device.machine.dial(PEER, DialId(2), EPOCH, NOW);
    device.machine.cancel_dial(PEER, DialId(2));
    device.outputs();
    device.opened(PEER, bye(conn(1)));
    assert_eq!(device.outputs(), []);
}

// ---- closed sessions ----

#[test]
fn a_session_closed_here_ends_its_dials_and_the_attempts_of_both_sides() {
    let mut device = Device::new();
    let connection = device.connected(1);
    device.outputs();
    device.machine.session_closes(PEER, true, NOW);
    let outputs = device.outputs();
    assert_eq!(outputs[..2], [concluded([1], Err(NegotiationError::SessionClosed)), close(connection)]);
    // The handshake ended a moment before.
    device.machine.handle_settled(PEER, connection, Ok(()), NOW);
    assert_eq!(device.outputs(), []);
    assert_eq!(device.closed(connection, None), []);

    device.offered(PEER, conn(1), 1);
    device.machine.session_closes(PEER, true, NOW);
    assert_eq!(device.outputs().first(), Some(&close(conn(1))));
    device.machine.handle_connected(PEER, conn(1));
    assert_eq!(device.outputs(), []);
}

#[test]
fn a_session_closed_by_the_peer_ends_our_attempt_and_leaves_the_peers_to_the_next_session() {
    let mut device = Device::new();
    let connection = device.dialed(1);
    device.machine.session_closes(PEER, false, NOW);
    let closed = [concluded([1], Err(NegotiationError::SessionClosed)), close(connection)];
    assert_eq!(device.outputs(), closed);
    device.closed(connection, None);

    device.offered(PEER, conn(1), 1);
    device.machine.session_closes(PEER, false, NOW);
    assert_eq!(device.outputs(), []);
    device.machine.handle_connected(PEER, conn(1));
    assert_eq!(device.outputs(), [Handshake { peer: PEER, connection: conn(1), epoch: None }]);
}

#[test]
fn an_attempt_for_a_closed_session_does_not_conclude_the_next_dial() {
    for outcome in [Ok(()), Err(NegotiationError::Denied)] {
        let mut device = Device::new();
        device.offered(PEER, conn(1), 1);
        device.machine.session_closes(PEER, false, NOW);
        device.machine.dial(PEER, DialId(2), EPOCH + 1, NOW);
        device.machine.handle_connected(PEER, conn(1));
        device.outputs();
        device.machine.handle_settled(PEER, conn(1), outcome, NOW);
        let outputs = device.outputs();
        assert!(!outputs.iter().any(|output| matches!(output, Concluded { .. })), "{outputs:?}");
        let next = outputs.iter().find_map(|output| match output {
            Make { connection, offer: None, .. } => Some(*connection),
            _ => None,
        });
        device.machine.handle_connected(PEER, next.unwrap());
        let epoch = Some(EPOCH + 1);
        assert_eq!(device.outputs(), [Handshake { peer: PEER, connection: next.unwrap(), epoch }]);
    }
}

#[test]
fn an_attempt_that_fails_after_its_session_was_closed_does_not_fail_the_next_dial() {
    let mut device = Device::new();
    device.offered(PEER, conn(1), 1);
    device.machine.session_closes(PEER, false, NOW);
    device.machine.dial(PEER, DialId(2), EPOCH + 1, NOW);
    assert_eq!(device.receive(PEER, bye(conn(1))), [close(conn(1))]);
    made(&device.closed(conn(1), None));
}

#[test]
fn dials_and_closed_sessions_wait_for_the_envelopes_before_them() {
    let mut device = Device::new();
    let to = Some(device.instance(PEER));
    device.seal(PEER, conn(1), "offer", TrustLevel::Trusted);
    device.machine.session_closes(PEER, true, NOW);
    device.machine.dial(PEER, DialId(1), EPOCH, NOW);
    assert_eq!(device.outputs(), [Open { peer: PEER, connection: conn(1), sealed: "offer".into() }]);
    let offer = Body::Offer { instance: REMOTE, to, sdp: "offer".into() };
    device.opened(PEER, contents(conn(1), 1, offer));
    let outputs = device.outputs();
    assert_eq!(outputs[0], Make { peer: PEER, connection: conn(1), offer: Some(remote("offer")) });
    assert_eq!(outputs[1], close(conn(1)), "the offer was for the session that was closed");
    assert!(matches!(outputs[2], Send { .. }), "a bye");
    made(&outputs[3..]);
    // The dial goes on although the attempt before it ends only now.
    assert_eq!(device.closed(conn(1), None), []);
}

// ---- reasons ----

#[test]
fn the_failure_of_our_connection_outweighs_the_reason_of_the_peer() {
    let gave_up = "the other device gave up: Failed";
    for (reported, ended, why) in [
        (None, None, gave_up),
        (None, Some("DTLS failed"), "DTLS failed"),
        (Some("ICE failed"), Some("DTLS failed"), "ICE failed"),
    ] {
        let mut device = Device::new();
        let connection = device.answered(1);
        assert_eq!(device.receive(PEER, bye(connection)), [close(connection)]);
        if let Some(reported) = reported {
            device.machine.handle_failed(PEER, connection, reported.into(), NOW);
        }
        assert_eq!(device.closed(connection, ended), [concluded([1], failed(why))]);
    }
}

#[test]
fn a_refusal_of_turn_explains_a_failure_where_there_is_nothing_but_turn() {
    for (relay_only, why) in [(true, "full"), (false, "not connected in time")] {
        let mut device = Device::with(NegotiationConfig { relay_only, ..CONFIG });
        let connection = device.dialed(1);
        device.machine.handle_turn_refusal(PEER, connection, 486, "full".into());
        device.machine.handle_timeout(NOW + WEBRTC_ESTABLISHMENT);
        device.outputs();
        assert_eq!(device.closed(connection, None), [concluded([1], failed(why))]);
    }
}

#[test]
fn a_peer_that_gives_up_first_does_not_hide_the_refusal_of_turn() {
    let hidden = NegotiationConfig { relay_only: true, ..CONFIG };
    let mut device = Device::with(hidden);
    let connection = device.answered(1);
    assert_eq!(device.receive(PEER, bye(connection)), [], "its own server has not answered");
    device.machine.handle_turn_refusal(PEER, connection, 486, "full".into());
    assert_eq!(device.outputs(), [close(connection)]);
    assert_eq!(device.closed(connection, None), [concluded([1], failed("full"))]);
    // Without an answer it waits for a moment.
    let mut device = Device::with(hidden);
    let connection = device.answered(1);
    device.receive(PEER, bye(connection));
    assert_eq!(device.machine.poll_timeout(), Some(NOW + TURN_VERDICT));
    device.machine.handle_timeout(NOW + TURN_VERDICT);
    assert_eq!(device.outputs(), [close(connection)]);
    assert_eq!(device.closed(connection, None), [concluded([1], failed("the other device gave up: Failed"))]);
}

#[test]
fn refused_credentials_are_renewed_once_for_an_attempt() {
    let mut device = Device::new();
    let connection = device.dialed(1);
    device.machine.handle_turn_refusal(PEER, connection, 486, "full".into());
    assert_eq!(device.outputs(), []);
    let connection = {
        device.machine.handle_failed(PEER, connection, "full".into(), NOW);
        device.outputs();
        device.closed(connection, None);
        device.machine.dial(PEER, DialId(2), EPOCH, NOW);
        made(&device.outputs())
    };
    for expected in [&[RenewCredentials][..], &[]] {
        device.machine.handle_turn_refusal(PEER, connection, 401, "unauthorized".into());
        assert_eq!(device.outputs(), expected);
    }
}

#[test]
fn a_refused_envelope_is_named_beside_the_reason_of_the_next_failure() {
    let mut device = Device::new();
    let connection = device.dialed(1);
    device.machine.handle_made(PEER, connection, local(), NOW);
    device.seal(PEER, connection, "sealed", TrustLevel::Trusted);
    device.machine.handle_opened(PEER, Err("altered".into()), true, NOW);
    device.machine.handle_timeout(NOW + WEBRTC_ESTABLISHMENT);
    device.outputs();
    let why = "not connected in time: an envelope of the peer was refused: altered";
    assert_eq!(device.closed(connection, None), [concluded([1], failed(why))]);
    // The next dial has nothing to do with it.
    device.machine.dial(PEER, DialId(2), EPOCH, NOW);
    let connection = made(&device.outputs());
    device.machine.handle_failed(PEER, connection, "no socket".into(), NOW);
    device.outputs();
    assert_eq!(device.closed(connection, None), [concluded([2], failed("no socket"))]);
}

// ---- envelopes ----

#[test]
fn envelopes_of_a_peer_are_opened_one_by_one_in_order() {
    let mut device = Device::new();
    for n in 0..3 {
        device.seal(PEER, conn(n), &n.to_string(), TrustLevel::Trusted);
    }
    device.seal(OTHER, conn(9), "other", TrustLevel::Trusted);
    let open = |peer, n, sealed: &str| Open { peer, connection: conn(n), sealed: sealed.into() };
    assert_eq!(device.outputs(), [open(PEER, 0, "0"), open(OTHER, 9, "other")]);
    device.opened(PEER, bye(conn(0)));
    assert_eq!(device.outputs(), [open(PEER, 1, "1")]);
    device.machine.handle_opened(PEER, Err("altered".into()), true, NOW);
    assert_eq!(device.outputs(), [open(PEER, 2, "2")]);
}

#[test]
fn a_flood_of_envelopes_is_opened_at_a_limited_rate_and_delays_no_other_peer() {
    let mut device = Device::new();
    let mut flood = |peer, now| {
        let opens = |device: &mut Device| device.outputs().len() as u64;
        let mut opened = 0;
        for _ in 0..10 * ENVELOPE_BURST {
            device.machine.handle_sealed(peer, conn(1), "sealed".into(), TrustLevel::Trusted, now);
            if opens(&mut device) > 0 {
                opened += 1;
                device.machine.handle_opened(peer, Ok(bye(conn(1))), true, now);
            }
        }
        opened
    };
    assert_eq!(flood(PEER, NOW), ENVELOPE_BURST);
    assert_eq!(flood(PEER, NOW + Duration::from_secs(1)), ENVELOPES_PER_SECOND);
    assert_eq!(flood(OTHER, NOW + Duration::from_secs(1)), ENVELOPE_BURST);
}

#[test]
fn envelopes_that_wait_to_be_opened_are_bounded() {
    let mut device = Device::new();
    for second in 0..60 {
        let now = NOW + Duration::from_secs(second);
        for _ in 0..ENVELOPES_PER_SECOND {
            device.machine.handle_sealed(PEER, conn(1), "sealed".into(), TrustLevel::Trusted, now);
        }
    }
    let mut opened = 0;
    while !device.outputs().is_empty() {
        opened += 1;
        device.opened(PEER, bye(conn(1)));
    }
    assert_eq!(opened, MAX_UNOPENED_ENVELOPES + 1, "the one that is being opened, and those behind it");
}

// proves S135
#[test]
fn envelopes_wait_for_a_trust_decision_and_are_delivered_in_order_or_dropped() {
    let wait = |device: &mut Device| {
        for n in 0..3 {
            device.seal(PEER, conn(n), &n.to_string(), TrustLevel::Unknown);
        }
        device.seal(OTHER, conn(9), "other", TrustLevel::NewUser);
        assert_eq!(device.outputs(), []);
    };
    let mut device = Device::new();
    wait(&mut device);
    device.machine.release(PEER, TrustLevel::NewUser, NOW);
    assert_eq!(device.outputs(), [], "not trusted yet");
    device.machine.release(PEER, TrustLevel::NewDevice, NOW);
    for n in 0..3 {
        let (connection, sealed) = (conn(n), n.to_string());
        assert_eq!(device.outputs(), [Open { peer: PEER, connection, sealed }]);
        device.opened(PEER, bye(connection));
    }
    assert_eq!(device.outputs(), []);

    let mut device = Device::new();
    wait(&mut device);
    device.machine.release(PEER, TrustLevel::Untrusted, NOW);
    device.machine.release(PEER, TrustLevel::Trusted, NOW);
    assert_eq!(device.outputs(), [], "they were dropped");
    device.seal(PEER, conn(1), "later", TrustLevel::Untrusted);
    device.machine.release(PEER, TrustLevel::Trusted, NOW);
    assert_eq!(device.outputs(), [], "nothing of an untrusted device is held");
}

#[test]
fn an_offer_is_refused_where_it_improves_nothing() {
    let mut device = Device::new();
    let to = Some(device.instance(PEER));
    let offer = contents(conn(1), 4, Body::Offer { instance: REMOTE, to, sdp: "offer".into() });
    device.seal(PEER, conn(1), "offer", TrustLevel::Trusted);
    device.outputs();
    device.machine.handle_opened(PEER, Ok(offer.clone()), false, NOW);
    let body = Body::Bye(ByeReason::Cancelled);
    let refusal = Contents { connection_id: conn(1), attempt: 4, fingerprint: None, body };
    assert_eq!(device.outputs(), [Send { peer: PEER, contents: refusal }]);
    // Other contents are taken all the same.
    device.seal(PEER, conn(2), "hello", TrustLevel::Trusted);
    device.outputs();
    device.machine.handle_opened(PEER, Ok(contents(conn(2), 0, Body::Hello)), false, NOW);
    assert!(matches!(
        device.outputs()[..],
        [Send { contents: Contents { body: Body::Retry { .. }, .. }, .. }]
    ));
}

#[test]
fn without_webrtc_nothing_is_answered() {
    let mut device = Device::with(NegotiationConfig { webrtc: false, ..CONFIG });
    let offer = Body::Offer { instance: REMOTE, to: None, sdp: "offer".into() };
    for body in [Body::Hello, offer, Body::Welcome] {
        assert_eq!(device.receive(PEER, contents(conn(1), 1, body)), []);
    }
}

// ---- many peers, and time ----

#[test]
fn two_peers_may_use_one_connection_id() {
    let mut device = Device::new();
    device.offered(PEER, conn(1), 1);
    device.offered(OTHER, conn(1), 1);
    assert_eq!(device.receive(OTHER, bye(conn(1))), [Close { peer: OTHER, connection: conn(1) }]);
    device.machine.handle_connected(PEER, conn(1));
    assert_eq!(device.outputs(), [Handshake { peer: PEER, connection: conn(1), epoch: None }]);
}

#[test]
fn candidates_of_both_sides_pass() {
    let mut device = Device::new();
    device.offered(PEER, conn(1), 1);
    let candidates = vec!["remote".to_owned()];
    let received = device.receive(PEER, contents(conn(1), 1, Body::Candidates(candidates.clone())));
    assert_eq!(received, [AddCandidates { peer: PEER, connection: conn(1), candidates }]);
    device.machine.handle_made(PEER, conn(1), local(), NOW);
    device.outputs();
    device.machine.handle_local_candidate(PEER, conn(1), "local".into(), NOW);
    device.machine.handle_timeout(device.machine.poll_timeout().unwrap());
    let sent = contents(conn(1), 1, Body::Candidates(vec!["local".into()]));
    let contents = Contents { fingerprint: Some([5; 32]), ..sent };
    assert_eq!(device.outputs(), [Send { peer: PEER, contents }]);
}

#[test]
fn a_negotiation_without_an_attempt_is_forgotten() {
    let mut device = Device::new();
    let before = device.instance(PEER);
    let idle = (NOW + NEGOTIATION_IDLE).next_beat();
    assert_eq!(device.machine.poll_timeout(), Some(idle));
    let later = NOW + Duration::from_secs(30);
    let idle_later = (later + NEGOTIATION_IDLE).next_beat();
    device.machine.session_closes(PEER, true, later);
    assert_eq!(device.machine.poll_timeout(), Some(idle_later));
    device.machine.handle_timeout(idle_later);
    assert_eq!(device.machine.poll_timeout(), None);
    assert_ne!(device.instance(PEER), before, "a new instance");

    // Not while a peer connection is there, or an envelope is being opened.
    device.offered(PEER, conn(1), 1);
    device.machine.handle_timeout(NOW + WEBRTC_ESTABLISHMENT);
    device.machine.handle_timeout(idle);
    device.outputs();
    device.machine.handle_closed(PEER, conn(1), None, idle);
    assert_eq!(device.machine.poll_timeout(), Some(idle));
    device.seal(PEER, conn(2), "sealed", TrustLevel::Trusted);
    assert_eq!(device.machine.poll_timeout(), None);
}
