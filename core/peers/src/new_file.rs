//! Files that appear under their names whole, or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// A file in the making: `NAME.peers-part` until [`NewFile::finish`], then `NAME`, on the disk, and never in the place of
/// another file. Dropped before, it leaves nothing. A process that is killed leaves the part; the next writer begins it anew. No
/// finished file has the name of a part: a peer that chooses names could else have another file destroyed.
///
/// The part is locked, so of several writers, threads or processes, one at a time writes it.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    part: PathBuf,
    file: File,
    finished: bool,
}

/// The end of a part's name; programs that download files leave their own as `.part`.
const PART: &str = ".peers-part";
/// Bytes of a file's name on the file systems there are.
const MAX_FILE_NAME: usize = 255;

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
        Self::begin(path.as_ref(), &options(), Busy::Fail)
    }

    /// Begins a file that its owner alone can read. Waits while another writer makes it: that takes milliseconds.
    ///
    /// # Errors
    /// As [`NewFile::create`].
    pub(crate) fn create_private(path: &Path) -> io::Result<Self> {
        let mut options = options();
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Self::begin(path, &options, Busy::Wait)
    }

    fn begin(path: &Path, options: &OpenOptions, busy: Busy) -> io::Result<Self> {
        let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?;
        if name.as_encoded_bytes().ends_with(PART.as_bytes()) {
            return Err(ErrorKind::InvalidFilename.into());
        }
        let part = path.with_file_name(part_name(name));
        loop {
            if exists(path) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            let file = options.open(&part)?;
            match busy {
                Busy::Wait => file.lock()?,
                Busy::Fail => file.try_lock().map_err(|e| match e {
                    TryLockError::WouldBlock => ErrorKind::ResourceBusy.into(),
                    TryLockError::Error(e) => e,
                })?,
            }
            // The writer before may have finished or removed what was opened here; the lock is then on nothing.
            if !is_at(&file, &part)? {
                continue;
            }
            let new = Self { path: path.to_owned(), part, file, finished: false };
            if exists(path) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            new.file.set_len(0)?;
            return Ok(new);
        }
    }

    /// The file, to be written from its beginning.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Puts what was written on the disk, and gives it its name.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] if another program has made a file of this name meanwhile, [`ErrorKind::StorageFull`]
    /// and whatever else the operating system says.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        publish(&self.part, &self.path)?;
        self.finished = true;
        sync_folder(&self.path)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // The lock ends after this: the part is still this writer's.
        if !self.finished
            && let Err(error) = fs::remove_file(&self.part)
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

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    // A link that another user of the folder has put there leads to a file of theirs, or of this user.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW);
    options
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("peers-new-file-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn names(&self) -> Vec<String> {
            let names = fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<_> = names.collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_has_its_name_when_it_is_whole_and_never_replaces_another() {
        let folder = Folder::new("whole");
        let path = folder.0.join("a");
        let mut new = NewFile::create(&path).unwrap();
        new.write_all(b"whole").unwrap();
        assert_eq!(folder.names(), ["a.peers-part"]);
        assert_eq!(NewFile::create(&path).unwrap_err().kind(), ErrorKind::ResourceBusy);
        new.finish().unwrap();
        assert_eq!((folder.names(), fs::read(&path).unwrap()), (vec!["a".into()], b"whole".to_vec()));
        assert_eq!(NewFile::create(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(folder.names(), ["a"]);

        let other = folder.0.join("b");
        let mut late = NewFile::create(&other).unwrap();
        late.write_all(b"late").unwrap();
        fs::write(&other, "first").unwrap();
        assert_eq!(late.finish().unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(
            (folder.names(), fs::read(&other).unwrap()),
            (vec!["a".into(), "b".into()], b"first".to_vec())
        );
    }

    #[test]
    fn a_name_as_long_as_a_file_system_allows_has_a_part_too() {
        let folder = Folder::new("long");
        for len in [MAX_FILE_NAME - PART.len(), MAX_FILE_NAME] {
            let names = ["a", "b"].map(|last| "n".repeat(len - 1) + last);
            let mut new = names.each_ref().map(|name| NewFile::create(folder.0.join(name)).unwrap());
            // Two names that are alike up to their ends do not share a part.
            assert_eq!(folder.names().len(), 2);
            assert!(folder.names().iter().all(|part| part.ends_with(PART)));
            new.iter_mut().zip(&names).for_each(|(new, name)| new.write_all(name.as_bytes()).unwrap());
            new.into_iter().for_each(|new| new.finish().unwrap());
            assert_eq!(folder.names(), names);
            for name in names {
                assert_eq!(fs::read(folder.0.join(&name)).unwrap(), name.as_bytes());
                fs::remove_file(folder.0.join(&name)).unwrap();
            }
        }
    }

    #[test]
    fn what_was_given_up_leaves_nothing_and_what_a_kill_left_is_written_anew() {
        let folder = Folder::new("given-up");
        let path = folder.0.join("a");
        let mut new = NewFile::create(&path).unwrap();
        new.write_all(b"half").unwrap();
        drop(new);
        assert!(folder.names().is_empty());

        fs::write(folder.0.join("a.peers-part"), "of a process that was killed").unwrap();
        let mut new = NewFile::create(&path).unwrap();
        new.write_all(b"anew").unwrap();
        new.finish().unwrap();
        assert_eq!((folder.names(), fs::read(&path).unwrap()), (vec!["a".into()], b"anew".to_vec()));
    }

    #[test]
    fn a_name_that_is_none_and_a_part_that_leads_elsewhere_are_refused() {
        let folder = Folder::new("refused");
        for name in ["..", "a.peers-part"] {
            assert_eq!(NewFile::create(folder.0.join(name)).unwrap_err().kind(), ErrorKind::InvalidFilename);
        }
        #[cfg(unix)]
        {
            let target = folder.0.join("target");
            fs::write(&target, "precious").unwrap();
            std::os::unix::fs::symlink(&target, folder.0.join("a.peers-part")).unwrap();
            assert!(NewFile::create(folder.0.join("a")).is_err());
            assert_eq!(fs::read(&target).unwrap(), b"precious");
        }
    }

    #[test]
    fn of_writers_that_wait_for_each_other_one_makes_the_file() {
        let folder = Folder::new("waiting");
        for round in 0..50 {
            let path = folder.0.join(format!("{round}"));
            let made: usize = std::thread::scope(|scope| {
                let writers: Vec<_> = (0..8)
                    .map(|n| {
                        let path = &path;
                        scope.spawn(move || match NewFile::create_private(path) {
                            Ok(mut new) => {
                                new.write_all(&[n; 64]).unwrap();
                                new.finish().unwrap();
                                1
                            }
                            Err(e) => {
                                assert_eq!(e.kind(), ErrorKind::AlreadyExists);
                                0
                            }
                        })
                    })
                    .collect();
                writers.into_iter().map(|w| w.join().unwrap()).sum()
            });
            let bytes = fs::read(&path).unwrap();
            assert_eq!((made, bytes.len()), (1, 64));
            assert!(bytes.iter().all(|b| *b == bytes[0]), "{bytes:?}");
        }
        assert_eq!(folder.names().len(), 50, "no part is left");
    }
}
