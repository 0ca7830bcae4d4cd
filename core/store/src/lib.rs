//! The memory of a device: the devices and users it knows, how far it trusts them, and requests that wait.
//!
//! ```text
//!  PeerStore ── load() ──> Records: devices, users, revocation lists, pending requests
//!      │     <── write(&[Change]): put a record, remove a key; all or nothing
//!      ├── MemoryStore   forgets at its end
//!      └── FileStore     one file; a write is on the disk when it returns (ADR 12)
//! ```
//!
//! A store decides nothing. It keeps records within their bounds and gives them back; the machines of `peers-proto`
//! judge by them. All functions block for as long as the disk takes.

pub mod limits;

mod error;
mod file_store;
mod files;
mod memory_store;
mod record;
mod records;
mod store;

pub use error::StoreError;
pub use file_store::FileStore;
pub use files::NewFile;
pub use memory_store::MemoryStore;
pub use record::{
    DeviceRecord, GivenLevel, PendingRecord, RecordError, RecordKey, RecordTable, RevocationRecord,
    StoredRecord, UserRecord,
};
pub use records::{Change, Records};
pub use store::PeerStore;
