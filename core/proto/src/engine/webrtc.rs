//! WebRTC as a part of the engine: dials, envelopes and closed sessions are inputs of the [`Negotiations`], and the end of an
//! attempt is the result of a way.

use super::negotiations::{NegotiationError, NegotiationOutput, Negotiations};
use super::{DialFailure, Engine, Output, Way};
use crate::certificate::DeviceCertificate;
use crate::id::{ConnectionId, DeviceId};
use crate::signaling::Contents;
use crate::time::Instant;
use crate::trust::TrustLevel;

impl Engine {
    /// A relay delivered sealed envelopes of a device, whose level is `level`, for the attempt that the relay names.
    pub fn handle_envelopes(
        &mut self,
        from: DeviceId,
        connection: ConnectionId,
        sealed: Vec<String>,
        level: TrustLevel,
        now: Instant,
    ) {
        for text in sealed {
            self.negotiations.handle_sealed(from, connection, text, level, now);
        }
        self.follow_negotiations(now);
    }

    /// The result of [`Output::Release`]: the level of a device now.
    pub fn release(&mut self, device: DeviceId, level: TrustLevel, now: Instant) {
        self.negotiations.release(device, level, now);
        self.follow_negotiations(now);
    }

    /// The result of [`NegotiationOutput::Open`]: the certificate of the sender, and the contents.
    ///
    /// # Errors
    /// The envelope is refused, for this reason: it could not be opened, or the sender is known with other keys (D06).
    pub fn handle_opened(
        &mut self,
        from: DeviceId,
        opened: Result<(DeviceCertificate, Contents), String>,
        now: Instant,
    ) -> Result<(), String> {
        let opened = opened.and_then(|(certificate, contents)| {
            let checked = self.handle_certificate(&certificate, now);
            checked.map(|()| contents).map_err(|error| error.to_string())
        });
        let outcome = opened.as_ref().map(|_| ()).map_err(String::clone);
        let takes_offers = self.takes_offers(from);
        self.negotiations.handle_opened(from, opened, takes_offers, now);
        self.follow_negotiations(now);
        outcome
    }

    /// Passes the report of a peer connection to the negotiations.
    pub fn report_connection(&mut self, now: Instant, report: impl FnOnce(&mut Negotiations, Instant)) {
        report(&mut self.negotiations, now);
        self.follow_negotiations(now);
    }

    /// Performs the outputs of the negotiations that are not the driver's.
    pub(super) fn follow_negotiations(&mut self, now: Instant) {
        while let Some(output) = self.negotiations.poll_output() {
            match output {
                NegotiationOutput::Concluded { dials, outcome } => {
                    let outcome = outcome.map_err(|error| match error {
                        NegotiationError::Denied => DialFailure::Denied,
                        error => DialFailure::Unreachable(error.to_string()),
                    });
                    for dial in dials {
                        self.handle_way(dial, &Way::WebRtc, outcome.clone(), now);
                    }
                }
                output => self.outputs.push_back(Output::Negotiation(output)),
            }
        }
    }
}
