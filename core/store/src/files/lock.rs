//! Locked files. Not by the standard library: on Android its locks are not supported before Rust 1.98.

use std::fs::File;
use std::io;
use std::sync::Arc;

/// A file that is locked for as long as this is there.
#[derive(Debug)]
pub(crate) struct LockedFile(Arc<File>);

/// The reason for which a file is not locked.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another one has it locked.
    Busy,
    /// The error of the operating system.
    Io(io::Error),
}

impl LockedFile {
    /// Locks a file, unless another one has.
    pub(crate) fn try_lock(file: File) -> Result<Self, LockError> {
        platform::try_lock(&file)?;
        Ok(Self(Arc::new(file)))
    }

    /// Locks a file as soon as no other one has it locked.
    pub(crate) fn lock(file: File) -> io::Result<Self> {
        platform::lock(&file)?;
        Ok(Self(Arc::new(file)))
    }

    pub(crate) fn file(&self) -> &Arc<File> {
        &self.0
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // A process that is being started has the descriptor too, until it runs its program: to close it is not enough. A file
        // that cannot be unlocked is so when it is closed.
        let _ = platform::unlock(&self.0);
    }
}

#[cfg(unix)]
mod platform {
    use std::fs::File;
    use std::io::{self, ErrorKind};
    use std::os::fd::AsRawFd;

    use super::LockError;

    pub(super) fn try_lock(file: &File) -> Result<(), LockError> {
        flock(file, libc::LOCK_EX | libc::LOCK_NB).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => LockError::Busy,
            _ => LockError::Io(error),
        })
    }

    pub(super) fn lock(file: &File) -> io::Result<()> {
        loop {
            match flock(file, libc::LOCK_EX) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    pub(super) fn unlock(file: &File) -> io::Result<()> {
        flock(file, libc::LOCK_UN)
    }

    fn flock(file: &File, operation: libc::c_int) -> io::Result<()> {
        // SAFETY: the descriptor is open for as long as `file` is borrowed, and the call takes no memory.
        match unsafe { libc::flock(file.as_raw_fd(), operation) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(not(unix))]
mod platform {
    use std::fs::{File, TryLockError};
    use std::io;

    use super::LockError;

    pub(super) fn try_lock(file: &File) -> Result<(), LockError> {
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => LockError::Busy,
            TryLockError::Error(error) => LockError::Io(error),
        })
    }

    pub(super) fn lock(file: &File) -> io::Result<()> {
        file.lock()
    }

    pub(super) fn unlock(file: &File) -> io::Result<()> {
        file.unlock()
    }
}
