//! The keys a device was met with. They never change: one seed makes them all.

use std::collections::BTreeMap;

use crate::certificate::DeviceCertificate;
use crate::id::{DeviceId, UserId};
use crate::keys::KEY_LEN;
use crate::limits::MAX_PINNED;

use super::TrustLevel;

/// The key that differs.
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

    /// The owner of the device.
    pub fn user_id(&self) -> UserId {
        UserId::derive(&self.user_pk)
    }

    /// True if `presented` shows exactly these keys.
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

/// The keys stored for the devices this one has accepted, at most [`MAX_PINNED`]. When all places are taken, the least recently
/// used device below [`TrustLevel::Trusted`] is removed. So no stranger that an app accepts displaces the keys of a device that
/// a person trusts.
#[derive(Debug, Clone, Default)]
pub struct Pins {
    all: BTreeMap<DeviceId, Pin>,
    /// Counts uses.
    uses: u64,
}

#[derive(Debug, Clone, Copy)]
struct Pin {
    keys: KnownKeys,
    used: u64,
}

/// The result of storing keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PinOutcome {
    /// The device has a place.
    pub kept: bool,
    /// The device that has lost its place.
    pub removed: Option<DeviceId>,
}

impl Pins {
    /// Pins of an earlier run, the least recently used first. Those beyond [`MAX_PINNED`] are left out.
    pub fn load(pins: impl IntoIterator<Item = (DeviceId, KnownKeys)>) -> Self {
        let pins: Vec<_> = pins.into_iter().collect();
        let kept = &pins[pins.len().saturating_sub(MAX_PINNED)..];
        let numbered =
            kept.iter().zip(1..).map(|((device, keys), used)| (*device, Pin { keys: *keys, used }));
        let all: BTreeMap<_, _> = numbered.collect();
        Self { uses: all.len() as u64, all }
    }

    /// The keys stored for `device`.
    pub fn get(&self, device: &DeviceId) -> Option<&KnownKeys> {
        self.all.get(device).map(|pin| &pin.keys)
    }

    /// True if the device is known; with other keys it is rejected.
    ///
    /// # Errors
    /// [`KeyChanged`].
    pub fn check(&self, presented: &DeviceCertificate) -> Result<bool, KeyChanged> {
        match self.get(&presented.device_id()) {
            Some(known) => known.check(presented).map(|()| true),
            None => Ok(false),
        }
    }

    /// Stores the keys of a device this side accepts, or notes that they were used. `level` tells how far each device, with
    /// its owner, is trusted now; it is asked only when all places are taken. A device that is less trusted than all those
    /// there are is not stored.
    ///
    /// # Errors
    /// [`KeyChanged`]; what is stored stays.
    pub fn pin(
        &mut self,
        accepted: &DeviceCertificate,
        level: impl Fn(DeviceId, UserId) -> TrustLevel,
    ) -> Result<PinOutcome, KeyChanged> {
        let (device, keys) = (accepted.device_id(), KnownKeys::of(accepted));
        let mut removed = None;
        if !self.check(accepted)? && self.all.len() >= MAX_PINNED {
            let kept = |device, keys: &KnownKeys| level(device, keys.user_id()) >= TrustLevel::Trusted;
            let places = self.all.iter().map(|(device, pin)| (kept(*device, &pin.keys), pin.used, *device));
            let least = places.min();
            if least.is_some_and(|(trusted, ..)| trusted) && !kept(device, &keys) {
                return Ok(PinOutcome::default());
            }
            if let Some((.., oldest)) = least {
                self.all.remove(&oldest);
                removed = Some(oldest);
            }
        }
        self.uses += 1;
        self.all.insert(device, Pin { keys, used: self.uses });
        Ok(PinOutcome { kept: true, removed })
    }

    /// Forgets a device, by decision of the user.
    pub fn forget(&mut self, device: &DeviceId) {
        self.all.remove(device);
    }
}
