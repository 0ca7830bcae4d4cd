//! This device's keys and where they are kept.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use peers_proto::certificate::DeviceCertificate;
use peers_proto::id::{DeviceId, UserId};
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::time::UnixTime;
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

    /// What to store, where nobody else can read it.
    pub fn seed(&self) -> Zeroizing<[u8; SEED_LEN]> {
        let mut seed = Zeroizing::new([0; SEED_LEN]);
        seed[..32].copy_from_slice(&*self.device);
        seed[32..].copy_from_slice(&*self.user);
        seed
    }

    /// Reads the identity kept in a file, or makes one and keeps it there, readable by its owner only.
    ///
    /// # Errors
    /// [`Error::Identity`] if the file cannot be read or written, or holds something else.
    pub fn load_or_create(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        match create(path) {
            Ok(mut file) => {
                let identity = Self::generate();
                file.write_all(&*identity.seed())
                    .and_then(|()| file.sync_all())
                    .map_err(|e| failed(path, &e))?;
                Ok(identity)
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Self::load(path),
            Err(e) => Err(failed(path, &e)),
        }
    }

    fn load(path: &Path) -> Result<Self, Error> {
        let mut seed = Zeroizing::new([0; SEED_LEN]);
        let mut file = std::fs::File::open(path).map_err(|e| failed(path, &e))?;
        file.read_exact(&mut *seed).map_err(|e| failed(path, &e))?;
        match file.read(&mut [0]) {
            Ok(0) => Ok(Self::from_seed(&seed)),
            Ok(_) => Err(Error::Identity(format!("{}: longer than an identity", path.display()))),
            Err(e) => Err(failed(path, &e)),
        }
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

fn create(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn failed(path: &Path, e: &std::io::Error) -> Error {
    Error::Identity(format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_the_identity_and_only_its_owner_reads_it() {
        let dir = std::env::temp_dir().join(format!("peers-identity-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("device.key");
        let first = Identity::load_or_create(&path).unwrap();
        let again = Identity::load_or_create(&path).unwrap();
        assert_eq!((first.device_id(), first.user_id()), (again.device_id(), again.user_id()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        for wrong in [&b"short"[..], &[1; SEED_LEN + 1]] {
            std::fs::write(&path, wrong).unwrap();
            assert!(matches!(Identity::load_or_create(&path), Err(Error::Identity(_))));
        }
        assert!(matches!(Identity::load_or_create(dir.join("no/such/dir")), Err(Error::Identity(_))));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
