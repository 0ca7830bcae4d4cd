//! The connection that is worth least.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use super::device::Device;
use crate::id::{DeviceId, GroupId, UserId};
use crate::path::{Preference, Status};
use crate::time::Instant;
use crate::trust::TrustLevel;

/// The worth of a connection; the least goes first. The order of the fields is the policy (S115, D17).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct EvictionRank {
    /// A more trusted device never goes for a less trusted one.
    level: TrustLevel,
    /// The app asked for it.
    asked: bool,
    /// Its user has no other connection.
    only_of_user: bool,
    /// One that does not answer goes first.
    usable: bool,
    /// Then the one on the worse path, by the app's preference.
    rank: Reverse<u8>,
    /// Then the one that was not used for longest.
    used: Instant,
    /// Then always the same one.
    device: DeviceId,
}

/// EvictionReason this connection was given up and no other: the first thing in which it is worth less than the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EvictionReason {
    /// It is less trusted.
    LessTrusted,
    /// The app did not ask for it.
    NotAskedFor,
    /// Its user has another connection.
    AnotherOfItsUser,
    /// It does not answer.
    Silent,
    /// It is on a worse path.
    WorsePath,
    /// It was used least recently.
    Unused,
    /// Each of the others is more trusted, or the last one of a group.
    Latecomer,
}

impl std::fmt::Display for EvictionReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::LessTrusted => "it is less trusted",
            Self::NotAskedFor => "the app did not ask for it",
            Self::AnotherOfItsUser => "its user has another connection",
            Self::Silent => "it does not answer",
            Self::WorsePath => "it is on a worse path",
            Self::Unused => "it was used least recently",
            Self::Latecomer => "the others are more trusted or the last of a group",
        })
    }
}

/// The connection that is given up for `newcomer`, or the newcomer's own: never the last one of a group, and never one
/// that is more trusted than the newcomer. A newcomer that would be the first of its group does not change that.
pub(super) fn least(
    devices: &BTreeMap<DeviceId, Device>,
    preference: &Preference,
    newcomer: DeviceId,
) -> (DeviceId, EvictionReason) {
    let census = GroupCounts::of(devices, preference);
    let level = devices.get(&newcomer).map_or(TrustLevel::Unknown, |device| device.level);
    let mut expendable: Vec<_> = census.expendable(devices).filter(|keep| keep.level <= level).collect();
    expendable.sort_unstable();
    match *expendable {
        [] => (newcomer, EvictionReason::Latecomer),
        [one] if one.device == newcomer => (newcomer, EvictionReason::Latecomer),
        // All others are out of the question.
        [one] => match devices.get(&newcomer).and_then(|device| census.keep(newcomer, device)) {
            Some(other) => (one.device, one.why(&other)),
            None => (one.device, EvictionReason::Unused),
        },
        [one, next, ..] => (one.device, one.why(&next)),
    }
}

/// The trust of the least trusted device that may be given up.
pub(super) fn weakest(devices: &BTreeMap<DeviceId, Device>, preference: &Preference) -> Option<TrustLevel> {
    GroupCounts::of(devices, preference).expendable(devices).map(|keep| keep.level).min()
}

/// The device to forget when too many are known: none with a session, one that is not looked for before one that is, and of
/// equals the one met first.
pub(super) fn forgettable(devices: &BTreeMap<DeviceId, Device>) -> Option<DeviceId> {
    let without = devices.iter().filter(|(_, device)| device.session.is_none());
    let worth =
        without.map(|(id, device)| (device.known, device.asked, device.dialing.is_some(), device.order, *id));
    worth.min().map(|(.., id)| id)
}

/// The number of connections of each group and user.
struct GroupCounts {
    preference: Preference,
    groups: HashMap<GroupId, usize>,
    users: HashMap<UserId, usize>,
}

impl GroupCounts {
    fn of(devices: &BTreeMap<DeviceId, Device>, preference: &Preference) -> Self {
        let mut census = Self { preference: *preference, groups: HashMap::new(), users: HashMap::new() };
        for session in devices.values().filter_map(|device| device.session.as_ref()) {
            *census.users.entry(session.user).or_default() += 1;
            for group in &session.groups {
                *census.groups.entry(*group).or_default() += 1;
            }
        }
        census
    }

    fn expendable(&self, devices: &BTreeMap<DeviceId, Device>) -> impl Iterator<Item = EvictionRank> {
        let may_go = |device: &Device| {
            let groups = device.session.iter().flat_map(|session| &session.groups);
            groups.into_iter().all(|group| self.groups.get(group).is_some_and(|members| *members > 1))
        };
        devices
            .iter()
            .filter(move |(_, device)| may_go(device))
            .filter_map(|(id, device)| self.keep(*id, device))
    }

    fn keep(&self, id: DeviceId, device: &Device) -> Option<EvictionRank> {
        let session = device.session.as_ref()?;
        Some(EvictionRank {
            level: device.level,
            asked: device.asked,
            only_of_user: self.users.get(&session.user) == Some(&1),
            usable: session.standing.status == Status::Usable,
            // What a newcomer runs over is told a moment later.
            rank: Reverse(session.standing.tier.map_or(u8::MAX, |tier| self.preference.rank(tier))),
            used: session.used,
            device: id,
        })
    }
}

impl EvictionRank {
    /// The first thing in which this one is worth less.
    fn why(&self, other: &Self) -> EvictionReason {
        let reasons = [
            (self.level < other.level, EvictionReason::LessTrusted),
            (!self.asked && other.asked, EvictionReason::NotAskedFor),
            (!self.only_of_user && other.only_of_user, EvictionReason::AnotherOfItsUser),
            (!self.usable && other.usable, EvictionReason::Silent),
            (self.rank < other.rank, EvictionReason::WorsePath),
        ];
        reasons.into_iter().find(|(is_it, _)| *is_it).map_or(EvictionReason::Unused, |(_, why)| why)
    }
}
