//! The certificates of devices that registered here lately, for devices that know only an id.

use std::collections::{BTreeSet, HashMap};

use peers_proto::certificate::DeviceCertificate;
use peers_proto::id::DeviceId;
use peers_proto::time::Instant;

/// Bounded by number and age; the device that registered longest ago goes first.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    by_device: HashMap<DeviceId, (Instant, DeviceCertificate)>,
    by_age: BTreeSet<(Instant, DeviceId)>,
}

impl Certificates {
    pub(super) fn insert(&mut self, certificate: DeviceCertificate, max: usize, now: Instant) {
        let device = certificate.device_id();
        if let Some((then, _)) = self.by_device.insert(device, (now, certificate)) {
            self.by_age.remove(&(then, device));
        }
        self.by_age.insert((now, device));
        while self.by_device.len() > max
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.by_device.remove(&oldest);
        }
    }

    pub(super) fn get(&self, device: DeviceId) -> Option<&DeviceCertificate> {
        self.by_device.get(&device).map(|(_, certificate)| certificate)
    }

    /// Forgets those of devices that registered at `until` or earlier, unless they are `here`.
    pub(super) fn expire(&mut self, until: Instant, here: impl Fn(DeviceId) -> bool) {
        let old: Vec<_> = self
            .by_age
            .iter()
            .take_while(|(then, _)| *then <= until)
            .filter(|(_, d)| !here(*d))
            .copied()
            .collect();
        for (then, device) in old {
            self.by_age.remove(&(then, device));
            self.by_device.remove(&device);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_device.len()
    }
}
