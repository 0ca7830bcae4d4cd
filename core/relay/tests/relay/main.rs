//! The relay on real sockets, from the devices' side.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; helpers outside #[test] are tests too"
)]

mod device;

mod memory;
mod operation;
mod presence;
mod registration;
mod relaying;
mod routing;
mod strangers;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;
