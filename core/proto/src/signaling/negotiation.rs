//! Which of the attempts two devices make becomes their connection.
//!
//! ```text
//!            dial                             remote offer
//!     idle ────────> Describing (initiator)   idle ────────> Describing (responder)
//!                        │ local description                     │ local description: send answer
//!                        v send offer                            v
//!                   AwaitingAnswer ── answer ──> Connecting <────┘
//!                                                    │ connected
//!                                                    v
//!                                               established
//! ```
//!
//! One attempt at a time is under way. Any attempt ends by its deadline, a failure, a bye or a better attempt:
//!
//! * **Glare.** Both dial: the attempt of the greater device id goes on. Its owner parks the other's offer and falls
//!   back to it should its own end; the smaller one gives its own up, says so, and answers.
//! * **Newer offers** of the remote device replace the one being answered. Offers carry a number and the dialing
//!   process's random instance, so one that was overtaken on the way is recognised.
//! * **Copies and replays** are recognised by their connection id, which is remembered. What was offered to an earlier
//!   instance of this device is not answered: every offer names the instance it is for. The sender of one for another
//!   instance, or for none, is asked to make it again ([`Body::Retry`]). That is one more round trip for the first offer
//!   between two instances. Candidates wait meanwhile, as they do whenever they overtake their offer.
//! * **Candidates** may overtake the description they belong to; they wait. Local ones are sent in batches, and wait
//!   while signaling is down, as everything else does.
//!
//! Everything here was authenticated by its envelope. The relay can delay, repeat and drop. In spite of that the machine has to
//! converge to one connection at both ends, or to none.

mod action;
mod attempt;
mod body;
mod contents;
mod early;
mod instances;
mod remote;

#[cfg(test)]
mod tests;

pub use action::{AbandonReason, Action};
pub use body::{Body, BodyError, ByeReason};
pub use contents::{Contents, ContentsError, Fingerprint};

use std::collections::VecDeque;

use super::recent::Recent;
use crate::id::{ConnectionId, DeviceId};
use crate::limits;
use crate::time::{Instant, earliest};
use crate::timing::WEBRTC_ESTABLISHMENT;
use attempt::{Attempt, Phase, Role};
use early::Early;
use instances::Instances;

/// The negotiation between this device and one other.
#[derive(Debug)]
pub struct Negotiation {
    wins_glare: bool,
    instances: Instances,
    dials: u32,
    /// The question for the remote instance, until its deadline.
    asked: Option<(ConnectionId, Instant)>,
    signaling_up: bool,
    current: Option<Attempt>,
    parked: Option<Offer>,
    established: Option<ConnectionId>,
    newest_offer: Option<(u64, u32)>,
    /// Attempts seen before.
    remembered: Recent<ConnectionId, { limits::MAX_REMEMBERED_ATTEMPTS }>,
    early: Early,
    held: VecDeque<Contents>,
    actions: VecDeque<Action>,
}

#[derive(Debug)]
struct Offer {
    connection_id: ConnectionId,
    number: u32,
    fingerprint: Fingerprint,
    sdp: String,
}

impl Negotiation {
    /// Between this device and `remote`. `instance` is random and never used before: a negotiation that begins anew, even in
    /// the same process, has forgotten what it answered.
    pub fn new(local: DeviceId, remote: DeviceId, instance: u64, signaling_up: bool) -> Self {
        Self {
            wins_glare: local > remote,
            instances: Instances::new(instance),
            dials: 0,
            asked: None,
            signaling_up,
            current: None,
            parked: None,
            established: None,
            newest_offer: None,
            remembered: Recent::default(),
            early: Early::default(),
            held: VecDeque::new(),
            actions: VecDeque::new(),
        }
    }

    /// Whether the remote instance is known, so that an offer is answered without a question before.
    pub fn knows_remote(&self) -> bool {
        self.instances.remote().is_some()
    }

    /// Asks the remote device for its instance before the first dial: [`Action::Dial`] follows, or [`Action::Abandon`] after
    /// the time of an attempt. `connection_id` is fresh and random.
    pub fn ask(&mut self, connection_id: ConnectionId, now: Instant) {
        if self.asked.is_none() {
            self.asked = Some((connection_id, now + WEBRTC_ESTABLISHMENT));
            self.send(Contents { connection_id, attempt: 0, fingerprint: None, body: Body::Hello });
        }
    }

    /// Wants a new connection, whether or not there is one. `connection_id` is fresh and random; it is not used if
    /// an attempt is under way already. Returns the attempt that is.
    pub fn dial(&mut self, connection_id: ConnectionId, now: Instant) -> ConnectionId {
        if let Some(current) = &self.current {
            return current.connection_id;
        }
        self.dials += 1;
        self.remembered.insert(connection_id);
        self.current = Some(Attempt::new(connection_id, self.dials, Role::Initiator, now));
        self.actions.push_back(Action::CreateOffer { connection_id });
        connection_id
    }

    /// Gives up the attempt that is under way, and with it the parked one.
    pub fn hang_up(&mut self, now: Instant) {
        self.parked = None;
        self.end(AbandonReason::Cancelled, Some(ByeReason::Cancelled), now);
    }

    /// The peer connection's offer or answer is ready.
    pub fn handle_local_description(
        &mut self,
        connection_id: ConnectionId,
        sdp: String,
        fingerprint: Fingerprint,
        now: Instant,
    ) {
        let (instance, to) = (self.instances.own(), self.instances.remote());
        let Some(current) = self.attempt(connection_id).filter(|a| a.phase == Phase::Describing) else {
            return;
        };
        current.fingerprint = Some(fingerprint);
        let body = match current.role {
            Role::Initiator => {
                current.phase = Phase::AwaitingAnswer;
                current.offer = Some(sdp.clone());
                current.to = to;
                Body::Offer { instance, to, sdp }
            }
            Role::Responder => {
                current.phase = Phase::Connecting;
                Body::Answer { instance, sdp }
            }
        };
        current.schedule(now);
        let contents = current.contents(body);
        self.send(contents);
    }

