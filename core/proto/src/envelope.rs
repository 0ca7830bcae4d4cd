//! Sealed, signed envelopes: how offers, answers and candidates pass a relay that must not read or alter them.
//!
//! The outside is the one message of `Noise_N_25519_ChaChaPoly_SHA256` to the recipient's `box_pk`, with the prologue
//! `"peers envelope\0"`: an ephemeral key, ciphertext, a tag of 16 bytes. The relay sees the two ids, the time and the size.
//! The inside, integers big endian:
//!
//! | offset    | bytes | field                                                          |
//! |-----------|-------|----------------------------------------------------------------|
//! | 0         | 1     | version, 1                                                     |
//! | 1         | 20    | recipient's device id                                          |
//! | 21        | 16    | connection id                                                  |
//! | 37        | 4     | attempt                                                        |
//! | 41        | 1     | 1 if a fingerprint follows, else 0                             |
//! | 42        | 0, 32 | SHA-256 of the sender's DTLS certificate                       |
//! | then      | 2     | c, bytes of the certificate                                    |
//! |           | c     | sender's certificate                                           |
//! |           | n     | body, at most 40 KiB                                           |
//! | last      | 64    | sender's device signature over `"peers envelope\0"` ‖ all above |
//!
//! There is no time in it: clocks differ by years. Replays are for the receiver to notice, by the instance that an offer names
//! and the connection ids it remembers ([`crate::signaling::Negotiation`]).

use std::fmt;

use crate::certificate::{CertificateError, DeviceCertificate, MAX_CERTIFICATE};
use crate::id::{ConnectionId, DeviceId};
use crate::keys::{self, DeviceKeys, KEY_LEN, SIGNATURE_LEN, Seed};
use crate::limits::MAX_ENVELOPE_BODY;
use crate::noise;
use crate::reader::Reader;
use crate::trust::KnownKeys;

const PATTERN: &str = "Noise_N_25519_ChaChaPoly_SHA256";
const VERSION: u8 = 1;
const DOMAIN: &[u8] = b"peers envelope\0";
/// Ephemeral key and tag around the inside.
const BOX_OVERHEAD: usize = 48;
const FIXED: usize = 42 + 2 + SIGNATURE_LEN;
/// Bytes of a certificate hash.
pub const FINGERPRINT_LEN: usize = 32;
/// Bytes of the largest envelope.
pub const MAX_ENVELOPE: usize = BOX_OVERHEAD + FIXED + FINGERPRINT_LEN + MAX_CERTIFICATE + MAX_ENVELOPE_BODY;

/// The reason for which an envelope could not be made or does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Beyond the limit.
    #[error("an envelope holds at most {MAX_ENVELOPE_BODY} bytes")]
    TooLarge,
    /// Not sealed to this device, or altered on the way.
    #[error("the envelope does not open")]
    Sealed,
    /// The inside is not of this protocol.
    #[error("malformed envelope")]
    Malformed,
    /// A version this build does not know.
    #[error("envelope version {0} is unknown")]
    Version(u8),
    /// Sealed to this device, but written to another: somebody passes on what was not meant for us.
    #[error("the envelope was written to another device")]
    Recipient,
    /// The sender's certificate does not hold.
    #[error("the sender's certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// The sender did not sign it.
    #[error("the sender's signature is wrong")]
    Signature,
}

/// The content of an envelope.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// The attempt to connect it belongs to.
    pub connection_id: ConnectionId,
    /// The generation within that attempt.
    pub attempt: u32,
    /// SHA-256 of the certificate the sender's DTLS will show.
    pub fingerprint: Option<[u8; FINGERPRINT_LEN]>,
    /// The negotiation's bytes. They must name their kind: the relay's event name is not covered.
    pub body: Vec<u8>,
}

/// An envelope that was opened and verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The sender.
    pub sender: DeviceCertificate,
    /// The sender's content.
    pub content: Content,
}

/// Signs `content` as the device of `keys` and `certificate` and seals it to the device of the keys `recipient`: pinned
/// ones need no certificate. `ephemeral` are 32 fresh bytes from the operating system's generator, never used before.
///
/// # Errors
/// [`EnvelopeError::TooLarge`].
pub fn seal(
    content: &Content,
    keys: &DeviceKeys,
    certificate: &DeviceCertificate,
    recipient: &KnownKeys,
    ephemeral: [u8; KEY_LEN],
) -> Result<Vec<u8>, EnvelopeError> {
    if content.body.len() > MAX_ENVELOPE_BODY {
        return Err(EnvelopeError::TooLarge);
    }
    let mut inside = encode(content, certificate, recipient.device_id());
    let signature = keys.sign(DOMAIN, &inside);
    inside.extend_from_slice(&signature);
    seal_inside(&inside, &recipient.box_pk, Seed(ephemeral)).map_err(|_| EnvelopeError::TooLarge)
}

