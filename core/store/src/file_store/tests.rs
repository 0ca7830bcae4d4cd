use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;

use peers_proto::id::{ConnectionId, DeviceId, UserId};
use peers_proto::random::SplitMix;
use peers_proto::time::UnixTime;
use peers_proto::trust::TrustLevel;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::draft::{Draft, Step};
use super::tables::rows;
use super::*;
use crate::record::{
    DeviceRecord, GivenLevel, PendingRecord, RecordKey, RecordTable, RevocationRecord, StoredRecord,
    UserRecord,
};

/// A folder of a test, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("peers-file-store-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("store")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The changes of a test's nth write: every kind of record is put, replaced and removed again.
fn changes(n: u64) -> Vec<Change> {
    let level = GivenLevel { level: TrustLevel::Untrusted, since: UnixTime(n) };
    let device = DeviceId::derive(&(n % 20).to_be_bytes());
    let user = UserId::derive(&(n % 7).to_be_bytes());
    let mut bytes = [0; 16];
    bytes[0] = (n % 5) as u8;
    let connection = ConnectionId::from_bytes(bytes);
    let certificate = Some(vec![n as u8; (n % 300) as usize]);
    let device_record = DeviceRecord { level: Some(level), certificate, ..DeviceRecord::new(device) };
    let list = vec![n as u8; (n * 37 % 9000) as usize];
    let pending = PendingRecord { connection, device, request: vec![n as u8; 4096], received: UnixTime(n) };
    vec![
        Change::Put(StoredRecord::Device(device_record)),
        if n.is_multiple_of(3) {
            Change::Remove(RecordKey::User(user))
        } else {
            Change::Put(StoredRecord::User(UserRecord { user, level }))
        },
        Change::Put(StoredRecord::Revocation(RevocationRecord { user, serial: n, list })),
        if n.is_multiple_of(2) {
            Change::Remove(RecordKey::Pending(connection))
        } else {
            Change::Put(StoredRecord::Pending(pending))
        },
    ]
}

/// The states before the first write and after each.
fn states(writes: u64) -> Vec<Records> {
    let mut states = vec![Records::default()];
    for n in 0..writes {
        let mut next = states[n as usize].clone();
        changes(n).iter().for_each(|change| next.apply(change));
        states.push(next);
    }
    states
}

/// A closed store after some writes.
fn written(folder: &Folder, writes: u64) -> Vec<u8> {
    let _ = fs::remove_file(folder.file());
    let store = FileStore::open(folder.file()).unwrap();
    (0..writes).for_each(|n| store.write(&changes(n)).unwrap());
    drop(store);
    fs::read(folder.file()).unwrap()
}

/// A store of a version that has one table, of devices and the numbers of their levels.
fn version_0(folder: &Folder, levels: &[(DeviceId, i8)]) {
    let database = Database::create(folder.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut about = transaction.open_table(ABOUT).unwrap();
        about.insert(&b"version"[..], &0u32.to_be_bytes()[..]).unwrap();
        let mut table = transaction.open_table(LEVELS).unwrap();
        for (device, level) in levels {
            table.insert(&device.as_bytes()[..], &level.to_be_bytes()[..]).unwrap();
        }
    }
    transaction.commit().unwrap();
}

const ABOUT: TableDefinition<&[u8], &[u8]> = TableDefinition::new("peers store");
const LEVELS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("levels");

/// Makes devices of the levels; one that no build knows is damage.
fn levels_become_devices(transaction: &WriteTransaction) -> Result<(), StoreError> {
    for table in RecordTable::ALL {
        transaction.open_table(rows(table))?;
    }
    let levels = transaction.open_table(LEVELS)?;
    let mut devices = transaction.open_table(rows(RecordTable::Devices))?;
    for row in levels.iter()? {
        let (device, level) = row?;
        let mut record = vec![1, 2];
        record.extend_from_slice(level.value());
        record.extend_from_slice(&[0; 17]);
        devices.insert(device.value(), &record[..])?;
    }
    Ok(())
}

fn drop_levels(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.delete_table(LEVELS)?;
    Ok(())
}

