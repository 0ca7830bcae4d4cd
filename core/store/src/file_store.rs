//! The store on a disk: one file of the engine `redb` (ADR 12).
//!
//! ```text
//!  open ──> found ──> locked ──> read through a Draft: engine's repair, version, migration, all records
//!    │                             │ nothing reaches the file until a write
//!    └── not there ──> made under another name, synced, renamed
//!  write ──> the draft goes to the file, then one transaction in two phases
//!    └── failed ──> the engine is closed as after a crash, and opened again for the next call
//! ```
//!
//! By itself the engine trusts a file that was closed well, and repairs one that was not. Here it checks every page of
//! both, and its repairs wait in a [`Draft`](draft::Draft). So a file that is refused keeps its bytes.

mod disk;
mod draft;
mod schema;
mod tables;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::error::StoreError;
use crate::files::LockedFile;
use crate::records::{Change, Records};
use crate::store::PeerStore;
use schema::Schema;
use tables::Tables;

/// Keeps records in one file that only its owner may read. A write is on the disk when it returns.
///
/// The file is locked for as long as the store is there. It belongs into a folder of the app alone: iOS ends an app
/// that is suspended while it holds a lock in the folder of an app group.
#[derive(Debug)]
pub struct FileStore {
    /// None after a failure, until the next call.
    tables: Mutex<Option<Tables>>,
    schema: Schema,
    /// After the tables: what the engine writes at its end is still under the lock.
    file: LockedFile,
}

impl FileStore {
    /// Opens the store in this file, or makes one. The file appears whole or not at all. A store that is opened and not
    /// written leaves the file as it was, also if an earlier build wrote it, or if the app was killed.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::Newer`], [`StoreError::Foreign`], [`StoreError::Damaged`],
    /// [`StoreError::ReadOnly`]; [`StoreError::Full`] for a new file; [`StoreError::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_as(path.as_ref(), schema::SCHEMA)
    }

    fn open_as(path: &Path, schema: Schema) -> Result<Self, StoreError> {
        let file = loop {
            if let Some(file) = disk::open(path)? {
                break file;
            }
            if let Some(file) = disk::create(path, |file| Tables::create(file, schema))? {
                break file;
            }
        };
        let tables = Mutex::new(Some(Tables::open(file.file().clone(), schema)?));
        Ok(Self { tables, schema, file })
    }

    /// Reads or writes the tables, which are opened again after a failure.
    fn with<T>(&self, call: impl FnOnce(&Tables) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut slot = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let tables = match slot.take() {
            Some(tables) => tables,
            None => Tables::open(self.file.file().clone(), self.schema)?,
        };
        let outcome = call(&tables);
        match outcome {
            Ok(_) | Err(StoreError::Record(_)) => *slot = Some(tables),
            Err(_) => tables.abandon(),
        }
        outcome
    }
}

impl PeerStore for FileStore {
    fn load(&self) -> Result<Records, StoreError> {
        self.with(Tables::load)
    }

    fn write(&self, changes: &[Change]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.with(|tables| tables.write(changes))
    }
}

#[cfg(test)]
mod tests;
