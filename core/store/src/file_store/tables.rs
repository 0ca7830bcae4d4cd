//! The tables of a file, which the engine reads and writes.

use std::fs::File;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use redb::{
    Builder, CommitError, Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable,
    ReadableTableMetadata, StorageError, TableDefinition, TableError, TransactionError,
};

use super::draft::Draft;
use super::schema::{self, Schema};
use crate::error::StoreError;
use crate::record::{RecordError, RecordKey, RecordTable, StoredRecord};
use crate::records::{Change, Records};

/// A table: its rows have a name and bytes. One type for all tables keeps the engine's code small.
pub(super) type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// The engine's name for a table.
pub(super) const fn rows(table: RecordTable) -> Rows {
    TableDefinition::new(match table {
        RecordTable::Devices => "devices",
        RecordTable::Users => "users",
        RecordTable::Revocations => "revocations",
        RecordTable::Pending => "pending",
    })
}

/// Memory for pages; the engine's own choice is a gigabyte. Records are read once, at the start.
const CACHE: usize = 256 * 1024;

/// The engine with the file open, and the file as the engine sees it.
#[derive(Debug)]
pub(super) struct Tables {
    database: Database,
    draft: Draft,
}

impl Tables {
    /// Writes an empty store into an empty file.
    pub(super) fn create(file: Arc<File>, schema: Schema) -> Result<(), StoreError> {
        guarded(|| {
            let database =
                Builder::new().set_cache_size(CACHE).create_with_backend(Draft::published(file))?;
            in_two_phases(&database, |transaction| schema.migrate(transaction, 0))?;
            Ok(database.close()?)
        })
    }

    /// Opens a store and reads every page and every record of it. The file stays as it is.
    pub(super) fn open(file: Arc<File>, schema: Schema) -> Result<Self, StoreError> {
        let draft = Draft::new(file);
        guarded(|| {
            let database = Builder::new()
                .set_cache_size(CACHE)
                .set_check_integrity_on_open(true)
                .create_with_backend(draft.clone())?;
            let version = schema::version(&database.begin_read()?)?;
            if version > schema.version() {
                return Err(StoreError::Newer { found: version, known: schema.version() });
            }
            if version < schema.version() {
                in_two_phases(&database, |transaction| schema.migrate(transaction, version))?;
            }
            read(&database.begin_read()?)?;
            Ok(Self { database, draft })
        })
    }

    /// Reads all records.
    pub(super) fn load(&self) -> Result<Records, StoreError> {
        guarded(|| read(&self.database.begin_read()?))
    }

    /// Makes changes in one transaction, which is on the disk when this returns.
    pub(super) fn write(&self, changes: &[Change]) -> Result<(), StoreError> {
        let rows: Vec<_> = changes.iter().map(row).collect::<Result<_, RecordError>>()?;
        self.draft.publish()?;
        self.commit(&rows)
    }

    fn commit(&self, changed: &[Row]) -> Result<(), StoreError> {
        guarded(|| {
            in_two_phases(&self.database, |transaction| {
                for table in RecordTable::ALL {
                    let mut changed = changed.iter().filter(|(key, _)| key.table() == table).peekable();
                    if changed.peek().is_none() {
                        continue;
                    }
                    let mut found = transaction.open_table(rows(table))?;
                    let before = found.len()?;
                    for (key, value) in changed {
                        match value {
                            Some(value) => drop(found.insert(key.as_bytes(), &value[..])?),
                            None => drop(found.remove(key.as_bytes())?),
                        }
                    }
                    table.check_count(before as usize, found.len()? as usize)?;
                }
                Ok(())
            })
        })
    }

    /// Ends the engine as if the process had been killed. The next one repairs what this one left.
    pub(super) fn abandon(self) {
        self.draft.shut();
        // Its errors say that the draft is shut.
        let _ = guarded(|| {
            drop(self.database);
            Ok(())
        });
    }
}

#[cfg(test)]
impl Tables {
    /// Makes changes in the draft alone. Returns the number of its steps.
    pub(super) fn write_kept(&self, changes: &[Change]) -> usize {
        let rows: Vec<_> = changes.iter().map(|change| row(change).unwrap()).collect();
        self.commit(&rows).unwrap();
        self.steps().len()
    }

    /// The steps that wait in the draft.
    pub(super) fn steps(&self) -> Vec<super::draft::Step> {
        self.draft.steps()
    }
}

/// A row to put, or, without bytes, to remove.
type Row = (RecordKey, Option<Vec<u8>>);

fn row(change: &Change) -> Result<Row, RecordError> {
    let value = match change {
        Change::Put(record) => Some(record.encode()?),
        Change::Remove(_) => None,
    };
    Ok((change.key(), value))
}

fn read(transaction: &ReadTransaction) -> Result<Records, StoreError> {
    let mut records = Records::default();
    for table in RecordTable::ALL {
        for row in transaction.open_table(rows(table))?.iter()? {
            let (name, value) = row?;
            let record = RecordKey::from_bytes(table, name.value())
                .and_then(|key| StoredRecord::decode(key, value.value()))
                .map_err(|e| StoreError::Damaged(e.to_string()))?;
            records.apply(&Change::Put(record));
        }
    }
    Ok(records)
}

/// Runs a transaction. Two phases: of a damaged file the engine would otherwise take the state before the last
/// transaction, and a device that was blocked in it would be let in.
fn in_two_phases(
    database: &Database,
    change: impl FnOnce(&redb::WriteTransaction) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    change(&transaction)?;
    Ok(transaction.commit()?)
}

/// Calls the engine. Its asserts about damaged files become errors.
fn guarded<T>(call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err(StoreError::Damaged("the engine has failed".into())))
}

impl From<StorageError> for StoreError {
    fn from(error: StorageError) -> Self {
        match error {
            // A page that the file has no bytes for.
            StorageError::Io(e) if e.kind() == ErrorKind::UnexpectedEof => Self::Damaged(e.to_string()),
            // The engine's word for a file that is none of its own.
            StorageError::Io(e) if e.kind() == ErrorKind::InvalidData => Self::Foreign,
            StorageError::Io(e) => e.into(),
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Storage(e) => e.into(),
            DatabaseError::DatabaseAlreadyOpen => Self::InUse,
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl From<TransactionError> for StoreError {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Storage(e) => e.into(),
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl From<TableError> for StoreError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(e) => e.into(),
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl From<CommitError> for StoreError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(e) => e.into(),
            error => Self::Damaged(error.to_string()),
        }
    }
}
