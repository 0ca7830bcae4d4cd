//! The Peers SDK for Kotlin and Swift: what of the crate `peers` crosses the language border, and how.
//!
//! ```text
//!  Kotlin app.peers.sdk     Swift Peers          façades: suspend, Flow; async, AsyncSequence
//!            |                   |
//!      generated code      generated code        never public, never committed
//!            +---------+---------+
//!   PeersClient · Session · Stream · Incoming · Responder             handles of this crate
//!                      |
//!               own tokio runtime                 2 workers, one per client, gone when `shutdown` returns
//!                      |
//!                 crate `peers`                   knows nothing of UniFFI
//! ```
//!
//! - Inbound things cross in batches that one consumer pulls: `*_ready` waits, `take_*` takes without waiting. Taking is
//!   synchronous, so a cancelled wait never loses what had arrived.
//! - Messages and bytes of streams cross by the plain functions of [`lane`] as long as nothing has to wait.
//! - Exported futures are polled on the caller's thread, often the one that draws. They only await a task that runs on
//!   the client's own runtime; dropping them ends the task.
//! - Swift's generated code ignores task cancellation; a [`Cancellation`] passed along ends the operation there.
//! - Calls into the app run on the runtime's blocking threads, and neither their errors nor their panics come further.
//! - The library logs to the client whose thread it is, never to the process.
//! - Plain types of the core cross as they are (`remote.rs`), ids and addresses as text; the façades wrap them.
//! - After `shutdown` everything returns [`PeersError::Closed`].

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod cancellation;
mod client;
mod config;
mod error;
mod event;
mod handler;
mod inbox;
pub mod lane;
mod log;
mod path;
mod relays;
mod remote;
mod runtime;
mod session;
mod stream;

pub use cancellation::Cancellation;
pub use client::PeersClient;
pub use config::{
    ClientConfig, DeviceAddress, GroupMember, IceServer, IdentitySource, RelayEndpoint, SecretStore,
    TrustPolicy, TrustedDevice, another_device,
};
pub use error::{CallbackError, PeersError};
pub use event::{Event, Incoming};
pub use handler::{InboundRequest, RequestHandler, Responder};
pub use log::{LogLevel, LogRecord};
pub use path::{PathInfo, Quality};
pub use relays::{ClientState, RelayProblem, RelayState, RelayStatus};
pub use remote::{
    AppState, DeviceId, EndReason, FailureCode, GroupId, Medium, NetworkSnapshot, PathKind, PathTier,
    QualityLevel, SessionStatus, TrustLevel, UserId,
};
pub use session::{CallRequest, Message, Session};
pub use stream::Stream;

uniffi::setup_scaffolding!();
