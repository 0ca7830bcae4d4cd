//! The memory of a client: levels and keys become records of its store.
//!
//! The engine's outputs are noted under its lock and written without it: by the caller that waits for its change, or by a task.
//! A write takes all changes that wait. After a failure they wait for the next write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peers_proto::id::DeviceId;
use peers_proto::time::UnixTime;
use peers_proto::trust::{KnownKeys, Pins, TrustLevel};
use peers_store::limits::MAX_DEVICES;
use peers_store::{Change, DeviceRecord, GivenLevel, PeerStore, RecordError, RecordKey, RecordTable};
use peers_store::{Records, StoreError, StoredRecord};

use crate::engine::EngineDriver;
use crate::error::Error;

/// The time in which further sessions with a device are no news for the store.
const SEEN_AGAIN: Duration = Duration::from_secs(3600);

/// The store of a client, and the changes that wait for it. Without a store it keeps nothing.
#[derive(Default)]
pub(crate) struct Memory {
    /// Held while it writes.
    store: Mutex<Store>,
    noted: Mutex<Noted>,
    /// A task is on its way to write.
    scheduled: AtomicBool,
}

#[derive(Default)]
enum Store {
    #[default]
    None,
    Open(Arc<dyn PeerStore>),
    /// The client is over.
    Closed,
}

#[derive(Default)]
struct Noted {
    records: BTreeMap<DeviceId, DeviceRecord>,
    /// Devices whose record has changed since it was written.
    changed: BTreeSet<DeviceId>,
    keeps: bool,
}

impl Memory {
    /// A memory of what the store has.
    pub(crate) fn new(store: Arc<dyn PeerStore>, records: Records) -> Self {
        let noted = Noted { records: records.devices, changed: BTreeSet::new(), keeps: true };
        Self {
            store: Mutex::new(Store::Open(store)),
            noted: Mutex::new(noted),
            scheduled: AtomicBool::new(false),
        }
    }

    /// The levels of an earlier run.
    pub(crate) fn levels(&self, now: UnixTime) -> BTreeMap<DeviceId, TrustLevel> {
        let noted = self.noted();
        let level = |record: &DeviceRecord| Some((record.device, record.level?.at(now)));
        noted.records.values().filter_map(level).collect()
    }

    /// The keys of devices that were met in an earlier run.
    pub(crate) fn pins(&self) -> Pins {
        let noted = self.noted();
        let mut records: Vec<_> = noted.records.values().collect();
        records.sort_by_key(|record| record.seen.0);
        Pins::load(records.into_iter().filter_map(|record| Some((record.device, record.keys?))))
    }

    /// Checks that the store has room for a level of this device.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub(crate) fn check_room(&self, device: DeviceId) -> Result<(), Error> {
        if self.noted().has_room(device) {
            return Ok(());
        }
        Err(StoreError::from(RecordError::TooMany(RecordTable::Devices)).into())
    }

    /// Notes a level. A level that is given again is as old as before.
    pub(crate) fn note_level(&self, device: DeviceId, level: TrustLevel, now: UnixTime) {
        self.noted().change(device, |record| {
            let known = record.level.is_some_and(|given| given.level == level && given.at(now) == level);
            if !known {
                record.level = Some(GivenLevel { level, since: now });
            }
            !known
        });
    }

    /// Notes the keys that a device was admitted with, or that they have lost their place.
    pub(crate) fn note_keys(&self, device: DeviceId, keys: Option<KnownKeys>, now: UnixTime) {
        self.noted().change(device, |record| {
            let again = now.0.abs_diff(record.seen.0) >= SEEN_AGAIN.as_secs();
            let changed = record.keys != keys || (keys.is_some() && again);
            if changed {
                (record.keys, record.seen) = (keys, now);
            }
            changed
        });
    }

    /// Writes all changes that wait. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// [`Error::Closed`] when the client is over, else [`Error::Store`].
    pub(crate) fn write(&self) -> Result<(), Error> {
        self.write_to(&self.store())
    }

    fn write_to(&self, store: &Store) -> Result<(), Error> {
        let store = match store {
            Store::None => return Ok(()),
            Store::Open(store) => store,
            Store::Closed => return Err(Error::Closed),
        };
        let (changed, changes) = {
            let mut noted = self.noted();
            let changed = std::mem::take(&mut noted.changed);
            let changes: Vec<_> = changed.iter().map(|device| noted.change_of(*device)).collect();
            (changed, changes)
        };
        let written = store.write(&changes);
        if written.is_err() {
            self.noted().changed.extend(changed);
        }
        Ok(written?)
    }

    /// Writes for the last time and lets the store go.
    pub(crate) fn close(&self) {
        let mut store = self.store();
        if let Err(error) = self.write_to(&store)
            && error != Error::Closed
        {
            tracing::warn!(%error, "store failed");
        }
        *store = Store::Closed;
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    fn has_room(&self, device: DeviceId) -> bool {
        !self.keeps || self.records.len() < MAX_DEVICES || self.records.contains_key(&device)
    }

    /// Changes the record of a device. `change` returns false if it is as it was.
    fn change(&mut self, device: DeviceId, change: impl FnOnce(&mut DeviceRecord) -> bool) {
        if !self.keeps {
            return;
        }
        if !self.has_room(device) {
            tracing::warn!(%device, "store full");
            return;
        }
        let record = self.records.entry(device).or_insert_with(|| DeviceRecord::new(device));
        if change(record) {
            self.changed.insert(device);
        }
        if record.level.is_none() && record.keys.is_none() {
            self.records.remove(&device);
        }
    }

    fn change_of(&self, device: DeviceId) -> Change {
        match self.records.get(&device) {
            Some(record) => Change::Put(StoredRecord::Device(record.clone())),
            None => Change::Remove(RecordKey::Device(device)),
        }
    }
}

impl EngineDriver {
    /// Sets the trust in a device. The level counts at once, and is stored when this returns. A block counts although the store
    /// has no room for it.
    pub(crate) fn trust(self: &Arc<Self>, device: DeviceId, level: TrustLevel) -> Result<(), Error> {
        if self.over.is_cancelled() {
            return Err(self.closed());
        }
        let room = self.memory.check_room(device);
        if level > TrustLevel::Untrusted {
            room.clone()?;
        }
        self.control(|control, now| control.set_trust(device, level, now));
        room.and(self.memory.write())
    }

    pub(crate) fn note_level(self: &Arc<Self>, device: DeviceId, level: TrustLevel) {
        self.memory.note_level(device, level, self.clock.unix_now());
        self.write_soon();
    }

    pub(crate) fn note_keys(self: &Arc<Self>, device: DeviceId, keys: Option<KnownKeys>) {
        self.memory.note_keys(device, keys, self.clock.unix_now());
        self.write_soon();
    }

    /// Lets a task write the changes that wait.
    fn write_soon(self: &Arc<Self>) {
        if self.memory.noted().changed.is_empty() || self.memory.scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        let engine = self.clone();
        self.spawn_to_its_end(async move {
            let runtime = engine.runtime.clone();
            let write = move || {
                // First: what is noted from now on takes another task.
                engine.memory.scheduled.store(false, Ordering::Release);
                engine.memory.write()
            };
            if let Some(Err(error)) = runtime.run_blocking(write).await {
                tracing::warn!(%error, "store failed");
            }
        });
    }
}
