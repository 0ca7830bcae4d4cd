//! The keys a device was met with. They never change: one seed makes them all.

use std::collections::BTreeMap;

use crate::certificate::DeviceCertificate;
use crate::id::DeviceId;
use crate::keys::KEY_LEN;

/// Which key differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinnedKey {
    /// The owner's key: the device claims to belong to somebody else now.
    User,
    /// The device's signing key.
    Sign,
    /// The handshake key.
    Noise,
    /// The envelope key.
    Box,
}

/// A device presented other keys than those stored for it. Always a rejection; never to be overridden silently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("device {device} presents another {key:?} key than the one stored")]
pub struct KeyChanged {
    /// The device.
    pub device: DeviceId,
    /// The first key that differs.
    pub key: PinnedKey,
}

/// The public keys of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownKeys {
    /// The owner's Ed25519 key.
    pub user_pk: [u8; KEY_LEN],
    /// The device's Ed25519 key.
    pub sign_pk: [u8; KEY_LEN],
    /// The X25519 key of the handshake.
    pub noise_pk: [u8; KEY_LEN],
    /// The X25519 key for envelopes.
    pub box_pk: [u8; KEY_LEN],
}

impl KnownKeys {
    /// The keys in a verified certificate.
    pub const fn of(certificate: &DeviceCertificate) -> Self {
        Self {
            user_pk: *certificate.user_pk(),
            sign_pk: *certificate.sign_pk(),
            noise_pk: *certificate.noise_pk(),
            box_pk: *certificate.box_pk(),
        }
    }

    /// The device that has these keys.
    pub fn device_id(&self) -> DeviceId {
        DeviceId::derive(&self.sign_pk)
    }

    /// Whether `presented` shows exactly these keys.
    ///
    /// # Errors
    /// [`KeyChanged`].
    pub fn check(&self, presented: &DeviceCertificate) -> Result<(), KeyChanged> {
        let new = Self::of(presented);
        let key = if new.sign_pk != self.sign_pk {
            PinnedKey::Sign
        } else if new.user_pk != self.user_pk {
            PinnedKey::User
        } else if new.noise_pk != self.noise_pk {
            PinnedKey::Noise
        } else if new.box_pk != self.box_pk {
            PinnedKey::Box
        } else {
            return Ok(());
        };
        Err(KeyChanged { device: presented.device_id(), key })
    }
}

/// The keys stored for every device this one has accepted. Grows only by decisions of this side, never by strangers.
#[derive(Debug, Clone, Default)]
pub struct Pins(BTreeMap<DeviceId, KnownKeys>);

impl Pins {
    /// The keys stored for `device`.
    pub fn get(&self, device: &DeviceId) -> Option<&KnownKeys> {
        self.0.get(device)
    }

    /// Whether the device is known; with other keys it is rejected.
    ///
    /// # Errors
    /// [`KeyChanged`].
    pub fn check(&self, presented: &DeviceCertificate) -> Result<bool, KeyChanged> {
        match self.get(&presented.device_id()) {
            Some(known) => known.check(presented).map(|()| true),
            None => Ok(false),
        }
    }

    /// Stores the keys of a device this side accepts.
    ///
    /// # Errors
    /// [`KeyChanged`]; what is stored stays.
    pub fn pin(&mut self, accepted: &DeviceCertificate) -> Result<(), KeyChanged> {
        if !self.check(accepted)? {
            self.0.insert(accepted.device_id(), KnownKeys::of(accepted));
        }
        Ok(())
    }

    /// Forgets a device, by decision of the user.
    pub fn forget(&mut self, device: &DeviceId) {
        self.0.remove(device);
    }
}
