//! Payloads of the handshake messages, beside keys. Layouts: `core/docs/handshake.md`.

use sha2::{Digest, Sha256};

use super::Mode;
use super::error::HandshakeError;
use crate::certificate::DeviceCertificate;
use crate::keys::KEY_LEN;
use crate::reader::Reader;

/// Versions in one offer.
const MAX_VERSIONS: usize = 8;
const MODE_SEALED: u8 = 1;
const MODE_PLAIN: u8 = 2;
const NONCE_LEN: usize = 32;
const HINT_LEN: usize = 16;

pub(super) type Nonce = [u8; NONCE_LEN];
pub(super) type Hint = [u8; HINT_LEN];

/// Message 1, in the clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HandshakeOffer {
    pub(super) versions: Vec<u8>,
    pub(super) plain: bool,
    pub(super) hint: Hint,
    pub(super) commitment: [u8; 32],
}

impl HandshakeOffer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.versions.len() as u8];
        bytes.extend_from_slice(&self.versions);
        bytes.push(if self.plain { MODE_SEALED | MODE_PLAIN } else { MODE_SEALED });
        bytes.extend_from_slice(&self.hint);
        bytes.extend_from_slice(&self.commitment);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HandshakeError> {
        let mut reader = Reader::new(bytes);
        let mut read = || {
            let count = reader.u8()?.into();
            Some((reader.slice(count)?, reader.u8()?, reader.array()?, reader.array()?))
        };
        let (versions, modes, hint, commitment) = read().ok_or(HandshakeError::Malformed("message 1"))?;
        reader.end().ok_or(HandshakeError::Malformed("message 1"))?;
        if versions.is_empty() || versions.len() > MAX_VERSIONS || !versions.is_sorted_by(|a, b| a < b) {
            return Err(HandshakeError::Malformed("versions"));
        }
        if modes & MODE_SEALED == 0 {
            return Err(HandshakeError::Malformed("modes"));
        }
        Ok(Self { versions: versions.to_vec(), plain: modes & MODE_PLAIN != 0, hint, commitment })
    }

    /// The highest version both sides know.
    pub(super) fn choose_version(&self, own: &[u8]) -> Result<u8, HandshakeError> {
        own.iter().copied().filter(|v| self.versions.contains(v)).max().ok_or(HandshakeError::Version)
    }
}

/// Message 2, sealed by the handshake.
pub(super) struct HandshakeAnswer {
    pub(super) version: u8,
    pub(super) mode: Mode,
    pub(super) nonce: Nonce,
    pub(super) certificate: DeviceCertificate,
}

impl HandshakeAnswer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mode = match self.mode {
            Mode::Sealed => MODE_SEALED,
            Mode::Plain => MODE_PLAIN,
        };
        [&[self.version, mode], &self.nonce[..], self.certificate.as_bytes()].concat()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HandshakeError> {
        let mut reader = Reader::new(bytes);
        let mut read = || Some((reader.u8()?, reader.u8()?, reader.array()?));
        let (version, mode, nonce) = read().ok_or(HandshakeError::Malformed("message 2"))?;
        let mode = match mode {
            MODE_SEALED => Mode::Sealed,
            MODE_PLAIN => Mode::Plain,
            _ => return Err(HandshakeError::Mode),
        };
        Ok(Self { version, mode, nonce, certificate: DeviceCertificate::decode(reader.rest())? })
    }
}

/// Message 3, sealed by the handshake: opens the commitment of message 1.
pub(super) struct Opening {
    pub(super) nonce: Nonce,
    pub(super) certificate: DeviceCertificate,
}

impl Opening {
    pub(super) fn encode(&self) -> Vec<u8> {
        [&self.nonce[..], self.certificate.as_bytes()].concat()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HandshakeError> {
        let mut reader = Reader::new(bytes);
        let nonce = reader.array().ok_or(HandshakeError::Malformed("message 3"))?;
        Ok(Self { nonce, certificate: DeviceCertificate::decode(reader.rest())? })
    }

    /// The hash that message 1 must have committed to: the number *and* the identity, so that nothing in message 3 can be
    /// varied after message 2 was seen.
    pub(super) fn commitment(&self) -> [u8; 32] {
        hash(b"peers sas commitment\0", &[&self.nonce, self.certificate.as_bytes()])
    }
}

/// Proves to the responder that the caller knows its key, and shows no other device whom the call is for.
pub(super) fn hint(responder_noise_pk: &[u8; KEY_LEN], ephemeral_pk: &[u8]) -> Hint {
    let mut hint = [0; HINT_LEN];
    hint.copy_from_slice(&hash(b"peers hint\0", &[responder_noise_pk, ephemeral_pk])[..HINT_LEN]);
    hint
}

pub(super) fn hash(domain: &'static [u8], parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().fold(Sha256::new_with_prefix(domain), |hash, part| hash.chain_update(part)).finalize().into()
}
