//! Authenticated, end-to-end encrypted sessions between phones.
//!
//! ```text
//!  Client ── session(device) ──> Session: send, recv, call, open_stream
//!    │                              │ one sans-IO machine, one driver task
//!    │ Events                       │
//!    │                           paths: webrtc │ relay │ lan │ internet │ custom
//!  relays: signaling, presence, last-resort path
//! ```
//!
//! A [`Client`] is this device; a [`Session`] is what it shares with another one, across any number of connections.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod builder;
mod client;
pub mod clock;
mod engine;
mod error;
mod event;
mod handshake;
mod identity;
mod incoming;
mod listen;
mod memory;
pub mod random;
mod relay_address;
pub mod relay_client;
mod relays;
mod resolver;
mod rtc_task;
mod runtime;
mod session;
pub mod transport;

pub use builder::{ClientBuilder, Transports};
pub use client::Client;
pub use error::Error;
pub use event::{ClientState, Event, Events};
pub use identity::{Identity, SEED_LEN};
pub use incoming::{Incoming, TrustPolicy};
pub use peers_proto::end_reason::EndReason;
pub use peers_proto::id::{ConnectionId, DeviceId, GroupId, IdError, UserId};
pub use peers_proto::network::{AppState, Medium, NetworkSnapshot};
pub use peers_proto::path::{Level as QualityLevel, PathInfo, Quality, Route, Status, Tier};
pub use peers_proto::session::{FailureCode, StreamError};
pub use peers_proto::transport_kind::TransportKind as PathKind;
pub use peers_proto::trust::TrustLevel;
pub use peers_store::{FileStore, MemoryStore, NewFile, PeerStore, StoreError};
pub use relay_address::RelayAddress;
pub use relay_client::{Disconnect, RelayState, RelayStatus};
pub use session::{
    BulkMark, CallBuilder, InboundRequest, InboundStream, Message, RecvStream, RequestError, RequestHandler,
    SendStream, Session,
};
