//! The interface of all stores.

use std::sync::Arc;

use crate::error::StoreError;
use crate::records::{Change, Records};

/// Keeps records between two runs of an app. An app may implement it over a database of its own: [`StoredRecord`] and
/// [`RecordKey`] have their forms in bytes, and [`Records::check`] holds the limits.
///
/// [`RecordKey`]: crate::RecordKey
/// [`StoredRecord`]: crate::StoredRecord
pub trait PeerStore: Send + Sync {
    /// Reads all records.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], and [`StoreError::Io`] if the disk cannot be read.
    fn load(&self) -> Result<Records, StoreError>;

    /// Makes all of the changes in their order, or none. They are durable when this returns. A change that removes what
    /// is not there does nothing.
    ///
    /// # Errors
    /// [`StoreError::Record`] for a change beyond the limits, [`StoreError::Full`], [`StoreError::ReadOnly`] and
    /// [`StoreError::Io`]. The store then holds what it held, and takes the next write. One case is open: a disk that
    /// fails in the last step of a write may still have kept it.
    fn write(&self, changes: &[Change]) -> Result<(), StoreError>;
}

impl<T: PeerStore + ?Sized> PeerStore for Arc<T> {
    fn load(&self) -> Result<Records, StoreError> {
        (**self).load()
    }

    fn write(&self, changes: &[Change]) -> Result<(), StoreError> {
        (**self).write(changes)
    }
}
