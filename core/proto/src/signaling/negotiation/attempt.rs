//! The state of one attempt to connect.

use super::{Body, Contents, Fingerprint};
use crate::id::ConnectionId;
use crate::time::Instant;
use crate::timing;

/// The attempt that is under way.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) connection_id: ConnectionId,
    pub(super) number: u32,
    pub(super) role: Role,
    pub(super) phase: Phase,
    pub(super) deadline: Instant,
    pub(super) fingerprint: Option<Fingerprint>,
    /// This device's offer, until it is answered or was made again.
    pub(super) offer: Option<String>,
    /// The remote instance it was made for last.
    pub(super) to: Option<u64>,
    pub(super) local_candidates: Vec<String>,
    pub(super) local_count: usize,
    pub(super) flush_at: Option<Instant>,
    pub(super) remote_candidates: Vec<String>,
    pub(super) remote_count: usize,
}

impl Attempt {
    pub(super) fn new(connection_id: ConnectionId, number: u32, role: Role, now: Instant) -> Self {
        Self {
            connection_id,
            number,
            role,
            phase: Phase::Describing,
            deadline: now + timing::WEBRTC_ESTABLISHMENT,
            fingerprint: None,
            offer: None,
            to: None,
            local_candidates: Vec::new(),
            local_count: 0,
            flush_at: None,
            remote_candidates: Vec::new(),
            remote_count: 0,
        }
    }

    pub(super) fn has_remote_description(&self) -> bool {
        self.role == Role::Responder || self.phase == Phase::Connecting
    }

    /// Candidates follow the description, never precede it.
    pub(super) fn schedule(&mut self, now: Instant) {
        if self.phase != Phase::Describing && !self.local_candidates.is_empty() {
            self.flush_at.get_or_insert(now + timing::CANDIDATE_BATCH);
        }
    }

    pub(super) fn contents(&self, body: Body) -> Contents {
        Contents {
            connection_id: self.connection_id,
            attempt: self.number,
            fingerprint: self.fingerprint,
            body,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Initiator,
    Responder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Describing,
    AwaitingAnswer,
    Connecting,
}
