//! A store that lasts as long as the process.

use std::sync::{Mutex, PoisonError};

use crate::error::StoreError;
use crate::records::{Change, Records};
use crate::store::PeerStore;

/// Keeps records in memory, with the limits of a store on a disk. For tests, and for apps that want to forget.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Records>);

impl MemoryStore {
    /// A store that holds these records.
    pub fn new(records: Records) -> Self {
        Self(Mutex::new(records))
    }
}

impl PeerStore for MemoryStore {
    fn load(&self) -> Result<Records, StoreError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn write(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.check(changes)?;
        changes.iter().for_each(|change| records.apply(change));
        Ok(())
    }
}
