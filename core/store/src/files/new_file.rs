//! Files that appear under their names whole, or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{LockError, LockedFile};

/// A file in the making: `NAME.peers-part` until [`NewFile::finish`], then `NAME`, on the disk, and never in the place of
/// another file. Dropped before, it leaves nothing. A process that is killed leaves the part; the next writer begins it anew. No
/// finished file has the name of a part: a peer that chooses names could else have another file destroyed.
///
/// The part is locked, so of several writers, threads or processes, one at a time writes it.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    part: Part,
    /// After the part: until that is gone, its name is this writer's.
    locked: LockedFile,
}

/// The name of a file in the making.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    finished: bool,
}

/// The end of a part's name; programs that download files leave their own as `.part`.
const PART: &str = ".peers-part";
/// Bytes of a file's name on the file systems there are.
const MAX_FILE_NAME: usize = 255;

/// The users that may read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Shared,
    Private,
}

/// The behaviour of a writer while another one makes the same file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Busy {
    Wait,
    Fail,
}

impl NewFile {
    /// Begins a file.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] if there is a file of this name, [`ErrorKind::ResourceBusy`] while another writer makes
    /// it, [`ErrorKind::InvalidFilename`] for none and for that of a part, and what the operating system says.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::begin(path.as_ref(), Access::Shared, Busy::Fail)
    }

    /// Begins a file that its owner alone can read. Waits while another writer makes it: that takes milliseconds.
    ///
    /// # Errors
    /// As [`NewFile::create`].
    pub fn create_private(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::begin(path.as_ref(), Access::Private, Busy::Wait)
    }

    /// As [`NewFile::create_private`], and fails while another writer makes the file.
    pub(crate) fn try_create_private(path: &Path) -> io::Result<Self> {
        Self::begin(path, Access::Private, Busy::Fail)
    }

    fn begin(path: &Path, access: Access, busy: Busy) -> io::Result<Self> {
        let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?;
        if name.as_encoded_bytes().ends_with(PART.as_bytes()) {
            return Err(ErrorKind::InvalidFilename.into());
        }
        let part = path.with_file_name(part_name(name));
        let mut removed = false;
        loop {
            if exists(path) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            let file = options(access).open(&part)?;
            let locked = match busy {
                Busy::Wait => LockedFile::lock(file)?,
                Busy::Fail => LockedFile::try_lock(file).map_err(|e| match e {
                    LockError::Busy => ErrorKind::ResourceBusy.into(),
                    LockError::Io(e) => e,
                })?,
            };
            // The writer before may have finished or removed what was opened here; the lock is then on nothing.
            if !is_at(locked.file(), &part)? {
                continue;
            }
            // The part that something else has left may be open to others, or be the second name of a whole file. It goes, and the
            // next one is new.
            if !removed && !is_own(locked.file(), access)? {
                fs::remove_file(&part)?;
                removed = true;
                continue;
            }
            let part = Part { path: part, finished: false };
            let new = Self { path: path.to_owned(), part, locked };
            if exists(path) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            new.file().set_len(0)?;
            return Ok(new);
        }
    }

    /// The file, to be written from its beginning.
    pub fn file(&self) -> &File {
        self.locked.file()
    }

    pub(crate) fn shared(&self) -> Arc<File> {
        self.locked.file().clone()
    }

    /// Puts what was written on the disk, and gives it its name.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] if another program has made a file of this name meanwhile, [`ErrorKind::StorageFull`]
    /// and whatever else the operating system says.
    pub fn finish(mut self) -> io::Result<()> {
        self.publish()
    }

    /// As [`NewFile::finish`]; the file stays locked.
    pub(crate) fn finish_locked(mut self) -> io::Result<LockedFile> {
        self.publish()?;
        Ok(self.locked)
    }

    fn publish(&mut self) -> io::Result<()> {
        self.file().sync_all()?;
        publish(&self.part.path, &self.path)?;
        self.part.finished = true;
        sync_folder(&self.path)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(error = %error.kind(), "partial file left");
        }
    }
}

/// `NAME.peers-part`; of a name that leaves no room for that, its hash stands for it.
fn part_name(name: &OsStr) -> OsString {
    let mut part = name.to_owned();
    if name.len() + PART.len() > MAX_FILE_NAME {
        let hash = Sha256::digest(name.as_encoded_bytes());
        part = hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
    }
    part.push(PART);
    part
}

fn options(access: Access) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    if access == Access::Private {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    // A link that another user of the folder has put there leads to a file of theirs, or of this user.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW);
    options
}

/// True if this open part has one name, and is private if the file is to be.
#[cfg(unix)]
fn is_own(part: &File, access: Access) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let found = part.metadata()?;
    Ok(found.nlink() <= 1 && (access == Access::Shared || found.mode() & 0o077 == 0))
}

#[cfg(not(unix))]
fn is_own(_: &File, _: Access) -> io::Result<bool> {
    Ok(true)
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
        // File systems and Android's rules for apps have no second names. Writers that lock the part still exclude each other.
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
