//! The devices that a device lets reach it.

use peers_proto::id::DeviceId;

/// A device's last `watch`. Nothing is accepted before the first one.
#[derive(Debug, Default, Clone)]
pub(super) struct Consent {
    /// Sorted, exactly as large as it is: 20 bytes per device.
    named: Box<[DeviceId]>,
    open: bool,
}

impl Consent {
    /// `own` is the device itself, which is never in its own list.
    pub(super) fn new(mut named: Vec<DeviceId>, open: bool, own: DeviceId) -> Self {
        named.retain(|device| *device != own);
        named.sort_unstable();
        named.dedup();
        Self { named: named.into(), open }
    }

    /// True if messages and data of `device` may come.
    pub(super) fn accepts(&self, device: DeviceId) -> bool {
        self.open || self.names(device)
    }

    /// True if `device` may see this one's presence.
    pub(super) fn names(&self, device: DeviceId) -> bool {
        self.named.binary_search(&device).is_ok()
    }

    pub(super) fn named(&self) -> &[DeviceId] {
        &self.named
    }
}
