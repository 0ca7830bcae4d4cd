//! The version of a file, and the way from each version to the next.

use redb::{TableDefinition, WriteTransaction};

use super::tables::{Rows, rows};
use crate::error::StoreError;
use crate::record::RecordTable;

/// The layout that a build reads and writes: a migration from every version before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schema(pub(super) &'static [Migration]);

/// Brings the tables of a file to the next version, inside one transaction.
pub(super) type Migration = fn(&WriteTransaction) -> Result<(), StoreError>;

/// The layout of this build. A change of a record's bytes, or of a table, is one migration more.
pub(super) const SCHEMA: Schema = Schema(&[make_tables]);

/// About the file itself. No other program has a table of this name, so it shows that a file is a store.
const ABOUT: Rows = TableDefinition::new("peers store");
const VERSION: &[u8] = b"version";

/// Version 0 is a file without tables.
fn make_tables(transaction: &WriteTransaction) -> Result<(), StoreError> {
    for table in RecordTable::ALL {
        transaction.open_table(rows(table))?;
    }
    Ok(())
}

impl Schema {
    /// The version of a file that this build writes.
    pub(super) const fn version(self) -> u32 {
        self.0.len() as u32
    }

    /// Brings the tables from a version to this build's.
    pub(super) fn migrate(self, transaction: &WriteTransaction, from: u32) -> Result<(), StoreError> {
        self.0[from as usize..].iter().try_for_each(|migration| migration(transaction))?;
        let mut about = transaction.open_table(ABOUT)?;
        about.insert(VERSION, &self.version().to_be_bytes()[..])?;
        Ok(())
    }
}

/// The version of a file.
pub(super) fn version(transaction: &redb::ReadTransaction) -> Result<u32, StoreError> {
    let about = match transaction.open_table(ABOUT) {
        Ok(about) => about,
        Err(redb::TableError::Storage(e)) => return Err(e.into()),
        Err(_) => return Err(StoreError::Foreign),
    };
    let version = about.get(VERSION)?.ok_or(StoreError::Foreign)?;
    version.value().try_into().map(u32::from_be_bytes).map_err(|_| StoreError::Foreign)
}
