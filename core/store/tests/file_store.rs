//! The file of a store: who may read and open it, what is refused, and disks that fail.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::fs;

use peers_proto::id::UserId;
use peers_store::limits::{MAX_PENDING, MAX_PENDING_REQUEST};
use peers_store::{
    Change, FileStore, MemoryStore, PeerStore, RecordError, RecordKey, RecordTable, Records,
    RevocationRecord, StoreError, StoredRecord,
};
use proptest::prelude::*;
use support::{Folder, changes, device, pending, put_device};

#[test]
fn a_block_and_everything_else_is_there_after_a_restart() {
    let folder = Folder::new("restart");
    let mut expected = Records::default();
    let store = FileStore::open(folder.file()).unwrap();
    assert_eq!(store.load().unwrap(), expected);
    for n in 0..60 {
        store.write(&changes(n)).unwrap();
        changes(n).iter().for_each(|change| expected.apply(change));
    }
    assert_eq!(store.load().unwrap(), expected);
    drop(store);
    let store = FileStore::open(folder.file()).unwrap();
    assert_eq!(store.load().unwrap(), expected);
    assert_eq!(store.load().unwrap().devices[&device(59 % 50).device].level, device(59 % 50).level);
    assert_eq!(folder.names(), ["store"]);
}

#[test]
fn a_change_beyond_a_limit_leaves_all_changes_of_its_write_undone() {
    let folder = Folder::new("limits");
    let file = FileStore::open(folder.file()).unwrap();
    let memory = MemoryStore::default();
    for store in [&file as &dyn PeerStore, &memory] {
        let full: Vec<_> = (0..MAX_PENDING as u64).map(|n| pending(n, 1)).collect();
        store.write(&full).unwrap();
        let before = store.load().unwrap();
        let refused = |changes: &[Change]| match store.write(changes) {
            Err(StoreError::Record(error)) => error,
            other => panic!("{other:?}"),
        };
        let too_many = RecordError::TooMany(RecordTable::Pending);
        assert_eq!(refused(&[put_device(1), pending(8, 1)]), too_many);
        let too_long = RecordError::TooLong("request");
        assert_eq!(refused(&[put_device(1), pending(0, MAX_PENDING_REQUEST + 1)]), too_long);
        assert_eq!(store.load().unwrap(), before);
        // One that is answered makes room, in the same write too.
        let first = before.pending.keys().next().unwrap();
        store.write(&[pending(8, 1), Change::Remove(RecordKey::Pending(*first))]).unwrap();
        assert_eq!(refused(&[pending(9, 1)]), too_many);
        store
            .write(&[pending(8, MAX_PENDING_REQUEST), pending(9, 1), Change::Remove(pending(9, 1).key())])
            .unwrap();
        assert_eq!(store.load().unwrap().pending.len(), MAX_PENDING);
    }
    assert_eq!(file.load().unwrap(), memory.load().unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_holds_what_memory_holds(writes in prop::collection::vec((0..60u64, any::<bool>()), 1..20)) {
        let folder = Folder::new("model");
        let memory = MemoryStore::default();
        for (n, reopen) in writes {
            let store = FileStore::open(folder.file()).unwrap();
            for n in if reopen { n..n + 1 } else { n..n + 3 } {
                store.write(&changes(n)).unwrap();
                memory.write(&changes(n)).unwrap();
            }
            drop(store);
            prop_assert_eq!(FileStore::open(folder.file()).unwrap().load().unwrap(), memory.load().unwrap());
        }
    }
}

#[test]
fn a_second_opening_of_the_file_is_told_that_it_is_in_use() {
    let folder = Folder::new("twice");
    let first = FileStore::open(folder.file()).unwrap();
    assert!(matches!(FileStore::open(folder.file()), Err(StoreError::InUse)));
    #[cfg(unix)]
    {
        let link = folder.0.join("link");
        std::os::unix::fs::symlink(folder.file(), &link).unwrap();
        assert!(matches!(FileStore::open(link), Err(StoreError::InUse)));
    }
    first.write(&changes(1)).unwrap();
    drop(first);
    FileStore::open(folder.file()).unwrap();
}

#[test]
fn of_many_that_make_the_file_at_once_one_has_it_and_the_others_know() {
    for round in 0..20 {
        let folder = Folder::new(&format!("race-{round}"));
        let path = folder.file();
        let opened: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| FileStore::open(&path))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for store in &opened {
            match store {
                Ok(store) => store.write(&changes(1)).unwrap(),
                Err(error) => assert!(matches!(error, StoreError::InUse), "{error:?}"),
            }
        }
        assert_eq!(opened.iter().filter(|store| store.is_ok()).count(), 1);
        drop(opened);
        assert_eq!(FileStore::open(&path).unwrap().load().unwrap().users.len(), 1);
        assert_eq!(folder.names(), ["store"]);
    }
}

