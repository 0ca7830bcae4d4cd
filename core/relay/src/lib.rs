//! The self-hosted relay: signaling, offline queue, ICE server list, last-resort data path.
//!
//! ```text
//!   WebSocket ──> server (tasks, sockets) ──> Broker (every decision, sans-IO) ──> server ──> WebSocket
//! ```
//!
//! A relay can drop traffic, and nothing else: it stamps senders it has proof of, and everything between devices is
//! sealed by them. See `core/docs/relay.md` for running one.

mod broker;
mod config;
mod ice;
mod server;
mod websocket;

pub use broker::{Broker, Inbound, Outbound, Proof, Refused, SocketId, Stats};
pub use config::{AccessConfig, AccessRule, ConfigError, IceConfig, Limits, RelayConfig, TurnConfig};
pub use server::{Relay, StartError};
