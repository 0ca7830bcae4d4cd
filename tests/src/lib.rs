//! Tests that span crates: vectors, interop, hostile relays, lab.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
