//! The memory of a device: the devices and users it knows, how far it trusts them, and requests that wait.
//!
//! ```text
//!  PeerStore ── load() ──> Records: devices, users, revocation lists, pending requests
//!      │     <── write(&[Change]): put a record, remove a key; all or nothing
//!      └── MemoryStore   forgets at its end
//! ```
//!
//! A store decides nothing. It keeps records within their bounds and gives them back; the machines of `peers-proto` judge by
//! them.

pub mod limits;

mod error;
mod memory_store;
mod record;
mod records;
mod store;

pub use error::StoreError;
pub use memory_store::MemoryStore;
pub use record::{
    DeviceRecord, GivenLevel, PendingRecord, RecordError, RecordKey, RecordTable, RevocationRecord,
    StoredRecord, UserRecord,
};
pub use records::{Change, Records};
pub use store::PeerStore;