    /// The ICE agent found candidates. They are sent together with what follows within
    /// [`crate::timing::CANDIDATE_BATCH`]; those beyond [`limits::MAX_CANDIDATES`] are not sent.
    pub fn handle_local_candidates(
        &mut self,
        connection_id: ConnectionId,
        candidates: impl IntoIterator<Item = String>,
        now: Instant,
    ) {
        let Some(current) = self.attempt(connection_id) else { return };
        let before = current.local_candidates.len();
        let room = limits::MAX_CANDIDATES - current.local_count;
        current.local_candidates.extend(candidates.into_iter().take(room));
        current.local_count += current.local_candidates.len() - before;
        current.schedule(now);
    }

    /// The attempt's transport is connected and its handshake done.
    pub fn handle_connected(&mut self, connection_id: ConnectionId, now: Instant) {
        if self.attempt(connection_id).is_none() {
            return;
        }
        self.current = None;
        self.established = Some(connection_id);
        self.resume_parked(now);
    }

    /// A transport failed or ended, under way or established. If under way, [`Action::Abandon`] follows.
    pub fn handle_closed(&mut self, connection_id: ConnectionId, now: Instant) {
        if self.attempt(connection_id).is_some() {
            self.end(AbandonReason::Failed, Some(ByeReason::Failed), now);
        } else if self.established == Some(connection_id) {
            self.established = None;
        }
    }

    /// Whether envelopes can be sent now. What was held is sent when they can again.
    pub fn handle_signaling(&mut self, up: bool, now: Instant) {
        self.signaling_up = up;
        if up {
            self.actions.extend(self.held.drain(..).map(Action::Send));
            self.handle_timeout(now);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some((connection_id, _)) = self.asked.take_if(|(_, deadline)| *deadline <= now) {
            self.actions.push_back(Action::Abandon { connection_id, reason: AbandonReason::TimedOut });
        }
        let Some(current) = &mut self.current else { return };
        if current.deadline <= now {
            return self.end(AbandonReason::TimedOut, Some(ByeReason::TimedOut), now);
        }
        if self.signaling_up && current.flush_at.is_some_and(|at| at <= now) {
            current.flush_at = None;
            let candidates = std::mem::take(&mut current.local_candidates);
            let contents = current.contents(Body::Candidates(candidates));
            self.send(contents);
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let asked = self.asked.map(|(_, deadline)| deadline);
        let Some(current) = &self.current else { return asked };
        let flush = if self.signaling_up { current.flush_at } else { None };
        earliest(asked, earliest(Some(current.deadline), flush))
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The attempt under way.
    pub fn current(&self) -> Option<ConnectionId> {
        self.current.as_ref().map(|a| a.connection_id)
    }

    /// The connection made last that has not closed.
    pub fn established(&self) -> Option<ConnectionId> {
        self.established
    }

    // What follows from what either device does.

    fn answer(&mut self, offer: Offer, now: Instant) {
        let Offer { connection_id, number, fingerprint, sdp } = offer;
        let mut attempt = Attempt::new(connection_id, number, Role::Responder, now);
        let candidates = self.early.take(connection_id);
        attempt.remote_count = candidates.len();
        self.current = Some(attempt);
        self.actions.push_back(Action::CreateAnswer { connection_id, sdp, fingerprint });
        self.add_candidates(connection_id, candidates);
    }

    fn resume_parked(&mut self, now: Instant) {
        if let Some(offer) = self.parked.take() {
            self.answer(offer, now);
        }
    }

    /// Ends the attempt under way, tells the other device if it knows of it, and falls back to a parked offer.
    fn end(&mut self, reason: AbandonReason, bye: Option<ByeReason>, now: Instant) {
        let Some(attempt) = self.current.take() else { return };
        let connection_id = attempt.connection_id;
        self.actions.push_back(Action::Abandon { connection_id, reason });
        let held = self.held.len();
        self.held.retain(|contents| contents.connection_id != connection_id);
        let unheard =
            self.held.len() < held || (attempt.role, attempt.phase) == (Role::Initiator, Phase::Describing);
        if let Some(bye) = bye
            && !(unheard && attempt.role == Role::Initiator)
        {
            self.send(attempt.contents(Body::Bye(bye)));
        }
        self.resume_parked(now);
    }

    fn add_candidates(&mut self, connection_id: ConnectionId, candidates: Vec<String>) {
        if !candidates.is_empty() {
            self.actions.push_back(Action::AddCandidates { connection_id, candidates });
        }
    }

    fn send(&mut self, contents: Contents) {
        if self.signaling_up {
            self.actions.push_back(Action::Send(contents));
        } else {
            // One description, and byes: an attempt whose bye is lost ends by its deadline.
            if self.held.len() == limits::MAX_HELD_CONTENTS {
                self.held.pop_front();
            }
            self.held.push_back(contents);
        }
    }

    fn attempt(&mut self, connection_id: ConnectionId) -> Option<&mut Attempt> {
        self.current.as_mut().filter(|a| a.connection_id == connection_id)
    }

    fn is_parked(&self, connection_id: ConnectionId) -> bool {
        self.parked.as_ref().is_some_and(|offer| offer.connection_id == connection_id)
    }
}
