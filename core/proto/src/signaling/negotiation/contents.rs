//! What one envelope says to this negotiation.

use super::{Body, BodyError};
use crate::envelope::{self, FINGERPRINT_LEN};
use crate::id::ConnectionId;
use crate::signaling::message::ExchangeKind;

/// SHA-256 of a DTLS certificate.
pub type Fingerprint = [u8; FINGERPRINT_LEN];

/// The contents of one envelope between the two devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The attempt.
    pub connection_id: ConnectionId,
    /// Its number among the dials of the process that began it.
    pub attempt: u32,
    /// The sender's DTLS certificate in this attempt; nothing on a bye that precedes it, a retry and a
    /// welcome.
    pub fingerprint: Option<Fingerprint>,
    /// What it says.
    pub body: Body,
}

impl Contents {
    /// What an envelope said.
    ///
    /// # Errors
    /// [`BodyError`]
    pub fn from_envelope(content: &envelope::Content) -> Result<Self, BodyError> {
        let body = Body::decode(&content.body)?;
        if content.fingerprint.is_none() && matches!(body, Body::Offer { .. } | Body::Answer { .. }) {
            return Err(BodyError::NoFingerprint);
        }
        let envelope::Content { connection_id, attempt, fingerprint, .. } = *content;
        Ok(Self { connection_id, attempt, fingerprint, body })
    }

    /// The inside of the envelope that is to be sealed.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`]
    pub fn to_envelope(&self) -> Result<envelope::Content, BodyError> {
        let Self { connection_id, attempt, fingerprint, ref body } = *self;
        Ok(envelope::Content { connection_id, attempt, fingerprint, body: body.encode()? })
    }

    /// The event that carries it through a relay.
    pub fn kind(&self) -> ExchangeKind {
        match self.body {
            Body::Offer { .. } | Body::Hello => ExchangeKind::Offer,
            Body::Answer { .. } | Body::Retry { .. } | Body::Welcome => ExchangeKind::Answer,
            Body::Candidates(_) | Body::Bye(_) => ExchangeKind::IceCandidate,
        }
    }
}
