//! The inside of the envelopes between two devices.

use super::{Body, BodyError};
use crate::certificate::DeviceCertificate;
use crate::envelope::{self, EnvelopeError, FINGERPRINT_LEN, Opened};
use crate::id::{ConnectionId, DeviceId};
use crate::keys::{DeviceKeys, KEY_LEN};
use crate::signaling::base64;
use crate::signaling::message::ExchangeKind;
use crate::trust::KnownKeys;

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
    /// The message.
    pub body: Body,
}

/// The reason why an envelope between two devices cannot be made or is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentsError {
    /// The text is not canonical base64.
    #[error("not base64")]
    Base64,
    /// The envelope does not open, or does not verify.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The envelope is of another device or of another attempt than the relay says.
    #[error("the relay put another label on it")]
    Label,
    /// The body is not one, or beyond its bounds.
    #[error(transparent)]
    Body(#[from] BodyError),
}

impl Contents {
    /// Opens and verifies an envelope to the device of `keys`: base64, as relays carry it. The relay names `from` as the sender
    /// and `connection` as the attempt. Returns the sender's certificate, to be compared with the keys that are pinned. It costs
    /// three signatures and a key agreement.
    ///
    /// # Errors
    /// [`ContentsError`]
    pub fn open(
        sealed: &str,
        keys: &DeviceKeys,
        from: DeviceId,
        connection: ConnectionId,
    ) -> Result<(DeviceCertificate, Self), ContentsError> {
        let sealed = base64::decode(sealed).ok_or(ContentsError::Base64)?;
        let Opened { sender, content } = envelope::open(&sealed, keys)?;
        if sender.device_id() != from || content.connection_id != connection {
            return Err(ContentsError::Label);
        }
        Ok((sender, Self::decode(&content)?))
    }

    /// Signs the contents as the device of `keys` and `certificate` and seals them to the device of the keys `recipient`, as
    /// base64. `ephemeral` are 32 fresh bytes from the operating system's generator, never used before.
    ///
    /// # Errors
    /// [`ContentsError::Body`] if the body is beyond its bounds.
    pub fn seal(
        &self,
        keys: &DeviceKeys,
        certificate: &DeviceCertificate,
        recipient: &KnownKeys,
        ephemeral: [u8; KEY_LEN],
    ) -> Result<String, ContentsError> {
        let Self { connection_id, attempt, fingerprint, ref body } = *self;
        let content = envelope::Content { connection_id, attempt, fingerprint, body: body.encode()? };
        let sealed = envelope::seal(&content, keys, certificate, recipient, ephemeral)?;
        Ok(base64::encode(&sealed))
    }

    fn decode(content: &envelope::Content) -> Result<Self, BodyError> {
        let body = Body::decode(&content.body)?;
        // Without a fingerprint DTLS would accept any certificate.
        if content.fingerprint.is_none() && matches!(body, Body::Offer { .. } | Body::Answer { .. }) {
            return Err(BodyError::NoFingerprint);
        }
        let envelope::Content { connection_id, attempt, fingerprint, .. } = *content;
        Ok(Self { connection_id, attempt, fingerprint, body })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::UserKeys;
    use crate::signaling::ByeReason;
    use crate::time::UnixTime;

    struct Device {
        keys: DeviceKeys,
        certificate: DeviceCertificate,
    }

    impl Device {
        fn new(seed: u8) -> Self {
            let (user, keys) = (UserKeys::from_seed([seed; 32]), DeviceKeys::from_seed([seed; 32]));
            let certificate = DeviceCertificate::issue(&user, &keys, UnixTime(1), "phone").unwrap();
            Self { keys, certificate }
        }

        fn id(&self) -> DeviceId {
            self.certificate.device_id()
        }

        fn seal_raw(&self, to: &Self, content: &envelope::Content) -> String {
            let recipient = KnownKeys::of(&to.certificate);
            let sealed = envelope::seal(content, &self.keys, &self.certificate, &recipient, [9; 32]);
            base64::encode(&sealed.unwrap())
        }
    }

    fn contents(fingerprint: Option<Fingerprint>, body: Body) -> Contents {
        Contents { connection_id: ConnectionId::from_bytes([5; 16]), attempt: 3, fingerprint, body }
    }

    fn bodies() -> [Body; 7] {
        [
            Body::Offer { instance: 1, to: None, sdp: "v=0".into() },
            Body::Answer { instance: 1, sdp: "v=0".into() },
            Body::Hello,
            Body::Retry { instance: 1 },
            Body::Candidates(vec!["candidate".into()]),
            Body::Bye(ByeReason::Cancelled),
            Body::Welcome,
        ]
    }

    // proves S130 S131
    #[test]
    fn contents_survive_the_envelope_and_descriptions_need_a_fingerprint() {
        let (a, b) = (Device::new(1), Device::new(2));
        for body in bodies() {
            for fingerprint in [Some([6; 32]), None] {
                let sent = contents(fingerprint, body.clone());
                let recipient = KnownKeys::of(&b.certificate);
                let sealed = sent.seal(&a.keys, &a.certificate, &recipient, [9; 32]).unwrap();
                let opened = Contents::open(&sealed, &b.keys, a.id(), sent.connection_id);
                let describes = matches!(body, Body::Offer { .. } | Body::Answer { .. });
                if describes && fingerprint.is_none() {
                    assert_eq!(opened, Err(ContentsError::Body(BodyError::NoFingerprint)));
                } else {
                    assert_eq!(opened, Ok((a.certificate.clone(), sent)));
                }
            }
        }
    }

    // proves S130
    #[test]
    fn each_defect_of_an_envelope_has_its_own_error() {
        let (a, b, c) = (Device::new(1), Device::new(2), Device::new(3));
        let sent = contents(None, Body::Hello);
        let sealed = sent.seal(&a.keys, &a.certificate, &KnownKeys::of(&b.certificate), [9; 32]).unwrap();
        let connection = sent.connection_id;
        let open = |sealed: &str| Contents::open(sealed, &b.keys, a.id(), connection).unwrap_err();
        assert_eq!(open("?"), ContentsError::Base64);
        assert_eq!(open(&base64::encode(b"short")), ContentsError::Envelope(EnvelopeError::Sealed));
        let content =
            envelope::Content { connection_id: connection, attempt: 3, fingerprint: None, body: vec![] };
        assert_eq!(open(&a.seal_raw(&b, &content)), ContentsError::Body(BodyError::Malformed));
        let for_c = Contents::open(&sealed, &c.keys, a.id(), connection);
        assert_eq!(for_c, Err(ContentsError::Envelope(EnvelopeError::Sealed)));
        let of_c = Contents::open(&sealed, &b.keys, c.id(), connection);
        assert_eq!(of_c, Err(ContentsError::Label));
        let of_another = Contents::open(&sealed, &b.keys, a.id(), ConnectionId::from_bytes([6; 16]));
        assert_eq!(of_another, Err(ContentsError::Label));
        let large = contents(None, Body::Candidates(vec!["x".repeat(crate::limits::MAX_CANDIDATE + 1)]));
        let large = large.seal(&a.keys, &a.certificate, &KnownKeys::of(&b.certificate), [9; 32]);
        assert_eq!(large, Err(ContentsError::Body(BodyError::TooLarge)));
    }
}
