//! All records of a store, and their changes.

use std::collections::{BTreeMap, HashMap};

use peers_proto::id::{ConnectionId, DeviceId, UserId};

use crate::record::{
    DeviceRecord, PendingRecord, RecordError, RecordKey, RecordTable, RevocationRecord, StoredRecord,
    UserRecord,
};

/// A change of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "changes are few, and most of them put a record")]
pub enum Change {
    /// Keeps a record, in the place of the one with its key.
    Put(StoredRecord),
    /// Removes the record with this key.
    Remove(RecordKey),
}

impl Change {
    /// The key of the record that changes.
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Put(record) => record.key(),
            Self::Remove(key) => *key,
        }
    }
}

/// All records of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// Devices with a level or with pinned keys.
    pub devices: BTreeMap<DeviceId, DeviceRecord>,
    /// Users with a level.
    pub users: BTreeMap<UserId, UserRecord>,
    /// The revocation lists of users.
    pub revocations: BTreeMap<UserId, RevocationRecord>,
    /// Requests that wait for an answer.
    pub pending: BTreeMap<ConnectionId, PendingRecord>,
}

impl Records {
    /// Makes a change.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Put(StoredRecord::Device(record)) => {
                drop(self.devices.insert(record.device, record.clone()))
            }
            Change::Put(StoredRecord::User(record)) => drop(self.users.insert(record.user, record.clone())),
            Change::Put(StoredRecord::Revocation(record)) => {
                drop(self.revocations.insert(record.user, record.clone()));
            }
            Change::Put(StoredRecord::Pending(record)) => {
                drop(self.pending.insert(record.connection, record.clone()));
            }
            Change::Remove(RecordKey::Device(device)) => drop(self.devices.remove(device)),
            Change::Remove(RecordKey::User(user)) => drop(self.users.remove(user)),
            Change::Remove(RecordKey::Revocation(user)) => drop(self.revocations.remove(user)),
            Change::Remove(RecordKey::Pending(connection)) => drop(self.pending.remove(connection)),
        }
    }

    /// True if there is a record with this key.
    pub fn contains(&self, key: &RecordKey) -> bool {
        match key {
            RecordKey::Device(device) => self.devices.contains_key(device),
            RecordKey::User(user) => self.users.contains_key(user),
            RecordKey::Revocation(user) => self.revocations.contains_key(user),
            RecordKey::Pending(connection) => self.pending.contains_key(connection),
        }
    }

    /// The number of records in a table.
    pub fn count(&self, table: RecordTable) -> usize {
        match table {
            RecordTable::Devices => self.devices.len(),
            RecordTable::Users => self.users.len(),
            RecordTable::Revocations => self.revocations.len(),
            RecordTable::Pending => self.pending.len(),
        }
    }

    /// Checks that the records stay within their limits with these changes.
    ///
    /// # Errors
    /// That of the first change beyond a limit.
    pub fn check(&self, changes: &[Change]) -> Result<(), RecordError> {
        // The last change of a key counts.
        let mut there = HashMap::new();
        for change in changes {
            if let Change::Put(record) = change {
                record.encode()?;
            }
            there.insert(change.key(), matches!(change, Change::Put(_)));
        }
        for table in RecordTable::ALL {
            let changed = || there.iter().filter(|(key, _)| key.table() == table);
            let added = changed().filter(|(key, put)| **put && !self.contains(key)).count();
            let removed = changed().filter(|(key, put)| !**put && self.contains(key)).count();
            table.check_count(self.count(table), self.count(table) + added - removed)?;
        }
        Ok(())
    }
}
