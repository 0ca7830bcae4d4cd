//! The file of a store: found or made, private, locked.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::StoreError;

/// The end of the name of a file in the making.
const PART: &str = ".peers-part";

/// A file that is locked for as long as this is there.
#[derive(Debug)]
pub(super) struct Locked(Arc<File>);

impl Locked {
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.0)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // A process that is being started has the descriptor too, until it runs its program: to close it is not enough.
        unlock(&self.0);
    }
}

/// Opens and locks the file; `None` if there is none.
pub(super) fn open(path: &Path) -> Result<Option<Locked>, StoreError> {
    // First: to open a device may do something.
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => return Err(StoreError::Foreign),
        Ok(_) => {}
        // A link to nothing gets no new store: it would lie where the link leads.
        Err(e) if e.kind() == ErrorKind::NotFound && !path.is_symlink() => return Ok(None),
        Err(e) => return Err(e.into()),
    }
    let file = match options().open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let found = file.metadata()?;
    if !found.is_file() || found.len() == 0 {
        return Err(StoreError::Foreign);
    }
    lock(file).map(Some)
}

/// Makes the file: under another name, which it loses when it is whole. `None` if another process has made it
/// meanwhile.
pub(super) fn create(
    path: &Path,
    fill: impl FnOnce(Arc<File>) -> Result<(), StoreError>,
) -> Result<Option<Locked>, StoreError> {
    // The lock ends after the part: until then the name is this maker's.
    let Some((locked, part)) = begin(path)? else { return Ok(None) };
    let file = locked.file();
    make_private(&file)?;
    file.set_len(0)?;
    fill(Arc::clone(&file))?;
    file.sync_all()?;
    match publish(&part.0, path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(None),
        published => published?,
    }
    sync_folder(path)?;
    Ok(Some(locked))
}

/// Opens and locks a file in the making. `None` if the maker before has finished or removed what was opened here.
fn begin(path: &Path) -> Result<Option<(Locked, Part)>, StoreError> {
    let mut name = OsString::from(path.file_name().ok_or(io::Error::from(ErrorKind::InvalidFilename))?);
    name.push(PART);
    let path = path.with_file_name(name);
    let mut options = options();
    options.create(true);
    // A link that another user of the folder has put there leads to a file of theirs, or of this user.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW);
    let locked = lock(options.open(&path)?)?;
    Ok(is_at(&locked.0, &path)?.then(|| (locked, Part(path))))
}

/// The name of a file in the making. A maker that fails removes it; that of a killed one is left, and the next maker
/// begins the file anew.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // Nothing has this name if the file is finished.
        let _ = fs::remove_file(&self.0);
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Locks a file. Not by the standard library: on Android its locks are not supported before Rust 1.98.
#[cfg(unix)]
fn lock(file: File) -> Result<Locked, StoreError> {
    match flock(&file, libc::LOCK_EX | libc::LOCK_NB) {
        Ok(()) => Ok(Locked(Arc::new(file))),
        Err(e) if e.kind() == ErrorKind::WouldBlock => Err(StoreError::InUse),
        Err(e) => Err(e.into()),
    }
}

#[cfg(unix)]
fn unlock(file: &File) {
    // A file that cannot be unlocked is so when it is closed.
    let _ = flock(file, libc::LOCK_UN);
}

#[cfg(unix)]
fn flock(file: &File, operation: libc::c_int) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and the call takes no memory.
    match unsafe { libc::flock(file.as_raw_fd(), operation) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(not(unix))]
fn lock(file: File) -> Result<Locked, StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(Locked(Arc::new(file))),
        Err(fs::TryLockError::WouldBlock) => Err(StoreError::InUse),
        Err(fs::TryLockError::Error(e)) => Err(e.into()),
    }
}

#[cfg(not(unix))]
fn unlock(file: &File) {
    let _ = file.unlock();
}

/// The part that something else has left may be open to others.
#[cfg(unix)]
fn make_private(file: &File) -> io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))
}

#[cfg(not(unix))]
fn make_private(_: &File) -> io::Result<()> {
    Ok(())
}

/// True if the name is taken, be it by a link to nothing.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// True if this open file is the one of that name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let opened = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (opened.dev(), opened.ino())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> io::Result<bool> {
    Ok(exists(path))
}

/// Renames without overwriting: a second name for the file, which fails if there is one, and the first taken away.
fn publish(part: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(part, path) {
        Ok(()) => fs::remove_file(part),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Err(e),
        // File systems and Android's rules for apps have no second names. Makers that lock the part still exclude each
        // other.
        Err(_) if exists(path) => Err(ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(part, path),
    }
}

/// A new name is on the disk when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    match File::open(folder)?.sync_all() {
        // Some file systems cannot.
        Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        outcome => outcome,
    }
}
