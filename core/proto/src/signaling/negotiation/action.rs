//! What the negotiation wants done.

use super::{ByeReason, Contents, Fingerprint};
use crate::id::ConnectionId;

/// What the owner of the machine has to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make a peer connection and its offer; answer with [`super::Negotiation::handle_local_description`].
    CreateOffer {
        /// The attempt.
        connection_id: ConnectionId,
    },
    /// The remote instance is known now, as [`super::Negotiation::ask`] wanted: dial, if that is still wanted.
    Dial,
    /// Make a peer connection, apply the offer and make the answer; answer likewise.
    CreateAnswer {
        /// The attempt.
        connection_id: ConnectionId,
        /// The remote description.
        sdp: String,
        /// The certificate DTLS must show.
        fingerprint: Fingerprint,
    },
    /// Apply the answer to the attempt's peer connection.
    ApplyAnswer {
        /// The attempt.
        connection_id: ConnectionId,
        /// The remote description.
        sdp: String,
        /// The certificate DTLS must show.
        fingerprint: Fingerprint,
    },
    /// Add remote candidates; its remote description is applied already.
    AddCandidates {
        /// The attempt.
        connection_id: ConnectionId,
        /// As received.
        candidates: Vec<String>,
    },
    /// Seal and send to the other device.
    Send(Contents),
    /// Close the attempt's peer connection.
    Abandon {
        /// The attempt.
        connection_id: ConnectionId,
        /// Why.
        reason: AbandonReason,
    },
}

/// Why an attempt ended without a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AbandonReason {
    /// [`crate::timing::WEBRTC_ESTABLISHMENT`] passed.
    #[error("not connected in time")]
    TimedOut,
    /// [`super::Negotiation::hang_up`].
    #[error("cancelled")]
    Cancelled,
    /// [`super::Negotiation::handle_closed`].
    #[error("the transport failed")]
    Failed,
    /// Both dialed, and the other attempt goes on.
    #[error("the other device's attempt goes on")]
    Glare,
    /// The other device began a newer one.
    #[error("the other device began a newer attempt")]
    Replaced,
    /// The other device gave it up.
    #[error("the other device gave up: {0:?}")]
    Remote(ByeReason),
}
