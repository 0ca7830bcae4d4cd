//! The outputs of the negotiations.

use crate::engine::DialId;
use crate::id::{ConnectionId, DeviceId};
use crate::signaling::{Contents, Fingerprint};

/// A session description, and the hash of the DTLS certificate that its author signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedDescription {
    /// SDP, at most [`crate::limits::MAX_SDP`] bytes.
    pub sdp: String,
    /// The certificate that DTLS must show.
    pub fingerprint: Fingerprint,
}

/// A task for the owner. A peer connection is named by its peer and its connection id: two peers may use the same id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NegotiationOutput {
    /// Open a sealed envelope with [`Contents::open`] and check its certificate;
    /// [`super::Negotiations::handle_opened`] takes the result. The next envelope of the peer follows then.
    Open {
        /// The device that the relay names as the sender.
        peer: DeviceId,
        /// The attempt that the relay names.
        connection: ConnectionId,
        /// The envelope, in base64.
        sealed: String,
    },
    /// Make a peer connection, with an offer of its own or with the answer to `offer`. The result goes to
    /// [`super::Negotiations::handle_made`] or [`super::Negotiations::handle_failed`]. Further outputs for this peer connection
    /// may come before that, and apply after it.
    Make {
        /// The other device.
        peer: DeviceId,
        /// The attempt.
        connection: ConnectionId,
        /// The description to answer.
        offer: Option<SignedDescription>,
    },
    /// Apply the answer of the peer to a peer connection. A failure goes to [`super::Negotiations::handle_failed`].
    Apply {
        /// The other device.
        peer: DeviceId,
        /// The attempt.
        connection: ConnectionId,
        /// The description of the peer.
        answer: SignedDescription,
    },
    /// Add candidates of the peer to a peer connection. Its remote description is applied before.
    AddCandidates {
        /// The other device.
        peer: DeviceId,
        /// The attempt.
        connection: ConnectionId,
        /// Attributes of RFC 8839 section 5.1, as received.
        candidates: Vec<String>,
    },
    /// The transport is open: run the handshake on it. [`super::Negotiations::handle_settled`] takes the result.
    Handshake {
        /// The other device.
        peer: DeviceId,
        /// The attempt.
        connection: ConnectionId,
        /// Our session epoch when our dial started; none if the peer dialed, and is the initiator.
        epoch: Option<u64>,
    },
    /// The attempt has ended, for exactly one `Make`: close the peer connection, unless a session has taken its transport.
    /// [`super::Negotiations::handle_closed`] takes the result.
    Close {
        /// The other device.
        peer: DeviceId,
        /// The attempt.
        connection: ConnectionId,
    },
    /// Seal contents with [`Contents::seal`] and send them to the peer.
    Send {
        /// The recipient.
        peer: DeviceId,
        /// The inside of the envelope.
        contents: Contents,
    },
    /// A TURN server refused the credentials: get others before the next attempt.
    RenewCredentials,
    /// Dials have ended. No other output names them.
    Concluded {
        /// At least one.
        dials: Vec<DialId>,
        /// The result of each.
        outcome: Result<(), NegotiationError>,
    },
}

/// The reason why a dial led to no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// The peer refused the handshake, or the trust policy of this device did.
    #[error("denied")]
    Denied,
    /// The attempt failed, for this reason.
    #[error("{0}")]
    Failed(String),
    /// The session that the dial was for is being closed.
    #[error("the session was closed")]
    SessionClosed,
}
