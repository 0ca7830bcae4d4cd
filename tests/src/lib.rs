//! Tests that span crates: interop, hostile relays, lab. And the benchmark of the whole.

pub mod bench;
pub mod device;
pub mod hostile_relay;
pub mod party;
pub mod process;

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
