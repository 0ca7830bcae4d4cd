//! Who may connect.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peers_proto::certificate::DeviceCertificate;
use peers_proto::id::{DeviceId, UserId};
use peers_proto::trust::{KeyChanged, KnownKeys, Pins, TrustLevel};

/// The app's own rule. Asked once per connection, on a task of the client: answer at once.
pub trait TrustPolicy: Send + Sync + 'static {
    /// The level of a device that has proven who it is; `None` leaves it to [`crate::Event::Incoming`].
    fn trust(&self, device: DeviceId, user: UserId) -> Option<TrustLevel>;
}

/// What to do with a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Admit,
    Ask,
    Refuse,
}

/// Levels given by the app, and the keys each device was first seen with.
pub(crate) struct TrustBook {
    levels: Mutex<HashMap<DeviceId, TrustLevel>>,
    pins: Mutex<Pins>,
    policy: Option<Arc<dyn TrustPolicy>>,
    own_user: UserId,
}

impl TrustBook {
    pub(crate) fn new(
        levels: HashMap<DeviceId, TrustLevel>,
        policy: Option<Arc<dyn TrustPolicy>>,
        own_user: UserId,
    ) -> Self {
        Self { levels: Mutex::new(levels), pins: Mutex::default(), policy, own_user }
    }

    pub(crate) fn set(&self, device: DeviceId, level: TrustLevel) {
        lock(&self.levels).insert(device, level);
    }

    /// The level a device has now, as far as it is known.
    pub(crate) fn level(&self, device: DeviceId, user: Option<UserId>) -> TrustLevel {
        if let Some(level) = lock(&self.levels).get(&device) {
            return *level;
        }
        let Some(user) = user else { return TrustLevel::Unknown };
        if user == self.own_user {
            return TrustLevel::Own;
        }
        self.policy.as_ref().and_then(|p| p.trust(device, user)).unwrap_or(TrustLevel::Unknown)
    }

    /// Whether a device that proved its certificate may have a session.
    pub(crate) fn admit(&self, certificate: &DeviceCertificate) -> Admission {
        let level = self.level(certificate.device_id(), Some(certificate.user_id()));
        if level <= TrustLevel::Untrusted {
            Admission::Refuse
        } else if level >= TrustLevel::NewDevice {
            Admission::Admit
        } else {
            Admission::Ask
        }
    }

    /// The keys a device was first seen with.
    pub(crate) fn known_keys(&self, device: DeviceId) -> Option<KnownKeys> {
        lock(&self.pins).get(&device).cloned()
    }

    /// Remembers the keys of a device that was admitted.
    ///
    /// # Errors
    /// It is known with others: whatever it proved, it is refused (D06).
    pub(crate) fn pin(&self, certificate: &DeviceCertificate) -> Result<(), KeyChanged> {
        lock(&self.pins).pin(certificate)
    }

    /// Whether a device presents the keys it is known with.
    ///
    /// # Errors
    /// See [`TrustBook::pin`].
    pub(crate) fn check(&self, certificate: &DeviceCertificate) -> Result<bool, KeyChanged> {
        lock(&self.pins).check(certificate)
    }

    /// Devices this one may be visible to.
    pub(crate) fn trusted(&self) -> Vec<DeviceId> {
        lock(&self.levels)
            .iter()
            .filter(|(_, level)| **level >= TrustLevel::NewDevice)
            .map(|(d, _)| *d)
            .collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
