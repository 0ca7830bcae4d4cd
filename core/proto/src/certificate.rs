//! Device certificates: which keys a device has and whose it is.
//!
//! It has two signatures over the same bytes, one by the user key and one by the device key. So it proves that the holder of
//! `sign_pk` itself chose `noise_pk` and `box_pk`. A [`DeviceId`] is enough to check any certificate presented for it (ADR 2).
//!
//! | offset  | bytes | field                                                     |
//! |---------|-------|-----------------------------------------------------------|
//! | 0       | 1     | version, 1                                                |
//! | 1       | 32    | `user_pk`, Ed25519                                        |
//! | 33      | 32    | `sign_pk`, Ed25519                                        |
//! | 65      | 32    | `noise_pk`, X25519                                        |
//! | 97      | 32    | `box_pk`, X25519                                          |
//! | 129     | 8     | issued, seconds since the Unix epoch, big endian          |
//! | 137     | 1     | n, bytes of the name, at most 64                          |
//! | 138     | n     | name, UTF-8 without control characters                    |
//! | 138 + n | 64    | user's signature over `"peers certificate user\0"` ‖ body |
//! | 202 + n | 64    | device's, over `"peers certificate device\0"` ‖ body      |
//!
//! The body is everything before the signatures. A certificate has no end: the clock of its reader may be wrong by years, and a
//! [`RevocationList`] needs none (ADR 8).

mod revocation;

use std::fmt;
use std::sync::Arc;

use crate::id::{DeviceId, UserId};
use crate::keys::{self, DeviceKeys, KEY_LEN, SIGNATURE_LEN, UserKeys};
use crate::limits::MAX_DEVICE_NAME;
use crate::reader::Reader;
use crate::time::UnixTime;

pub use revocation::{RevocationError, RevocationList};

const VERSION: u8 = 1;
const USER_DOMAIN: &[u8] = b"peers certificate user\0";
const DEVICE_DOMAIN: &[u8] = b"peers certificate device\0";
const FIXED_BODY: usize = 138;

/// Bytes of the longest certificate.
pub const MAX_CERTIFICATE: usize = FIXED_BODY + MAX_DEVICE_NAME + 2 * SIGNATURE_LEN;

/// The reason for which bytes are not a certificate, or a certificate does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Too short, too long, or trailing bytes.
    #[error("not a certificate: wrong length")]
    Length,
    /// A version this build does not know.
    #[error("certificate version {0} is unknown")]
    Version(u8),
    /// Longer than 64 bytes, not UTF-8, or with control characters.
    #[error("the device name in the certificate is not acceptable")]
    Name,
    /// A key of small order, with which any peer could speak for the device.
    #[error("the certificate holds a weak key")]
    WeakKey,
    /// The user key did not sign it.
    #[error("the user's signature is wrong")]
    UserSignature,
    /// The device key did not sign it: somebody else assembled these keys.
    #[error("the device's signature is wrong")]
    DeviceSignature,
}

/// A device's keys and owner, as signed by both. Every value of this type has been verified.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceCertificate {
    fields: CertificateFields,
    encoded: Arc<[u8]>,
}

#[derive(Clone, PartialEq, Eq)]
struct CertificateFields {
    user_pk: [u8; KEY_LEN],
    sign_pk: [u8; KEY_LEN],
    noise_pk: [u8; KEY_LEN],
    box_pk: [u8; KEY_LEN],
    issued: UnixTime,
    name: String,
}

impl DeviceCertificate {
    /// Makes the certificate of `device` as a device of `user`.
    ///
    /// # Errors
    /// [`CertificateError::Name`].
    pub fn issue(
        user: &UserKeys,
        device: &DeviceKeys,
        issued: UnixTime,
        name: &str,
    ) -> Result<Self, CertificateError> {
        let fields = CertificateFields {
            user_pk: user.user_pk(),
            sign_pk: device.sign_pk(),
            noise_pk: device.noise_pk(),
            box_pk: device.box_pk(),
            issued,
            name: name.to_owned(),
        };
        fields.check()?;
        let mut encoded = fields.encode();
        let signatures = [user.sign(USER_DOMAIN, &encoded), device.sign(DEVICE_DOMAIN, &encoded)];
        encoded.extend_from_slice(signatures.as_flattened());
        Ok(Self { fields, encoded: encoded.into() })
    }

