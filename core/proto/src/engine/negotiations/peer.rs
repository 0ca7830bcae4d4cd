//! The negotiation with one peer: its dials, its envelopes and its attempts.

mod dials;

use std::collections::{BTreeMap, VecDeque};

use super::super::DialId;
use super::ids::Ids;
use super::{NegotiationConfig, NegotiationError, NegotiationOutput, SignedDescription};
use crate::bucket::Bucket;
use crate::id::{ConnectionId, DeviceId};
use crate::limits::{ENVELOPE_BURST, ENVELOPES_PER_SECOND, MAX_UNOPENED_ENVELOPES};
use crate::signaling::{AbandonReason, Action, Body, ByeReason, Contents, Fingerprint, Negotiation};
use crate::time::{Instant, earliest};
use crate::timing::{NEGOTIATION_IDLE, TURN_VERDICT};
use dials::WaitingDial;

/// The code of a TURN server that does not accept the credentials (RFC 8489 section 14.8).
const UNAUTHORIZED: u16 = 401;

/// The negotiation with one peer.
pub(super) struct PeerNegotiation {
    config: NegotiationConfig,
    peer: DeviceId,
    machine: Negotiation,
    ids: Ids,
    /// Inputs that arrived after the envelope that is being opened, in order.
    inputs: VecDeque<QueuedInput>,
    /// An envelope is being opened.
    opening: bool,
    /// Limits the processor time for envelopes of this peer: opening one takes three signatures and a key agreement.
    envelopes: Bucket,
    dials: Vec<WaitingDial>,
    /// Attempts whose peer connection is not closed.
    attempts: BTreeMap<ConnectionId, AttemptState>,
    /// The last refusal of an envelope since a dial was concluded: it explains why attempts end without an answer.
    trouble: Option<String>,
    /// The negotiation is forgotten then, unless something is under way. On a beat: a phone does not wake up for it.
    idle_at: Instant,
    pub(super) outputs: VecDeque<NegotiationOutput>,
}

enum QueuedInput {
    Dial(WaitingDial),
    Envelope { connection: ConnectionId, sealed: String },
    SessionCloses { own: bool },
}

/// The state of an attempt beside that of [`Negotiation`].
struct AttemptState {
    /// Our session epoch when our dial started; none if the peer dialed.
    epoch: Option<u64>,
    /// The session with the peer was closed after the attempt began.
    session_closed: bool,
    /// The handshake has begun.
    handshake: bool,
    /// The failure that the peer connection reported first.
    failure: Option<String>,
    turn_refusal: Option<String>,
    /// The machine has given the attempt up, and its peer connection is being closed.
    abandoned: Option<AbandonReason>,
    /// The peer gave the attempt up, and this side's TURN server may still say why: the attempt is closed then, or at this time.
    awaits_turn: Option<Instant>,
}

impl PeerNegotiation {
    pub(super) fn new(config: NegotiationConfig, peer: DeviceId, mut ids: Ids, now: Instant) -> Self {
        // A new instance, since the offers that an earlier negotiation with this peer answered are forgotten.
        let instance = u64::from_be_bytes(ids.fresh());
        Self {
            config,
            peer,
            machine: Negotiation::new(config.local, peer, instance, true),
            ids,
            inputs: VecDeque::new(),
            opening: false,
            envelopes: Bucket::new(ENVELOPES_PER_SECOND, ENVELOPE_BURST),
            dials: Vec::new(),
            attempts: BTreeMap::new(),
            trouble: None,
            idle_at: (now + NEGOTIATION_IDLE).next_beat(),
            outputs: VecDeque::new(),
        }
    }

    // ---- inputs that keep their order ----

    pub(super) fn dial(&mut self, id: DialId, epoch: u64, now: Instant) {
        self.queue(QueuedInput::Dial(WaitingDial::new(id, epoch)), now);
    }

    pub(super) fn cancel_dial(&mut self, dial: DialId) {
        self.dials.retain(|waiting| waiting.id != dial);
        self.inputs.retain(|input| !matches!(input, QueuedInput::Dial(waiting) if waiting.id == dial));
    }

    pub(super) fn session_closes(&mut self, own: bool, now: Instant) {
        self.queue(QueuedInput::SessionCloses { own }, now);
    }

    pub(super) fn handle_sealed(&mut self, connection: ConnectionId, sealed: String, now: Instant) {
        let unopened = self.inputs.iter().filter(|input| matches!(input, QueuedInput::Envelope { .. }));
        if unopened.count() < MAX_UNOPENED_ENVELOPES && self.envelopes.try_take(1, now) {
            self.queue(QueuedInput::Envelope { connection, sealed }, now);
        } else {
            // As a network would drop it: the attempt goes on without it, or ends.
            self.refuse_envelope("too many of them");
        }
    }

    fn queue(&mut self, input: QueuedInput, now: Instant) {
        self.idle_at = (now + NEGOTIATION_IDLE).next_beat();
        self.inputs.push_back(input);
        self.take_inputs(now);
    }