/// Opens and verifies an envelope to the device of `keys`.
///
/// # Errors
/// Every [`EnvelopeError`].
pub fn open(sealed: &[u8], keys: &DeviceKeys) -> Result<Opened, EnvelopeError> {
    if sealed.len() > MAX_ENVELOPE {
        return Err(EnvelopeError::TooLarge);
    }
    let inside = open_inside(sealed, keys).map_err(|_| EnvelopeError::Sealed)?;
    let version = *inside.first().ok_or(EnvelopeError::Malformed)?;
    if version != VERSION {
        return Err(EnvelopeError::Version(version));
    }
    let (signed, signature) = inside.split_last_chunk::<SIGNATURE_LEN>().ok_or(EnvelopeError::Malformed)?;
    let (recipient, certificate, content) = decode(signed).ok_or(EnvelopeError::Malformed)?;
    if content.body.len() > MAX_ENVELOPE_BODY {
        return Err(EnvelopeError::TooLarge);
    }
    if recipient != keys.device_id() {
        return Err(EnvelopeError::Recipient);
    }
    let sender = DeviceCertificate::decode(certificate)?;
    if !keys::verify(sender.sign_pk(), DOMAIN, signed, signature) {
        return Err(EnvelopeError::Signature);
    }
    Ok(Opened { sender, content })
}

fn encode(content: &Content, certificate: &DeviceCertificate, recipient: DeviceId) -> Vec<u8> {
    let certificate = certificate.as_bytes();
    let mut inside = Vec::with_capacity(FIXED + FINGERPRINT_LEN + certificate.len() + content.body.len());
    inside.push(VERSION);
    inside.extend_from_slice(recipient.as_bytes());
    inside.extend_from_slice(content.connection_id.as_bytes());
    inside.extend_from_slice(&content.attempt.to_be_bytes());
    inside.push(content.fingerprint.is_some().into());
    inside.extend_from_slice(content.fingerprint.as_ref().map_or(&[], |f| &f[..]));
    inside.extend_from_slice(&(certificate.len() as u16).to_be_bytes()); // at most `MAX_CERTIFICATE`
    inside.extend_from_slice(certificate);
    inside.extend_from_slice(&content.body);
    inside
}

fn decode(signed: &[u8]) -> Option<(DeviceId, &[u8], Content)> {
    let mut reader = Reader::new(signed);
    reader.u8()?; // the version, already checked
    let recipient = DeviceId::from_bytes(reader.array()?);
    let connection_id = ConnectionId::from_bytes(reader.array()?);
    let attempt = reader.u32()?;
    let fingerprint = match reader.u8()? {
        0 => None,
        1 => Some(reader.array()?),
        _ => return None,
    };
    let certificate_len = reader.u16()?.into();
    let certificate = reader.slice(certificate_len)?;
    let body = reader.rest().to_vec();
    Some((recipient, certificate, Content { connection_id, attempt, fingerprint, body }))
}

fn seal_inside(inside: &[u8], box_pk: &[u8; KEY_LEN], ephemeral: Seed) -> Result<Vec<u8>, snow::Error> {
    let mut noise = noise::builder(PATTERN, Some(ephemeral))?
        .remote_public_key(box_pk)?
        .prologue(DOMAIN)?
        .build_initiator()?;
    let mut sealed = vec![0; BOX_OVERHEAD + inside.len()];
    noise.write_message(inside, &mut sealed)?;
    Ok(sealed)
}

fn open_inside(sealed: &[u8], keys: &DeviceKeys) -> Result<Vec<u8>, snow::Error> {
    let mut noise = noise::builder(PATTERN, None)?
        .local_private_key(keys.box_secret().as_bytes())?
        .prologue(DOMAIN)?
        .build_responder()?;
    let mut inside = vec![0; sealed.len()];
    let len = noise.read_message(sealed, &mut inside)?;
    inside.truncate(len);
    Ok(inside)
}

impl fmt::Debug for Content {
    /// Without the body: it holds addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("connection", &self.connection_id)
            .field("attempt", &self.attempt)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
