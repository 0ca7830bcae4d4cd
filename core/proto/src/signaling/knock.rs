//! Knocks: all that a device shows to one whose consent it does not have.
//!
//! A relay delivers nothing else to a device from one that the device does not watch. A knock holds the sender's certificate
//! and the sender's signature for this recipient. So the recipient decides about a proven device, and a relay can neither forge
//! a knock nor turn it to another device. Integers are big endian:
//!
//! | offset | bytes | field                                                              |
//! |--------|-------|--------------------------------------------------------------------|
//! | 0      | 1     | version, 1                                                         |
//! | 1      | 20    | recipient's device id                                              |
//! | 21     | 16    | connection id                                                      |
//! | 37     | 2     | c, bytes of the certificate                                        |
//! | 39     | c     | sender's certificate                                               |
//! | 39 + c | 64    | sender's device signature over `"peers/1 knock\0"` ‖ all above     |

use crate::certificate::{CertificateError, DeviceCertificate, MAX_CERTIFICATE};
use crate::id::{ConnectionId, DeviceId};
use crate::keys::{self, DeviceKeys, SIGNATURE_LEN};
use crate::limits::{MAX_KNOCK, MAX_SEEN_KNOCKS};
use crate::reader::Reader;
use crate::signaling::recent::Recent;

const VERSION: u8 = 1;
const DOMAIN: &[u8] = b"peers/1 knock\0";
const FIXED: usize = 39 + SIGNATURE_LEN;
const _: () = assert!(FIXED + MAX_CERTIFICATE <= MAX_KNOCK);

/// The reason for which bytes are no knock to this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KnockError {
    /// Beyond the limit.
    #[error("a knock has at most {MAX_KNOCK} bytes")]
    TooLarge,
    /// Not of this protocol.
    #[error("malformed knock")]
    Malformed,
    /// A version this build does not know.
    #[error("knock version {0} is unknown")]
    Version(u8),
    /// Signed for another device: somebody passes on what was not meant for this one.
    #[error("the knock is for another device")]
    Recipient,
    /// Signed for another attempt than the one it arrived with.
    #[error("the knock is of another attempt")]
    Connection,
    /// The sender's certificate does not hold.
    #[error("the sender's certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// The sender did not sign it.
    #[error("the sender's signature is wrong")]
    Signature,
}

/// The knock of the device of `keys` and `certificate` at `recipient`; at most [`MAX_KNOCK`] bytes.
pub fn make(
    keys: &DeviceKeys,
    certificate: &DeviceCertificate,
    recipient: DeviceId,
    connection_id: ConnectionId,
) -> Vec<u8> {
    let certificate = certificate.as_bytes();
    let mut knock = Vec::with_capacity(FIXED + certificate.len());
    knock.push(VERSION);
    knock.extend_from_slice(recipient.as_bytes());
    knock.extend_from_slice(connection_id.as_bytes());
    knock.extend_from_slice(&(certificate.len() as u16).to_be_bytes()); // at most `MAX_CERTIFICATE`
    knock.extend_from_slice(certificate);
    let signature = keys.sign(DOMAIN, &knock);
    knock.extend_from_slice(&signature);
    knock
}

/// Verifies a knock that arrived for `recipient` under `connection_id` and returns the certificate of its sender.
///
/// # Errors
/// Every [`KnockError`]. Signatures are checked last: they cost most.
pub fn open(
    bytes: &[u8],
    recipient: DeviceId,
    connection_id: ConnectionId,
) -> Result<DeviceCertificate, KnockError> {
    if bytes.len() > MAX_KNOCK {
        return Err(KnockError::TooLarge);
    }
    let version = *bytes.first().ok_or(KnockError::Malformed)?;
    if version != VERSION {
        return Err(KnockError::Version(version));
    }
    let (signed, signature) = bytes.split_last_chunk::<SIGNATURE_LEN>().ok_or(KnockError::Malformed)?;
    let KnockFields { to, of, certificate } = KnockFields::decode(signed).ok_or(KnockError::Malformed)?;
    if to != recipient {
        return Err(KnockError::Recipient);
    }
    if of != connection_id {
        return Err(KnockError::Connection);
    }
    let sender = DeviceCertificate::decode(certificate)?;
    if !keys::verify(sender.sign_pk(), DOMAIN, signed, signature) {
        return Err(KnockError::Signature);
    }
    Ok(sender)
}

/// The knocks that were opened lately, by which copies and replays are recognised.
#[derive(Debug, Default)]
pub struct SeenKnocks(Recent<(DeviceId, ConnectionId), MAX_SEEN_KNOCKS>);

impl SeenKnocks {
    /// A knock of this device was opened. False if that is not for the first time.
    pub fn insert(&mut self, from: DeviceId, connection_id: ConnectionId) -> bool {
        self.0.insert((from, connection_id))
    }
}

struct KnockFields<'a> {
    to: DeviceId,
    of: ConnectionId,
    certificate: &'a [u8],
}

impl<'a> KnockFields<'a> {
    fn decode(signed: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(signed);
        reader.u8()?; // the version, already checked
        let to = DeviceId::from_bytes(reader.array()?);
        let of = ConnectionId::from_bytes(reader.array()?);
        let len = reader.u16()?.into();
        let certificate = reader.slice(len)?;
        reader.end()?;
        Some(Self { to, of, certificate })
    }
}

#[cfg(test)]
mod tests;