    fn take_inputs(&mut self, now: Instant) {
        while !self.opening
            && let Some(input) = self.inputs.pop_front()
        {
            match input {
                QueuedInput::Dial(dial) => {
                    self.dials.push(dial);
                    self.begin(now);
                }
                QueuedInput::Envelope { connection, sealed } => {
                    self.opening = true;
                    self.outputs.push_back(NegotiationOutput::Open { peer: self.peer, connection, sealed });
                }
                QueuedInput::SessionCloses { own } => self.close_session(own, now),
            }
            self.act(now);
        }
    }

    pub(super) fn handle_opened(
        &mut self,
        opened: Result<Contents, String>,
        takes_offers: bool,
        now: Instant,
    ) {
        self.opening = false;
        match opened {
            Ok(contents) if self.config.webrtc => self.handle_contents(contents, takes_offers, now),
            Ok(_) => {}
            Err(error) => self.refuse_envelope(&error),
        }
        self.act(now);
        self.take_inputs(now);
    }

    fn handle_contents(&mut self, contents: Contents, takes_offers: bool, now: Instant) {
        match contents.body {
            // An answered offer would be given up at once, and the peer would offer again.
            Body::Offer { .. } if !takes_offers => {
                let body = Body::Bye(ByeReason::Cancelled);
                self.send(Contents { body, fingerprint: None, ..contents });
            }
            _ => self.machine.handle_remote(contents, now),
        }
    }

    fn refuse_envelope(&mut self, error: &str) {
        self.trouble = Some(format!("an envelope of the peer was refused: {error}"));
    }

    // ---- peer connections ----

    pub(super) fn handle_made(
        &mut self,
        connection: ConnectionId,
        sdp: String,
        fingerprint: Fingerprint,
        now: Instant,
    ) {
        self.machine.handle_local_description(connection, sdp, fingerprint, now);
        self.act(now);
    }

    pub(super) fn handle_local_candidate(
        &mut self,
        connection: ConnectionId,
        candidate: String,
        now: Instant,
    ) {
        self.machine.handle_local_candidates(connection, [candidate], now);
    }

    pub(super) fn handle_turn_refusal(&mut self, connection: ConnectionId, code: u16, reason: String) {
        let Some(attempt) = self.attempts.get_mut(&connection) else { return };
        if attempt.turn_refusal.replace(reason).is_none() && code == UNAUTHORIZED {
            self.outputs.push_back(NegotiationOutput::RenewCredentials);
        }
        self.close_explained(connection);
    }

    pub(super) fn handle_connected(&mut self, connection: ConnectionId) {
        if let Some(attempt) = self.attempts.get_mut(&connection)
            && attempt.abandoned.is_none()
        {
            attempt.handshake = true;
            let (peer, epoch) = (self.peer, attempt.epoch);
            self.outputs.push_back(NegotiationOutput::Handshake { peer, connection, epoch });
        }
    }

    pub(super) fn handle_failed(&mut self, connection: ConnectionId, reason: String, now: Instant) {
        let Some(attempt) = self.attempts.get_mut(&connection) else { return };
        attempt.failure.get_or_insert(reason);
        self.close_explained(connection);
        self.machine.handle_closed(connection, now);
        self.act(now);
    }

    pub(super) fn handle_settled(
        &mut self,
        connection: ConnectionId,
        outcome: Result<(), NegotiationError>,
        now: Instant,
    ) {
        if self.attempts.get(&connection).is_none_or(|attempt| attempt.abandoned.is_some()) {
            return;
        }
        let Some(attempt) = self.attempts.remove(&connection) else { return };
        self.close(connection);
        match outcome {
            Ok(()) => self.machine.handle_connected(connection, now),
            Err(_) => self.machine.handle_closed(connection, now),
        }
        // Otherwise the attempt that goes on concludes the dials.
        if outcome.is_ok() || self.machine.current().is_none() {
            self.conclude(outcome, &attempt, now);
        }
        self.act(now);
    }

    pub(super) fn handle_closed(&mut self, connection: ConnectionId, ended: Option<String>, now: Instant) {
        let Some(reason) = self.attempts.get(&connection).and_then(|attempt| attempt.abandoned) else {
            return;
        };
        let Some(mut attempt) = self.attempts.remove(&connection) else { return };
        // Otherwise the attempt that goes on concludes the dials.
        if self.machine.current().is_none() {
            let refusal = attempt.turn_refusal.take().filter(|_| self.config.relay_only);
            let why = attempt.failure.take().or(ended).or(refusal).unwrap_or_else(|| reason.to_string());
            self.conclude(Err(self.failed(why)), &attempt, now);
            self.act(now);
        }
    }

