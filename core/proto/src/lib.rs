//! Every decision of the Peers SDK as sans-IO state machines.
//!
//! Nothing here opens a socket, reads a clock or asks the operating system for randomness: inputs are arguments
//! (`handle_*(input, now)`), outputs are polled (`poll_output()`, `poll_timeout()`). `cargo xtask layers` holds the
//! order in which modules may import each other.

pub mod limits;
pub mod random;
pub mod timing;

pub mod bucket;
pub mod id;
pub mod time;
pub mod transport_kind;

mod reader;

pub mod certificate;
pub mod keys;
pub mod trust;

pub mod codec;

pub mod seal;

mod noise;

pub mod handshake;

pub mod envelope;

pub mod signaling;

pub mod dial;
pub mod end_reason;
pub mod multipath;
pub mod network;
pub mod path;
pub mod session;

pub mod engine;
