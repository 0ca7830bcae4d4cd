//! What the remote device says.

use super::attempt::{Phase, Role};
use super::{AbandonReason, Action, Body, ByeReason, Contents, Fingerprint, Negotiation, Offer};
use crate::id::ConnectionId;
use crate::limits;
use crate::time::Instant;

impl Negotiation {
    /// An envelope of the remote device was opened.
    pub fn handle_remote(&mut self, contents: Contents, now: Instant) {
        let Contents { connection_id, attempt: number, fingerprint, body } = contents;
        match (body, fingerprint) {
            (Body::Offer { instance, to, sdp }, Some(fingerprint)) => {
                let offer = Offer { connection_id, number, fingerprint, sdp };
                self.handle_offer(offer, instance, to, now);
            }
            (Body::Answer { instance, sdp }, Some(fingerprint)) => {
                self.handle_answer(connection_id, number, instance, fingerprint, sdp);
            }
            (Body::Hello, _) => self.handle_hello(connection_id, now),
            (Body::Retry { instance }, _) => self.handle_retry(connection_id, number, instance),
            (Body::Candidates(candidates), _) => self.handle_candidates(connection_id, number, candidates),
            (Body::Bye(reason), _) => self.handle_bye(connection_id, reason, now),
            // The owner of the machine has taken the certificate it came with.
            (Body::Welcome, _) => {}
            // `Contents::from_envelope` lets none through: without it DTLS would accept anybody.
            (Body::Offer { .. } | Body::Answer { .. }, None) => {}
        }
    }

    fn handle_offer(&mut self, offer: Offer, instance: u64, to: Option<u64>, now: Instant) {
        let connection_id = offer.connection_id;
        if self.remembered.contains(&connection_id) {
            return; // a copy, a replay, or an attempt that ended before it was heard of
        }
        if self.newest_offer.is_some_and(|(known, newest)| known == instance && offer.number <= newest) {
            self.remembered.insert(connection_id);
            self.early.take(connection_id);
            return; // overtaken by a newer one
        }
        let own = self.instances.own();
        if to != Some(own) {
            if self.instances.retry(connection_id, now) {
                let body = Body::Retry { instance: own };
                self.send(Contents { connection_id, attempt: offer.number, fingerprint: None, body });
            }
            return; // made for another instance, or for none: perhaps a replay
        }
        self.remembered.insert(connection_id);
        self.instances.learn(instance);
        self.newest_offer = Some((instance, offer.number));
        match self.current.as_ref().map(|a| a.role) {
            None => self.answer(offer, now),
            Some(Role::Initiator) if self.wins_glare => self.parked = Some(offer),
            Some(Role::Initiator) => {
                self.end(AbandonReason::Glare, Some(ByeReason::Glare), now);
                self.answer(offer, now);
            }
            Some(Role::Responder) => {
                self.end(AbandonReason::Replaced, None, now);
                self.answer(offer, now);
            }
        }
    }

    fn handle_hello(&mut self, connection_id: ConnectionId, now: Instant) {
        if self.instances.retry(connection_id, now) {
            let body = Body::Retry { instance: self.instances.own() };
            self.send(Contents { connection_id, attempt: 0, fingerprint: None, body });
        }
    }

    fn handle_answer(
        &mut self,
        connection_id: ConnectionId,
        number: u32,
        instance: u64,
        fingerprint: Fingerprint,
        sdp: String,
    ) {
        let Some(current) = self.attempt(connection_id) else { return };
        // An answer of another instance than the offer was made for last leads to one that is no more.
        let wanted = current.number == number && current.to == Some(instance);
        if current.phase != Phase::AwaitingAnswer || !wanted {
            return;
        }
        current.phase = Phase::Connecting;
        current.offer = None;
        let candidates = std::mem::take(&mut current.remote_candidates);
        self.actions.push_back(Action::ApplyAnswer { connection_id, sdp, fingerprint });
        self.add_candidates(connection_id, candidates);
    }

    /// The remote device is another instance than the offer was made for. The offer is made again, once per attempt.
    fn handle_retry(&mut self, connection_id: ConnectionId, number: u32, remote: u64) {
        if self.asked.take_if(|(asked, _)| *asked == connection_id).is_some() {
            self.instances.learn(remote);
            self.actions.push_back(Action::Dial);
            return;
        }
        let instance = self.instances.own();
        let Some(current) = self.attempt(connection_id).filter(|a| a.number == number) else { return };
        let Some(sdp) = current.offer.take() else { return };
        current.to = Some(remote);
        let contents = current.contents(Body::Offer { instance, to: current.to, sdp });
        self.instances.learn(remote);
        self.send(contents);
    }

    fn handle_candidates(&mut self, connection_id: ConnectionId, number: u32, mut candidates: Vec<String>) {
        if let Some(current) = self.attempt(connection_id) {
            if current.number != number {
                return;
            }
            candidates.truncate(limits::MAX_CANDIDATES - current.remote_count);
            current.remote_count += candidates.len();
            if current.has_remote_description() {
                self.add_candidates(connection_id, candidates);
            } else {
                current.remote_candidates.extend(candidates);
            }
        } else if !self.remembered.contains(&connection_id) || self.is_parked(connection_id) {
            self.early.add(connection_id, candidates);
        }
    }

    fn handle_bye(&mut self, connection_id: ConnectionId, reason: ByeReason, now: Instant) {
        self.remembered.insert(connection_id);
        self.early.take(connection_id);
        if self.attempt(connection_id).is_some() {
            self.end(AbandonReason::Remote(reason), None, now);
        } else if self.is_parked(connection_id) {
            self.parked = None;
        } else if self.established == Some(connection_id) {
            self.established = None;
            self.actions.push_back(Action::Abandon { connection_id, reason: AbandonReason::Remote(reason) });
        }
    }
}
