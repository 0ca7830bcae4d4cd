//! First contact: keys of devices before they are pinned, and knocks.
//!
//! A relay brings nothing from a device that this one does not let in, but knocks. A device that dials without consent knocks:
//! it shows its certificate, signed for this device. The answer to an accepted knock is a sealed envelope with this device's
//! own certificate; a refused one has no answer, like an absent device's.

use std::collections::VecDeque;

use crate::bucket::Bucket;
use crate::certificate::DeviceCertificate;
use crate::id::{ConnectionId, DeviceId};
use crate::limits::{KNOCK_BURST, KNOCKS_PER_SECOND, MAX_WATCHED};
use crate::signaling::knock::SeenKnocks;
use crate::time::Instant;
use crate::trust::KnownKeys;

/// Devices met through signaling.
#[derive(Debug)]
pub(super) struct Contacts {
    /// Certified by the device itself, the latest last: at most [`MAX_WATCHED`].
    found: VecDeque<(DeviceId, KnownKeys)>,
    knocks: Bucket,
    seen: SeenKnocks,
}

impl Default for Contacts {
    fn default() -> Self {
        let knocks = Bucket::new(KNOCKS_PER_SECOND, KNOCK_BURST);
        Self { found: VecDeque::new(), knocks, seen: SeenKnocks::default() }
    }
}

impl Contacts {
    /// A device has shown its certificate.
    pub(super) fn add(&mut self, certificate: &DeviceCertificate) {
        let device = certificate.device_id();
        // The first keys stay: a device never changes them.
        if self.keys_of(device).is_some() {
            return;
        }
        if self.found.len() >= MAX_WATCHED {
            self.found.pop_front();
        }
        self.found.push_back((device, KnownKeys::of(certificate)));
    }

    pub(super) fn keys_of(&self, device: DeviceId) -> Option<KnownKeys> {
        self.found.iter().find(|(known, _)| *known == device).map(|(_, keys)| *keys)
    }

    pub(super) fn admits_knock(&mut self, now: Instant) -> bool {
        self.knocks.try_take(1, now)
    }

    /// A person is asked once about a knock, however many copies come.
    pub(super) fn is_new_knock(&mut self, from: DeviceId, connection: ConnectionId) -> bool {
        self.seen.insert(from, connection)
    }
}
