//! Failures of a store, and which of them the operating system's errors are.

use std::io::{self, ErrorKind};

use crate::record::RecordError;

/// The reason for which a store was not opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another store, of this process or of another one, has the file open.
    #[error("the store is in use")]
    InUse,
    /// A later build has written the file. It was left as it is.
    #[error("the store has version {found}, and this build knows versions up to {known}")]
    Newer {
        /// The file's version.
        found: u32,
        /// The highest version of this build.
        known: u32,
    },
    /// The file is something else. It was left as it is.
    #[error("the file holds no store")]
    Foreign,
    /// Parts of the file are missing or changed. It was left as it is.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The disk has no room, or the user of this process may not take more of it.
    #[error("the disk is full")]
    Full,
    /// This process may not write the file, or not make one in its folder.
    #[error("the store cannot be written here")]
    ReadOnly,
    /// A change is beyond the limits.
    #[error("{0}")]
    Record(#[from] RecordError),
    /// Another failure of the operating system.
    #[error("the store cannot be read or written: {0}")]
    Io(io::Error),
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::Full,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::Io(error),
        }
    }
}