#[test]
fn a_file_of_something_else_is_refused_and_left_as_it_is() {
    let folder = Folder::new("else");
    let store = FileStore::open(folder.file()).unwrap();
    store.write(&changes(1)).unwrap();
    drop(store);
    let whole = fs::read(folder.file()).unwrap();
    for bytes in [
        &b""[..],
        b"{}",
        &[0; 100_000],
        &b"SQLite format 3\0".repeat(1000),
        &whole[..1],
        &whole[..100],
        &whole[..4096],
        &whole[1..],
    ] {
        fs::write(folder.file(), bytes).unwrap();
        let opened = FileStore::open(folder.file());
        assert!(matches!(opened, Err(StoreError::Foreign | StoreError::Damaged(_))), "{opened:?}");
        assert_eq!(fs::read(folder.file()).unwrap(), bytes);
    }
    assert!(matches!(FileStore::open(&folder.0), Err(StoreError::Foreign)));
    assert_eq!(folder.names(), ["store"]);
    let nowhere = FileStore::open(folder.0.join("no/such/folder"));
    assert!(matches!(nowhere, Err(StoreError::Io(ref e)) if e.kind() == std::io::ErrorKind::NotFound));
}

/// A write of 7 KiB.
fn large(n: u64) -> Change {
    let user = UserId::derive(&n.to_be_bytes());
    Change::Put(StoredRecord::Revocation(RevocationRecord { user, serial: n, list: vec![7; 7000] }))
}

