//! Which connection is worth least.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use super::Device;
use crate::id::DeviceId;
use crate::path::Tier;
use crate::time::Instant;
use crate::trust::TrustLevel;

/// What a connection is worth; less goes first. The order of the fields is the policy (S115, D17).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Keep {
    /// Some group has no other connection.
    pub(super) last_of_group: bool,
    /// A more trusted device never goes for a less trusted one.
    pub(super) level: TrustLevel,
    /// One that does not answer goes first.
    pub(super) usable: bool,
    /// Then one on a detour.
    pub(super) tier: Reverse<Tier>,
    /// Then the one that has been there longest without a change.
    pub(super) used: Instant,
}

/// The device whose connection is worth least.
pub(super) fn least(devices: &BTreeMap<DeviceId, Device>) -> Option<DeviceId> {
    let mut members = HashMap::new();
    let sessions = || devices.values().filter_map(|device| device.session.as_ref());
    for group in sessions().flat_map(|session| &session.groups) {
        *members.entry(*group).or_insert(0) += 1;
    }
    let worth = |(id, device): (&DeviceId, &Device)| {
        let groups = device.session.iter().flat_map(|session| &session.groups);
        let last = groups.into_iter().any(|group| members.get(group) == Some(&1));
        device.keep(last).map(|keep| (keep, *id))
    };
    devices.iter().filter_map(worth).min().map(|(_, id)| id)
}