#[test]
fn a_file_of_version_0_is_brought_to_the_latest_by_every_migration_in_turn() {
    let folder = Folder::new("migrated");
    let latest = Schema(&[levels_become_devices, drop_levels]);
    let devices = [1, 2].map(|n: u8| DeviceId::derive(&[n]));
    version_0(&folder, &[(devices[0], -20), (devices[1], 50)]);
    let before = fs::read(folder.file()).unwrap();

    let store = FileStore::open_as(&folder.file(), latest).unwrap();
    let records = store.load().unwrap();
    let level = |device| records.devices[device].level.unwrap().level;
    assert_eq!((level(&devices[0]), level(&devices[1])), (TrustLevel::Malicious, TrustLevel::Trusted));
    drop(store);
    assert_eq!(fs::read(folder.file()).unwrap(), before, "nothing was written yet");

    let store = FileStore::open_as(&folder.file(), latest).unwrap();
    store.write(&[Change::Remove(RecordKey::Device(devices[1]))]).unwrap();
    drop(store);
    let database = Database::open(folder.file()).unwrap();
    let transaction = database.begin_read().unwrap();
    let version = transaction.open_table(ABOUT).unwrap().get(&b"version"[..]).unwrap().unwrap();
    assert_eq!(version.value(), 2u32.to_be_bytes());
    assert!(transaction.open_table(LEVELS).is_err());
    drop((version, transaction, database));
    let records = FileStore::open_as(&folder.file(), latest).unwrap().load().unwrap();
    assert_eq!(records.devices.keys().collect::<Vec<_>>(), [&devices[0]]);
}

#[test]
fn a_migration_that_fails_leaves_the_file_as_it_was() {
    let folder = Folder::new("not-migrated");
    version_0(&folder, &[(DeviceId::derive(b"a"), 99)]);
    let before = fs::read(folder.file()).unwrap();
    let opened = FileStore::open_as(&folder.file(), Schema(&[levels_become_devices]));
    assert!(matches!(opened, Err(StoreError::Damaged(_))), "{opened:?}");
    assert_eq!(fs::read(folder.file()).unwrap(), before);
}

#[test]
fn an_assert_of_the_engine_is_an_error() {
    fn fails(_: &WriteTransaction) -> Result<(), StoreError> {
        panic!("as an assert of the engine does")
    }
    let folder = Folder::new("assert");
    version_0(&folder, &[]);
    let opened = FileStore::open_as(&folder.file(), Schema(&[fails]));
    assert!(matches!(opened, Err(StoreError::Damaged(_))), "{opened:?}");
    FileStore::open_as(&folder.file(), Schema(&[levels_become_devices])).unwrap();
}

