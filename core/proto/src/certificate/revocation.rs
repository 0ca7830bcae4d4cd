//! A user's list of devices that no longer speak for the user. For the coming people: no production code reads lists yet.
//!
//! | offset        | bytes  | field                                              |
//! |---------------|--------|----------------------------------------------------|
//! | 0             | 1      | version, 1                                         |
//! | 1             | 32     | `user_pk`, Ed25519                                 |
//! | 33            | 8      | serial, big endian; the highest one counts         |
//! | 41            | 2      | n, devices, at most 512, big endian                |
//! | 43            | 20 · n | device ids, strictly ascending                     |
//! | 43 + 20 · n   | 64     | user's signature over `"peers revocation\0"` ‖ all |

use std::collections::BTreeSet;

use crate::id::{DeviceId, ID_LEN, UserId};
use crate::keys::{self, KEY_LEN, SIGNATURE_LEN, UserKeys};
use crate::limits::MAX_REVOKED;
use crate::reader::Reader;

const VERSION: u8 = 1;
const DOMAIN: &[u8] = b"peers revocation\0";
const FIXED: usize = 43;

/// The reason for which bytes are not a revocation list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// Too short, too long, or trailing bytes.
    #[error("not a revocation list: wrong length")]
    Length,
    /// A version this build does not know.
    #[error("revocation list version {0} is unknown")]
    Version(u8),
    /// More devices than a list may hold.
    #[error("more than {MAX_REVOKED} revoked devices")]
    TooMany,
    /// Ids out of order or repeated: the same list must always be the same bytes.
    #[error("revoked devices are not in order")]
    Order,
    /// The user key did not sign it.
    #[error("the user's signature is wrong")]
    Signature,
}

/// A verified, user-signed revocation list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    user_pk: [u8; KEY_LEN],
    serial: u64,
    revoked: BTreeSet<DeviceId>,
    encoded: Vec<u8>,
}

impl RevocationList {
    /// Signs a list. `serial` must be above that of every list the user published before.
    ///
    /// # Errors
    /// [`RevocationError::TooMany`].
    pub fn issue(
        user: &UserKeys,
        serial: u64,
        revoked: impl IntoIterator<Item = DeviceId>,
    ) -> Result<Self, RevocationError> {
        let revoked: BTreeSet<_> = revoked.into_iter().collect();
        let count = u16::try_from(revoked.len()).map_err(|_| RevocationError::TooMany)?;
        if revoked.len() > MAX_REVOKED {
            return Err(RevocationError::TooMany);
        }
        let user_pk = user.user_pk();
        let mut encoded = Vec::with_capacity(FIXED + revoked.len() * ID_LEN + SIGNATURE_LEN);
        encoded.push(VERSION);
        encoded.extend_from_slice(&user_pk);
        encoded.extend_from_slice(&serial.to_be_bytes());
        encoded.extend_from_slice(&count.to_be_bytes());
        revoked.iter().for_each(|id| encoded.extend_from_slice(id.as_bytes()));
        let signature = user.sign(DOMAIN, &encoded);
        encoded.extend_from_slice(&signature);
        Ok(Self { user_pk, serial, revoked, encoded })
    }

    /// Reads and verifies a list.
    ///
    /// # Errors
    /// Every [`RevocationError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RevocationError> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8().ok_or(RevocationError::Length)?;
        if version != VERSION {
            return Err(RevocationError::Version(version));
        }
        let mut head = || Some((reader.array()?, reader.u64()?, reader.u16()?));
        let (user_pk, serial, count) = head().ok_or(RevocationError::Length)?;
        let count = usize::from(count);
        if count > MAX_REVOKED {
            return Err(RevocationError::TooMany);
        }
        let ids = reader.slice(count * ID_LEN).ok_or(RevocationError::Length)?;
        let signature = reader.array().ok_or(RevocationError::Length)?;
        reader.end().ok_or(RevocationError::Length)?;

        let ids = ids.as_chunks::<ID_LEN>().0;
        if !ids.is_sorted_by(|a, b| a < b) {
            return Err(RevocationError::Order);
        }
        if !keys::verify(&user_pk, DOMAIN, &bytes[..bytes.len() - SIGNATURE_LEN], &signature) {
            return Err(RevocationError::Signature);
        }
        let revoked = ids.iter().copied().map(DeviceId::from_bytes).collect();
        Ok(Self { user_pk, serial, revoked, encoded: bytes.to_vec() })
    }

    /// The list as it travels.
    pub fn as_bytes(&self) -> &[u8] {
        &self.encoded
    }

    /// Whose devices it revokes.
    pub fn user_id(&self) -> UserId {
        UserId::derive(&self.user_pk)
    }

    /// The highest serial counts.
    pub const fn serial(&self) -> u64 {
        self.serial
    }

    /// True if `device` of this user is revoked. Says nothing about devices of other users.
    pub fn revokes(&self, device: &DeviceId) -> bool {
        self.revoked.contains(device)
    }

    /// The revoked devices, in order.
    pub fn devices(&self) -> impl Iterator<Item = &DeviceId> {
        self.revoked.iter()
    }

    /// True if this list takes the place of the one now known: same user, higher serial.
    pub fn replaces(&self, known: &Self) -> bool {
        self.user_pk == known.user_pk && self.serial > known.serial
    }
}
