//! The dials of a peer that wait for the outcome of an attempt.

use super::{AttemptState, PeerNegotiation};
use crate::engine::DialId;
use crate::engine::negotiations::{NegotiationError, NegotiationOutput};
use crate::time::Instant;

/// A dial without a conclusion.
pub(super) struct WaitingDial {
    pub(super) id: DialId,
    /// Our session epoch when it started.
    pub(super) epoch: u64,
    /// It has outlived a failed handshake of another epoch.
    again: bool,
}

impl WaitingDial {
    pub(super) fn new(id: DialId, epoch: u64) -> Self {
        Self { id, epoch, again: false }
    }
}

impl PeerNegotiation {
    /// Concludes the dials that the attempt was for. The others dial again.
    pub(super) fn conclude(
        &mut self,
        outcome: Result<(), NegotiationError>,
        attempt: &AttemptState,
        now: Instant,
    ) {
        let failed = attempt.handshake && matches!(outcome, Err(NegotiationError::Failed(_)));
        let outlives = |dial: &mut WaitingDial| {
            let other = failed && attempt.epoch != Some(dial.epoch);
            attempt.session_closed || (other && !std::mem::replace(&mut dial.again, true))
        };
        let ended = self.dials.extract_if(.., |dial| !outlives(dial)).collect();
        self.report(ended, outcome);
        if self.dials.is_empty() {
            self.trouble = None;
        } else {
            self.begin(now);
        }
    }

    pub(super) fn conclude_dials(&mut self, outcome: Result<(), NegotiationError>) {
        self.trouble = None;
        let dials = std::mem::take(&mut self.dials);
        self.report(dials, outcome);
    }

    fn report(&mut self, dials: Vec<WaitingDial>, outcome: Result<(), NegotiationError>) {
        if !dials.is_empty() {
            let dials = dials.into_iter().map(|dial| dial.id).collect();
            self.outputs.push_back(NegotiationOutput::Concluded { dials, outcome });
        }
    }
}