    /// Reads and verifies a certificate.
    ///
    /// # Errors
    /// Every [`CertificateError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CertificateError> {
        let version = *bytes.first().ok_or(CertificateError::Length)?;
        if version != VERSION {
            return Err(CertificateError::Version(version));
        }
        let split = bytes.len().checked_sub(2 * SIGNATURE_LEN).ok_or(CertificateError::Length)?;
        let (body, signatures) = bytes.split_at(split);
        let fields = CertificateFields::decode(body)?;
        fields.check()?;
        let mut signatures = Reader::new(signatures);
        let mut signature = || signatures.array().ok_or(CertificateError::Length);
        if !keys::verify(&fields.user_pk, USER_DOMAIN, body, &signature()?) {
            return Err(CertificateError::UserSignature);
        }
        if !keys::verify(&fields.sign_pk, DEVICE_DOMAIN, body, &signature()?) {
            return Err(CertificateError::DeviceSignature);
        }
        if !keys::is_contributory(&fields.noise_pk) || !keys::is_contributory(&fields.box_pk) {
            return Err(CertificateError::WeakKey);
        }
        Ok(Self { fields, encoded: bytes.into() })
    }

    /// The certificate as it travels.
    pub fn as_bytes(&self) -> &[u8] {
        &self.encoded
    }

    /// The device it is about.
    pub fn device_id(&self) -> DeviceId {
        DeviceId::derive(&self.fields.sign_pk)
    }

    /// The owner of the device.
    pub fn user_id(&self) -> UserId {
        UserId::derive(&self.fields.user_pk)
    }

    /// The owner's Ed25519 key.
    pub const fn user_pk(&self) -> &[u8; KEY_LEN] {
        &self.fields.user_pk
    }

    /// The device's Ed25519 key.
    pub const fn sign_pk(&self) -> &[u8; KEY_LEN] {
        &self.fields.sign_pk
    }

    /// The device's X25519 key in the handshake.
    pub const fn noise_pk(&self) -> &[u8; KEY_LEN] {
        &self.fields.noise_pk
    }

    /// The device's X25519 key for envelopes.
    pub const fn box_pk(&self) -> &[u8; KEY_LEN] {
        &self.fields.box_pk
    }

    /// The time at which it was made, by the clock of the device that made it. It is shown to people and decides nothing.
    pub const fn issued(&self) -> UnixTime {
        self.fields.issued
    }

    /// The owner's name for the device. Chosen by the owner: not to be trusted, only shown.
    pub fn name(&self) -> &str {
        &self.fields.name
    }
}

impl fmt::Debug for DeviceCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceCertificate")
            .field("device", &self.device_id())
            .field("user", &self.user_id())
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

impl CertificateFields {
    fn check(&self) -> Result<(), CertificateError> {
        if self.name.len() > MAX_DEVICE_NAME || self.name.chars().any(char::is_control) {
            return Err(CertificateError::Name);
        }
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(MAX_CERTIFICATE);
        body.push(VERSION);
        for key in [&self.user_pk, &self.sign_pk, &self.noise_pk, &self.box_pk] {
            body.extend_from_slice(key);
        }
        body.extend_from_slice(&self.issued.0.to_be_bytes());
        body.push(self.name.len() as u8); // `check` has bounded it
        body.extend_from_slice(self.name.as_bytes());
        body
    }

    fn decode(body: &[u8]) -> Result<Self, CertificateError> {
        let mut reader = Reader::new(body);
        let mut read = || {
            reader.u8()?; // the version, already checked
            let keys: [[u8; KEY_LEN]; 4] =
                [reader.array()?, reader.array()?, reader.array()?, reader.array()?];
            let issued = UnixTime(reader.u64()?);
            let len = reader.u8()?;
            Some((keys, issued, reader.slice(len.into())?))
        };
        let ([user_pk, sign_pk, noise_pk, box_pk], issued, name) = read().ok_or(CertificateError::Length)?;
        reader.end().ok_or(CertificateError::Length)?;
        let name = str::from_utf8(name).map_err(|_| CertificateError::Name)?.to_owned();
        Ok(Self { user_pk, sign_pk, noise_pk, box_pk, issued, name })
    }
}

#[cfg(test)]
mod tests;
