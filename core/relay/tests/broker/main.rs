//! The broker in virtual time: lifetimes, bounds, and what it does when they are reached.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking; helpers outside #[test] are tests too"
)]

mod world;

mod access;
mod consent;
mod knocks;
mod offline_queue;
mod output;
mod shares;
mod sockets;
