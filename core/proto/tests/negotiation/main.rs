//! Negotiations in virtual time, from a seed: everything that a relay and two networks can do to them.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod attempts;
mod devices;
mod random;
mod schedule;