    // ---- time ----

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.machine.handle_timeout(now);
        self.act(now);
        let due = |attempt: &AttemptState| attempt.awaits_turn.is_some_and(|at| at <= now);
        let due: Vec<_> =
            self.attempts.iter().filter(|(_, attempt)| due(attempt)).map(|(id, _)| *id).collect();
        due.into_iter().for_each(|connection| self.close_explained(connection));
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let explained = self.attempts.values().filter_map(|attempt| attempt.awaits_turn).min();
        earliest(earliest(self.machine.poll_timeout(), explained), self.forgotten_at())
    }

    /// The time at which the negotiation is forgotten; none while something is under way.
    pub(super) fn forgotten_at(&self) -> Option<Instant> {
        let busy = self.opening || !self.attempts.is_empty() || !self.dials.is_empty();
        (!busy).then_some(self.idle_at)
    }

    // ---- decisions ----

    /// Dials for the dial that waits since last: by an attempt that is under way, or by one of this side.
    fn begin(&mut self, now: Instant) {
        let connection = ConnectionId::from_bytes(self.ids.fresh());
        if self.machine.knows_remote() {
            self.machine.dial(connection, now);
        } else {
            self.machine.ask(connection, now);
        }
    }

    /// The dials were for the session. Its attempts are over, but for one of the peer if the peer closed the session.
    fn close_session(&mut self, own: bool, now: Instant) {
        self.conclude_dials(Err(NegotiationError::SessionClosed));
        self.attempts.values_mut().for_each(|attempt| attempt.session_closed = true);
        let current = self.machine.current().and_then(|connection| self.attempts.get(&connection));
        // The peer gives up the attempts that it began for the session; an offer that overtook the end is for the next one.
        if own || current.is_some_and(|attempt| attempt.epoch.is_some()) {
            self.machine.hang_up(now);
        }
    }

    fn act(&mut self, now: Instant) {
        while let Some(action) = self.machine.poll_output() {
            self.perform(action, now);
        }
    }

    fn perform(&mut self, action: Action, now: Instant) {
        let peer = self.peer;
        match action {
            // Without a dial the question was for a dial that has ended meanwhile.
            Action::Dial if self.dials.is_empty() => {}
            Action::Dial => self.begin(now),
            Action::CreateOffer { connection_id } => {
                let epoch = self.dials.last().map(|dial| dial.epoch);
                self.make(connection_id, epoch, None);
            }
            Action::CreateAnswer { connection_id, sdp, fingerprint } => {
                self.make(connection_id, None, Some(SignedDescription { sdp, fingerprint }));
            }
            Action::ApplyAnswer { connection_id: connection, sdp, fingerprint } => {
                let answer = SignedDescription { sdp, fingerprint };
                self.outputs.push_back(NegotiationOutput::Apply { peer, connection, answer });
            }
            Action::AddCandidates { connection_id: connection, candidates } => {
                self.outputs.push_back(NegotiationOutput::AddCandidates { peer, connection, candidates });
            }
            Action::Send(contents) => self.send(contents),
            Action::Abandon { connection_id, reason } => self.abandon(connection_id, reason, now),
        }
    }

    fn make(&mut self, connection: ConnectionId, epoch: Option<u64>, offer: Option<SignedDescription>) {
        let attempt = AttemptState {
            epoch,
            session_closed: false,
            handshake: false,
            failure: None,
            turn_refusal: None,
            abandoned: None,
            awaits_turn: None,
        };
        self.attempts.insert(connection, attempt);
        self.outputs.push_back(NegotiationOutput::Make { peer: self.peer, connection, offer });
    }

    fn abandon(&mut self, connection: ConnectionId, reason: AbandonReason, now: Instant) {
        let peer_failed = reason == AbandonReason::Remote(ByeReason::Failed);
        match self.attempts.get_mut(&connection) {
            // The bye may overtake the peer's READY, which says more: that the peer has closed the session, for one.
            Some(attempt) if attempt.handshake && peer_failed => {}
            Some(attempt) => {
                attempt.abandoned = Some(reason);
                let unexplained = attempt.failure.is_none() && attempt.turn_refusal.is_none();
                if self.config.relay_only && unexplained && peer_failed {
                    attempt.awaits_turn = Some(now + TURN_VERDICT);
                } else {
                    self.close(connection);
                }
            }
            // The question before the first attempt has no answer.
            None if reason == AbandonReason::TimedOut && self.machine.current().is_none() => {
                self.conclude_dials(Err(self.failed(reason.to_string())));
            }
            None => {}
        }
    }

    fn failed(&self, why: String) -> NegotiationError {
        NegotiationError::Failed(match &self.trouble {
            Some(trouble) => format!("{why}: {trouble}"),
            None => why,
        })
    }

    fn send(&mut self, contents: Contents) {
        self.outputs.push_back(NegotiationOutput::Send { peer: self.peer, contents });
    }

    /// Closes an attempt that was given up and waited for the reason.
    fn close_explained(&mut self, connection: ConnectionId) {
        let waits = self.attempts.get_mut(&connection).and_then(|attempt| attempt.awaits_turn.take());
        if waits.is_some() {
            self.close(connection);
        }
    }

    fn close(&mut self, connection: ConnectionId) {
        self.outputs.push_back(NegotiationOutput::Close { peer: self.peer, connection });
    }
}
