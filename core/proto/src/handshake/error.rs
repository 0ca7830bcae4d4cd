//! Failures of a handshake, in full for this side and reduced to almost nothing for the other.

use crate::certificate::CertificateError;
use crate::id::DeviceId;
use crate::seal::SealError;
use crate::trust::KeyChanged;

/// The reason for which there is no connection. For this side's logs and app; the peer learns at most an [`Alert`] or a
/// refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// A frame that is not of this protocol.
    #[error("malformed handshake frame: {0}")]
    Malformed(&'static str),
    /// A handshake frame at the wrong moment: repeated, reordered, or both sides took the same role.
    #[error("handshake frame out of order")]
    OutOfOrder,
    /// The peer speaks no version this build does.
    #[error("no common protocol version")]
    Version,
    /// The exchange was altered, is a replay, or the two ends are not on one and the same channel.
    #[error("the exchange is not authentic: altered, replayed, or somebody sits between the two ends")]
    NotAuthentic,
    /// Not finished in time.
    #[error("the handshake took too long")]
    TimedOut,
    /// The caller does not know this device's key, and pairing is not open.
    #[error("the caller does not know this device")]
    UnknownCaller,
    /// The peer's certificate does not hold.
    #[error("the peer's certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// The certificate is genuine but belongs to somebody other than who holds the handshake key.
    #[error("the peer presented a certificate of another device")]
    StolenCertificate,
    /// A genuine device, but not the one that was dialed.
    #[error("dialed {expected}, reached {reached}")]
    WrongDevice {
        /// The device that was dialed.
        expected: DeviceId,
        /// The device that answered.
        reached: DeviceId,
    },
    /// The device is known with other keys.
    #[error(transparent)]
    KeyChanged(#[from] KeyChanged),
    /// The peer presented this device's own certificate.
    #[error("reached itself")]
    Own,
    /// The peer opened another number than it had committed to: an attempt to steer the digits people compare.
    #[error("the peer broke its commitment")]
    Commitment,
    /// The responder chose a mode the initiator had not offered.
    #[error("the peer chose a mode that was not offered")]
    Mode,
    /// This side's trust policy, or a person, said no.
    #[error("rejected by this device")]
    Rejected,
    /// The peer said no in a sealed frame, and never says why. Only the peer can have said it.
    #[error("denied by the peer")]
    Denied,
    /// A refusal in the clear: of the peer, or of anybody on the way. It ends this connection and says nothing about the
    /// peer.
    #[error("refused without proof that the peer said so")]
    Refused,
    /// An alert in the clear, with which the same holds as with [`Self::Refused`].
    #[error("the handshake was ended: {0}")]
    Alerted(Alert),
    /// More than 256 bytes were to ride on READY.
    #[error("too many bytes for the end of the handshake")]
    ReadyTooLarge,
    /// The call does not fit the state: already over, or not there yet.
    #[error("not possible in this state of the handshake")]
    State,
    /// The cryptographic library refused what it was given; never happens with well-formed configuration.
    #[error("cryptographic library: {0}")]
    Crypto(&'static str),
}

/// The only refusal that a stranger gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Alert {
    /// The frame made no sense.
    #[error("malformed")]
    Malformed,
    /// No common version.
    #[error("no common version")]
    Version,
    /// Too slow.
    #[error("timed out")]
    TimedOut,
}

impl Alert {
    pub(super) const fn wire(self) -> u8 {
        match self {
            Self::Malformed => 1,
            Self::Version => 2,
            Self::TimedOut => 3,
        }
    }

    pub(super) const fn from_wire(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Malformed),
            2 => Some(Self::Version),
            3 => Some(Self::TimedOut),
            _ => None,
        }
    }
}

/// The part of a failure that the other side learns.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FailureNotice {
    Alert(Alert),
    /// One shape for every failure.
    Denied,
    /// This side's own decision, sealed if both sides know each other.
    Refused,
    /// The peer ended it itself.
    Nothing,
}

impl HandshakeError {
    /// `authenticated`: whether the peer has proven who it is, after which every failure looks the same. What a frame can
    /// cause is never a refusal: a forged one would become the word of this side.
    pub(super) const fn notice(&self, authenticated: bool) -> FailureNotice {
        match self {
            Self::Denied | Self::Refused | Self::Alerted(_) | Self::State => FailureNotice::Nothing,
            Self::Rejected => FailureNotice::Refused,
            _ if authenticated => FailureNotice::Denied,
            Self::Malformed(_) | Self::OutOfOrder | Self::NotAuthentic => {
                FailureNotice::Alert(Alert::Malformed)
            }
            Self::Version => FailureNotice::Alert(Alert::Version),
            Self::TimedOut => FailureNotice::Alert(Alert::TimedOut),
            _ => FailureNotice::Denied,
        }
    }
}

impl From<SealError> for HandshakeError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::TooLarge | SealError::Malformed => Self::Malformed("sealed frame"),
            SealError::NotAuthentic => Self::NotAuthentic,
            SealError::Exhausted | SealError::Over => Self::Crypto("sealing"),
        }
    }
}
