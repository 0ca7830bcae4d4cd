//! The file of a store: found or made, private, locked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use crate::error::StoreError;
use crate::files::{LockError, LockedFile, NewFile};

/// Opens and locks the file; `None` if there is none.
pub(super) fn open(path: &Path) -> Result<Option<LockedFile>, StoreError> {
    // First: to open a device may do something.
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => return Err(StoreError::Foreign),
        Ok(_) => {}
        // A link to nothing gets no new store: it would lie where the link leads.
        Err(e) if e.kind() == ErrorKind::NotFound && !path.is_symlink() => return Ok(None),
        Err(e) => return Err(e.into()),
    }
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let found = file.metadata()?;
    if !found.is_file() || found.len() == 0 {
        return Err(StoreError::Foreign);
    }
    match LockedFile::try_lock(file) {
        Ok(locked) => Ok(Some(locked)),
        Err(LockError::Busy) => Err(StoreError::InUse),
        Err(LockError::Io(e)) => Err(e.into()),
    }
}

/// Makes the file. `None` if another process has made it meanwhile.
pub(super) fn create(
    path: &Path,
    fill: impl FnOnce(Arc<File>) -> Result<(), StoreError>,
) -> Result<Option<LockedFile>, StoreError> {
    let unless_there = |e: io::Error| match e.kind() {
        ErrorKind::AlreadyExists => Ok(None),
        ErrorKind::ResourceBusy => Err(StoreError::InUse),
        _ => Err(e.into()),
    };
    let new = match NewFile::try_create_private(path) {
        Ok(new) => new,
        Err(e) => return unless_there(e),
    };
    fill(new.shared())?;
    new.finish_locked().map(Some).or_else(unless_there)
}
