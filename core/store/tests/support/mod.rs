//! Folders, changes and child processes of the tests.

#![allow(clippy::unwrap_used, dead_code, reason = "support of tests, of which each uses a part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use peers_proto::id::{ConnectionId, DeviceId, UserId};
use peers_proto::time::UnixTime;
use peers_proto::trust::TrustLevel;
use peers_store::{
    Change, DeviceRecord, GivenLevel, PendingRecord, RecordKey, RevocationRecord, StoredRecord, UserRecord,
};

/// A folder of a test, which goes with it.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("peers-store-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("store")
    }

    pub(crate) fn names(&self) -> Vec<String> {
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

pub(crate) fn device(n: u64) -> DeviceRecord {
    let level = Some(GivenLevel { level: TrustLevel::Malicious, since: UnixTime(n) });
    DeviceRecord { level, ..DeviceRecord::new(DeviceId::derive(&n.to_be_bytes())) }
}

pub(crate) fn put_device(n: u64) -> Change {
    Change::Put(StoredRecord::Device(device(n)))
}

pub(crate) fn pending(n: u64, len: usize) -> Change {
    let mut connection = [0; 16];
    connection[..8].copy_from_slice(&n.to_be_bytes());
    Change::Put(StoredRecord::Pending(PendingRecord {
        connection: ConnectionId::from_bytes(connection),
        device: DeviceId::derive(&n.to_be_bytes()),
        request: vec![n as u8; len],
        received: UnixTime(n),
    }))
}

/// The nth write of a test: several kinds of records are put, replaced and removed again.
pub(crate) fn changes(n: u64) -> Vec<Change> {
    let user = UserId::derive(&(n % 9).to_be_bytes());
    let level = GivenLevel { level: TrustLevel::Untrusted, since: UnixTime(n) };
    let list = vec![n as u8; (n * 37 % 9000) as usize];
    let addresses = vec![format!("wss://{n}.example.com"); (n % 9) as usize];
    let known = DeviceRecord { addresses, seen: UnixTime(n), ..device(n % 50) };
    let mut changes = vec![
        Change::Put(StoredRecord::Device(known)),
        Change::Put(StoredRecord::User(UserRecord { user, level })),
        pending(n % 8, (n * 531 % 4096) as usize),
    ];
    match n % 5 {
        0 => changes.push(Change::Remove(RecordKey::Device(device((n + 25) % 50).device))),
        1 => changes.push(Change::Put(StoredRecord::Revocation(RevocationRecord { user, serial: n, list }))),
        2 => changes.push(Change::Remove(RecordKey::Revocation(user))),
        _ => {}
    }
    changes
}

/// A process of its own, which runs the test of this name in this program. The test does nothing without the variable.
/// Its output is no output of this one, whose lines are counted.
pub(crate) fn child(test: &str, path: &Path) -> Command {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD, path);
    child
}

/// Asserts that a child passes.
pub(crate) fn passes(test: &str, path: &Path) {
    let output = child(test, path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// The file of a child.
pub(crate) fn given_path() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

const CHILD: &str = "PEERS_STORE_CHILD";

/// Says why a test cannot run here. In CI that is a failure.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "not skipped in CI: {reason}");
    println!("skipped: {reason}");
}
