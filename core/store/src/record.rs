//! The records that a store keeps, with their keys.
//!
//! A block has no record of its own: a device or user whose level is [`TrustLevel::Untrusted`] or below is blocked for
//! as long as its record is there. Nothing in a store removes a record to make room for another one.

mod codec;

use std::time::Duration;

use peers_proto::certificate::RevocationList;
use peers_proto::id::{ConnectionId, DeviceId, UserId};
use peers_proto::time::UnixTime;
use peers_proto::trust::{KnownKeys, TrustLevel};

use crate::limits::{MAX_DEVICES, MAX_PENDING, MAX_REVOCATIONS, MAX_USERS};

/// The reason for which a record is not kept, or for which bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The table has as many records as the store keeps in it.
    #[error("the store keeps no more records in the table {0:?}")]
    TooMany(RecordTable),
    /// A part of the record is longer than a record may have it.
    #[error("the {0} of a record is too long")]
    TooLong(&'static str),
    /// More addresses than a device may have, or an empty one.
    #[error("the addresses of a device are too many, or one is empty")]
    Addresses,
    /// The keys of a device are those of another one.
    #[error("the keys of a device are those of another one")]
    Keys,
    /// Too short, or trailing bytes.
    #[error("a record has the wrong length")]
    Length,
    /// A version this build does not know.
    #[error("version {0} of a record is unknown")]
    Version(u8),
    /// A flag this build does not know.
    #[error("flags {0:#04x} of a record are unknown")]
    Flags(u8),
    /// A level this build does not know.
    #[error("level {0} of a record is unknown")]
    Level(i8),
    /// An address that is not UTF-8.
    #[error("an address of a device is not UTF-8")]
    Text,
}

/// A level, and the time at which it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenLevel {
    /// The level at that time.
    pub level: TrustLevel,
    /// The time, by this device's clock.
    pub since: UnixTime,
}

impl GivenLevel {
    /// The level at a later time. A clock that was set back makes a level no older.
    #[must_use]
    pub fn at(self, now: UnixTime) -> TrustLevel {
        self.level.aged(Duration::from_secs(now.0.saturating_sub(self.since.0)))
    }
}

/// A device that was met, or that the app has given a level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRecord {
    /// The device.
    pub device: DeviceId,
    /// The keys it was first seen with; none until it was met. They name its user.
    pub keys: Option<KnownKeys>,
    /// The level, if the app gave one.
    pub level: Option<GivenLevel>,
    /// The bytes of its certificate, if held. The store does not verify them.
    pub certificate: Option<Vec<u8>>,
    /// The URLs at which it was reached, the best first.
    pub addresses: Vec<String>,
    /// The time of its last session, by this device's clock. Of pinned keys that are too many the oldest go first.
    pub seen: UnixTime,
}

impl DeviceRecord {
    /// A device of which only the id is known.
    pub const fn new(device: DeviceId) -> Self {
        Self { device, keys: None, level: None, certificate: None, addresses: Vec::new(), seen: UnixTime(0) }
    }

    /// Its user, if it was met.
    pub fn user(&self) -> Option<UserId> {
        self.keys.map(|keys| keys.user_id())
    }
}

/// A user to whom the app, or a pairing, has given a level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// The user.
    pub user: UserId,
    /// The level.
    pub level: GivenLevel,
}

/// The latest revocation list of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationRecord {
    /// The user.
    pub user: UserId,
    /// The list's serial.
    pub serial: u64,
    /// The list as the user signed it. The store does not verify it: [`RevocationList::decode`] does.
    pub list: Vec<u8>,
}

impl From<&RevocationList> for RevocationRecord {
    fn from(list: &RevocationList) -> Self {
        Self { user: list.user_id(), serial: list.serial(), list: list.as_bytes().to_vec() }
    }
}

/// A request for a pairing that waits for this device's person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRecord {
    /// The attempt in which it came.
    pub connection: ConnectionId,
    /// The device that asks.
    pub device: DeviceId,
    /// The request as it came.
    pub request: Vec<u8>,
    /// The time at which it came, by this device's clock.
    pub received: UnixTime,
}

/// One thing that a store keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredRecord {
    /// A device.
    Device(DeviceRecord),
    /// A user.
    User(UserRecord),
    /// A revocation list.
    Revocation(RevocationRecord),
    /// A request that waits.
    Pending(PendingRecord),
}

impl StoredRecord {
    /// The key of the record.
    pub const fn key(&self) -> RecordKey {
        match self {
            Self::Device(record) => RecordKey::Device(record.device),
            Self::User(record) => RecordKey::User(record.user),
            Self::Revocation(record) => RecordKey::Revocation(record.user),
            Self::Pending(record) => RecordKey::Pending(record.connection),
        }
    }
}

/// The name of a record: a store has one record of each key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKey {
    /// A device.
    Device(DeviceId),
    /// A user.
    User(UserId),
    /// The revocation list of a user.
    Revocation(UserId),
    /// A request that waits.
    Pending(ConnectionId),
}

impl RecordKey {
    /// The table of the record.
    pub const fn table(&self) -> RecordTable {
        match self {
            Self::Device(_) => RecordTable::Devices,
            Self::User(_) => RecordTable::Users,
            Self::Revocation(_) => RecordTable::Revocations,
            Self::Pending(_) => RecordTable::Pending,
        }
    }
}

/// The table that a record is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordTable {
    /// Devices.
    Devices,
    /// Users.
    Users,
    /// Revocation lists.
    Revocations,
    /// Requests that wait.
    Pending,
}

impl RecordTable {
    /// Every table.
    pub const ALL: [Self; 4] = [Self::Devices, Self::Users, Self::Revocations, Self::Pending];

    /// The number of records that a store keeps.
    pub const fn limit(self) -> usize {
        match self {
            Self::Devices => MAX_DEVICES,
            Self::Users => MAX_USERS,
            Self::Revocations => MAX_REVOCATIONS,
            Self::Pending => MAX_PENDING,
        }
    }

    /// Checks a change of the number of records. One with too many, of a build with a higher limit, may still lose
    /// some.
    pub(crate) fn check_count(self, before: usize, after: usize) -> Result<(), RecordError> {
        if after > before && after > self.limit() { Err(RecordError::TooMany(self)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
