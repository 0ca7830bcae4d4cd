//! This device's keys and where they are kept.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use peers_proto::certificate::DeviceCertificate;
use peers_proto::id::{DeviceId, UserId};
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::time::UnixTime;
use peers_store::NewFile;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::random;

/// Bytes of an identity at rest: the device's seed, then its user's.
pub const SEED_LEN: usize = 64;

/// The keys of this installation and of the user who owns it.
#[derive(Clone)]
pub struct Identity {
    device: Zeroizing<[u8; 32]>,
    user: Zeroizing<[u8; 32]>,
}

impl Identity {
    /// New keys of a new user.
    pub fn generate() -> Self {
        Self::from_seed(&random::array())
    }

    /// The keys that these bytes stand for: what a keychain or keystore gave back.
    pub fn from_seed(seed: &[u8; SEED_LEN]) -> Self {
        let mut identity = Self { device: Zeroizing::new([0; 32]), user: Zeroizing::new([0; 32]) };
        identity.device.copy_from_slice(&seed[..32]);
        identity.user.copy_from_slice(&seed[32..]);
        identity
    }

    /// A new device of the same user.
    pub fn another_device(&self) -> Self {
        Self { device: Zeroizing::new(random::array()), user: self.user.clone() }
    }

    /// The bytes to store. No other program must be able to read them.
    pub fn seed(&self) -> Zeroizing<[u8; SEED_LEN]> {
        let mut seed = Zeroizing::new([0; SEED_LEN]);
        seed[..32].copy_from_slice(&*self.device);
        seed[32..].copy_from_slice(&*self.user);
        seed
    }

    /// Reads the identity kept in a file, or makes one and keeps it there, readable by its owner only. The file appears whole
    /// or not at all; of several processes that make it at once, one does, and the others read it.
    ///
    /// # Errors
    /// [`Error::Identity`] if the file cannot be read or written, is no regular file, holds something else, or if others can
    /// read it.
    pub fn load_or_create(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        match Self::load(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => match Self::create(path) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => Self::load(path),
                made => made,
            },
            loaded => loaded,
        }
        .map_err(|e| Error::Identity(format!("{}: {e}", path.display())))
    }

    fn load(path: &Path) -> io::Result<Self> {
        // First: to open a pipe would wait for its writer, and a device may do something when it is opened.
        if !fs::metadata(path).map_err(|e| of_link(path, e))?.is_file() {
            return Err(wrong("it is not a regular file"));
        }
        let mut file = open(path)?;
        if !file.metadata()?.is_file() {
            return Err(wrong("it is not a regular file"));
        }
        if is_public(&file)? {
            // Quoted as a shell takes it.
            return Err(wrong(format!("others can read it; run: chmod 600 {path:?}")));
        }
        let mut seed = Zeroizing::new([0; SEED_LEN + 1]);
        let mut length = 0;
        while length < seed.len() {
            match file.read(&mut seed[length..])? {
                0 => break,
                read => length += read,
            }
        }
        match <&[u8; SEED_LEN]>::try_from(&seed[..length]) {
            Ok(seed) => Ok(Self::from_seed(seed)),
            Err(_) if length < SEED_LEN => Err(wrong(format!(
                "it holds {length} bytes of {SEED_LEN}: it was cut short. Put a copy in its place, or remove it to become \
                 another device"
            ))),
            Err(_) => Err(wrong("it is longer than an identity")),
        }
    }

    fn create(path: &Path) -> io::Result<Self> {
        let mut file = NewFile::create_private(path)?;
        if is_public(file.file())? {
            return Err(wrong("others could read it here: this file system keeps nothing private"));
        }
        let identity = Self::generate();
        file.write_all(&*identity.seed())?;
        file.finish()?;
        Ok(identity)
    }

    /// This device's name in the protocol.
    pub fn device_id(&self) -> DeviceId {
        self.device_keys().device_id()
    }

    /// Its user's name in the protocol.
    pub fn user_id(&self) -> UserId {
        UserKeys::from_seed(*self.user).user_id()
    }

    pub(crate) fn device_keys(&self) -> DeviceKeys {
        DeviceKeys::from_seed(*self.device)
    }

    /// A certificate for this run. It does not expire: devices are revoked, not forgotten.
    pub(crate) fn certify(&self, name: &str, issued: UnixTime) -> Result<DeviceCertificate, Error> {
        let user = UserKeys::from_seed(*self.user);
        DeviceCertificate::issue(&user, &self.device_keys(), issued, name)
            .map_err(|e| Error::Config(format!("name: {e}")))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.device_id()).finish()
    }
}

/// Opens for reading without waiting, also what has taken the file's place meanwhile.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    options.read(true).open(path)
}

/// A link to nothing gets no new keys: they would lie where it leads.
fn of_link(path: &Path, error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::NotFound if path.is_symlink() => wrong("it is a link to a file that is not there"),
        _ => error,
    }
}

/// True if others than its owner can do anything with the file.
#[cfg(unix)]
fn is_public(file: &File) -> io::Result<bool> {
    Ok(std::os::unix::fs::PermissionsExt::mode(&file.metadata()?.permissions()) & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_public(_: &File) -> io::Result<bool> {
    Ok(false)
}

fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> String {
        match Identity::load_or_create(path) {
            Err(Error::Identity(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_keeps_the_identity_and_only_its_owner_reads_it() {
        let dir = std::env::temp_dir().join(format!("peers-identity-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("device.key");
        // The partial file of a process that was killed, or found the disk full, while it made the file.
        std::fs::write(dir.join("device.key.peers-part"), "short").unwrap();
        let first = Identity::load_or_create(&path).unwrap();
        let again = Identity::load_or_create(&path).unwrap();
        assert_eq!((first.device_id(), first.user_id()), (again.device_id(), again.user_id()));
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let permit = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            for mode in [0o640, 0o604, 0o660] {
                permit(mode);
                let why = refusal(&path);
                assert!(why.ends_with(&format!("run: chmod 600 {path:?}")), "{why}");
            }
            permit(0o400);
            assert_eq!(Identity::load_or_create(&path).unwrap().device_id(), first.device_id());
            permit(0o600);
        }
        std::fs::write(&path, "short").unwrap();
        assert!(refusal(&path).contains("holds 5 bytes of 64: it was cut short"), "{}", refusal(&path));
        assert_eq!(std::fs::read(&path).unwrap(), b"short", "a person decides what becomes of it");
        std::fs::write(&path, [1; SEED_LEN + 1]).unwrap();
        assert!(refusal(&path).contains("longer"));
        assert!(matches!(Identity::load_or_create(dir.join("no/such/dir")), Err(Error::Identity(_))));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_refused_as_such_and_at_once() {
        let dir = std::env::temp_dir().join(format!("peers-identity-irregular-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let pipe = dir.join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let link = dir.join("link");
        std::os::unix::fs::symlink(dir.join("nothing"), &link).unwrap();
        for irregular in [&dir, &pipe, Path::new("/dev/null")] {
            let why = refusal(irregular);
            assert!(why.ends_with("it is not a regular file") && !why.contains("chmod"), "{why}");
        }
        assert!(refusal(&link).ends_with("it is a link to a file that is not there"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
