//! Files that one process at a time writes, and that appear whole or not at all.

mod lock;
mod new_file;

pub(crate) use lock::{LockError, LockedFile};
pub use new_file::NewFile;