#[test]
fn a_file_of_a_newer_version_is_refused_untouched() {
    let folder = Folder::new("newer");
    fn nothing(_: &WriteTransaction) -> Result<(), StoreError> {
        Ok(())
    }
    written(&folder, 5);
    let newer = Schema(&[nothing, nothing]);
    let store = FileStore::open_as(&folder.file(), newer).unwrap();
    store.write(&changes(6)).unwrap();
    let killed = fs::read(folder.file()).unwrap();
    drop(store);
    let closed = fs::read(folder.file()).unwrap();
    assert_ne!(killed, closed, "one of them needs repair");
    for file in [killed, closed] {
        fs::write(folder.file(), &file).unwrap();
        let opened = FileStore::open(folder.file());
        assert!(matches!(opened, Err(StoreError::Newer { found: 2, known: 1 })), "{opened:?}");
        assert_eq!(fs::read(folder.file()).unwrap(), file);
    }
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn a_store_that_is_only_read_leaves_its_file_as_it_was() {
    let folder = Folder::new("read");
    let closed = written(&folder, 10);
    let store = FileStore::open(folder.file()).unwrap();
    store.write(&changes(10)).unwrap();
    let killed = fs::read(folder.file()).unwrap();
    drop(store);
    let states = states(11);
    for (file, state) in [(closed, &states[10]), (killed, &states[11])] {
        fs::write(folder.file(), &file).unwrap();
        assert_eq!(&FileStore::open(folder.file()).unwrap().load().unwrap(), state);
        assert_eq!(fs::read(folder.file()).unwrap(), file);
    }
}

#[test]
fn another_programs_database_is_foreign_and_keeps_its_bytes() {
    let folder = Folder::new("foreign");
    let database = Database::create(folder.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(rows(RecordTable::Devices)).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let before = fs::read(folder.file()).unwrap();
    assert!(matches!(FileStore::open(folder.file()), Err(StoreError::Foreign)));
    assert_eq!(fs::read(folder.file()).unwrap(), before);
}

/// Changes bytes as bad memory, bad disks and bad programs do.
fn damage(bytes: &mut Vec<u8>, random: &mut SplitMix) {
    let len = bytes.len() as u64;
    match random.next() % 5 {
        0 => bytes[(random.next() % len) as usize] ^= 1 << (random.next() % 8),
        1 => bytes[(random.next() % 4096) as usize] = random.next() as u8,
        2 => {
            let start = (random.next() % (len / 4096) * 4096) as usize;
            bytes[start..start + 4096].fill_with(|| random.next() as u8);
        }
        3 => {
            let start = (random.next() % (len / 512) * 512) as usize;
            bytes[start..start + 512].fill(0);
        }
        _ => bytes.truncate((random.next() % len) as usize),
    }
}

#[test]
fn a_damaged_file_is_a_typed_error_untouched_or_has_lost_nothing() {
    let folder = Folder::new("damaged");
    let states = states(41);
    let closed = written(&folder, 40);
    let store = FileStore::open(folder.file()).unwrap();
    store.write(&changes(40)).unwrap();
    let killed = fs::read(folder.file()).unwrap();
    drop(store);
    let mut random = SplitMix::new(13);
    let (mut refused, mut whole) = (0, 0);
    for round in 0..600 {
        let (file, state) = if round % 2 == 0 { (&closed, &states[40]) } else { (&killed, &states[41]) };
        let mut bytes = file.clone();
        damage(&mut bytes, &mut random);
        fs::write(folder.file(), &bytes).unwrap();
        match FileStore::open(folder.file()).and_then(|store| store.load()) {
            Ok(records) => {
                assert_eq!(&records, state, "round {round}");
                whole += 1;
            }
            Err(StoreError::Damaged(_) | StoreError::Foreign) => refused += 1,
            Err(other) => panic!("round {round}: {other:?}"),
        }
        assert_eq!(fs::read(folder.file()).unwrap(), bytes, "round {round}");
    }
    assert!(refused > 200 && whole > 50, "{refused} refused, {whole} whole");
}

/// The disk after a loss of power: everything up to the last sync, and some of what came after it, in sectors.
fn after_power_loss(base: &[u8], steps: &[Step], random: &mut SplitMix) -> Vec<u8> {
    let synced = steps.iter().rposition(|step| matches!(step, Step::Sync)).unwrap_or(0);
    let mut disk = base.to_vec();
    for (index, step) in steps.iter().enumerate() {
        let lucky = |random: &mut SplitMix| index < synced || random.next().is_multiple_of(2);
        match step {
            Step::Write(offset, bytes) => {
                for (sector, part) in bytes.chunks(512).enumerate() {
                    if lucky(random) {
                        let start = *offset as usize + sector * 512;
                        let len = disk.len().max(start + part.len());
                        disk.resize(len, 0);
                        disk[start..start + part.len()].copy_from_slice(part);
                    }
                }
            }
            Step::SetLen(len) if lucky(random) => disk.resize(*len as usize, 0),
            Step::SetLen(_) | Step::Sync => {}
        }
    }
    disk
}

#[test]
fn a_disk_that_loses_power_keeps_every_write_that_had_returned() {
    const WRITES: u64 = 30;
    let folder = Folder::new("power");
    let base = written(&folder, 0);
    let states = states(WRITES);
    // The draft keeps what the engine writes, and when it syncs.
    let tables = Tables::open(Arc::new(File::open(folder.file()).unwrap()), schema::SCHEMA).unwrap();
    let returned: Vec<_> = (0..WRITES).map(|n| tables.write_kept(&changes(n))).collect();
    let steps = tables.steps();
    assert_eq!(returned.last(), Some(&steps.len()));

    let mut random = SplitMix::new(7);
    for round in 0..600 {
        let cut = (random.next() % (steps.len() as u64 + 1)) as usize;
        let disk = after_power_loss(&base, &steps[..cut], &mut random);
        fs::write(folder.file(), disk).unwrap();
        let records = FileStore::open(folder.file()).unwrap().load().unwrap();
        let writes = returned.iter().filter(|end| **end <= cut).count();
        let next = states.get(writes + 1);
        assert!(records == states[writes] || Some(&records) == next, "round {round}, {writes} writes");
    }
}

#[test]
fn a_draft_shows_the_file_as_it_will_be() {
    let folder = Folder::new("draft");
    let mut random = SplitMix::new(3);
    for round in 0..200 {
        fs::write(folder.file(), vec![1; (random.next() % 40) as usize]).unwrap();
        let file = Arc::new(fs::OpenOptions::new().read(true).write(true).open(folder.file()).unwrap());
        let draft = Draft::new(Arc::clone(&file));
        let before = fs::read(folder.file()).unwrap();
        for _ in 0..random.next() % 6 {
            let offset = random.next() % 40;
            match random.next() % 3 {
                0 => redb::StorageBackend::set_len(&draft, offset).unwrap(),
                1 => redb::StorageBackend::sync_data(&draft).unwrap(),
                _ => {
                    let bytes = vec![random.next() as u8; (random.next() % 30) as usize];
                    redb::StorageBackend::write(&draft, offset, &bytes).unwrap();
                }
            }
        }
        let len = redb::StorageBackend::len(&draft).unwrap();
        let from = random.next() % (len + 1);
        let mut shown = vec![9; (len - from) as usize];
        redb::StorageBackend::read(&draft, from, &mut shown).unwrap();
        assert!(redb::StorageBackend::read(&draft, from, &mut vec![9; shown.len() + 1]).is_err());
        assert_eq!(fs::read(folder.file()).unwrap(), before);
        draft.publish().unwrap();
        let after = fs::read(folder.file()).unwrap();
        assert_eq!(shown, after[from as usize..], "round {round}");
        assert_eq!(after.len() as u64, len);
    }
}