/// Writes until the disk is full. The store holds what it held, then and after a restart, and writes again when there
/// is room.
fn fills_up(path: &std::path::Path, make_room: impl FnOnce()) {
    let store = FileStore::open(path).unwrap();
    let mut written = 0;
    let error = loop {
        match store.write(&[large(written), put_device(written)]) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1000, "the disk has no end");
    };
    assert!(matches!(error, StoreError::Full), "{error:?}");
    assert!(written > 0);
    for _ in 0..3 {
        let records = store.load().unwrap();
        assert_eq!((records.devices.len() as u64, records.revocations.len() as u64), (written, written));
        assert!(matches!(store.write(&[large(written), large(written + 1)]), Err(StoreError::Full)));
    }
    // More than the engine holds in memory.
    let many: Vec<_> = (0..200).map(large).collect();
    assert!(matches!(store.write(&many), Err(StoreError::Full)));
    assert_eq!(store.load().unwrap().revocations.len() as u64, written);
    assert!(matches!(FileStore::open(path), Err(StoreError::InUse)), "it kept its lock");
    make_room();
    for n in written..written + 5 {
        store.write(&[large(n), put_device(n)]).unwrap();
    }
    let records = store.load().unwrap();
    assert_eq!(records.devices.len() as u64, written + 5);
    drop(store);
    assert_eq!(FileStore::open(path).unwrap().load().unwrap(), records);
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use support::{given_path, passes, skip};

    fn is_root() -> bool {
        // SAFETY: the call takes nothing and cannot fail.
        unsafe { libc::geteuid() == 0 }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn permit(path: &Path, mode: u32) {
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn only_its_owner_may_read_the_file_from_its_beginning() {
        let folder = Folder::new("private");
        // Left by a process that was killed, under a looser mask.
        let part = folder.0.join("store.peers-part");
        fs::write(&part, "short").unwrap();
        permit(&part, 0o666);
        let store = FileStore::open(folder.file()).unwrap();
        assert_eq!(mode(&folder.file()), 0o600);
        store.write(&changes(1)).unwrap();
        drop(store);
        FileStore::open(folder.file()).unwrap().write(&changes(2)).unwrap();
        assert_eq!((mode(&folder.file()), folder.names()), (0o600, vec!["store".to_owned()]));
    }

    #[test]
    fn no_file_is_made_where_a_link_leads() {
        let folder = Folder::new("links");
        let elsewhere = folder.0.join("elsewhere");
        symlink(&elsewhere, folder.file()).unwrap();
        assert!(matches!(FileStore::open(folder.file()), Err(StoreError::Io(_))));
        fs::remove_file(folder.file()).unwrap();
        symlink(&elsewhere, folder.0.join("store.peers-part")).unwrap();
        assert!(matches!(FileStore::open(folder.file()), Err(StoreError::Io(_))));
        assert!(!elsewhere.exists() && !folder.file().exists());
        let pipe = folder.0.join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(matches!(FileStore::open(pipe), Err(StoreError::Foreign)));
        assert!(matches!(FileStore::open("/dev/null"), Err(StoreError::Foreign)));
    }

    #[test]
    fn another_process_is_told_that_the_file_is_in_use() {
        let folder = Folder::new("processes");
        let store = FileStore::open(folder.file()).unwrap();
        passes("unix::child_finds_the_file_in_use", &folder.file());
        drop(store);
        passes("unix::child_opens_the_file", &folder.file());
    }

    #[test]
    fn child_finds_the_file_in_use() {
        let Some(path) = given_path() else { return };
        assert!(matches!(FileStore::open(path), Err(StoreError::InUse)));
    }

    #[test]
    fn child_opens_the_file() {
        let Some(path) = given_path() else { return };
        FileStore::open(path).unwrap();
    }

    // A process that is being started has the descriptors of this one until it runs its program.
    #[test]
    fn a_store_that_was_closed_opens_again_while_processes_are_started() {
        let folder = Folder::new("started");
        let opened = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !opened.load(Ordering::Relaxed) {
                    Command::new("true").status().unwrap();
                }
            });
            let failed = (0..200).find_map(|_| FileStore::open(folder.file()).err());
            opened.store(true, Ordering::Relaxed);
            assert!(failed.is_none(), "{failed:?}");
        });
    }

    #[test]
    fn a_folder_or_file_that_may_not_be_written_is_a_typed_error() {
        let folder = Folder::new("read-only");
        let file = folder.0.join("closed");
        drop(FileStore::open(&file).unwrap());
        permit(&file, 0o444);
        permit(&folder.0, 0o555);
        passes("unix::child_may_not_write", &folder.0);
        permit(&folder.0, 0o755);
        assert_eq!(folder.names(), ["closed"]);
    }

    #[test]
    fn child_may_not_write() {
        let Some(folder) = given_path() else { return };
        // Modes do not bind root.
        // SAFETY: the call takes no memory; this process does nothing else.
        assert!(!is_root() || unsafe { libc::setuid(65534) } == 0);
        for name in ["new", "closed"] {
            let opened = FileStore::open(folder.join(name));
            assert!(matches!(opened, Err(StoreError::ReadOnly)), "{name}: {opened:?}");
        }
    }

    /// A small file system of a test's own.
    struct Disk(PathBuf);

    impl Drop for Disk {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(&self.0).status();
        }
    }

    #[test]
    fn a_full_disk_is_a_typed_error_and_the_store_lives_on() {
        if !is_root() {
            return skip("a disk of its own takes root");
        }
        let folder = Folder::new("full");
        let mount = ["-t", "tmpfs", "-o", "size=512k", "tmpfs"];
        if !Command::new("mount").args(mount).arg(&folder.0).status().unwrap().success() {
            return skip("this machine mounts no disk");
        }
        let disk = Disk(folder.0.clone());
        let other = folder.0.join("other");
        fs::write(&other, vec![1; 200 * 1024]).unwrap();
        fills_up(&folder.file(), || fs::remove_file(&other).unwrap());
        // There is no room for a new file either, and nothing is left of it.
        while fs::write(&other, vec![1; 1 << 20]).is_ok() {}
        let before = folder.names();
        assert!(matches!(FileStore::open(folder.0.join("second")), Err(StoreError::Full)));
        assert_eq!(folder.names(), before);
        drop(disk);
    }

    #[test]
    fn a_limit_on_the_file_is_as_a_full_disk() {
        let folder = Folder::new("limit");
        passes("unix::child_fills_up_to_its_limit", &folder.file());
    }

    #[test]
    fn child_fills_up_to_its_limit() {
        let Some(path) = given_path() else { return };
        let limit = |bytes| {
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
            // SAFETY: `limit` lives until the call returns; ignoring a signal runs no code.
            unsafe {
                libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
                assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
            }
        };
        limit(300 * 1024);
        fills_up(&path, || limit(libc::RLIM_INFINITY));
    }
}
