//! Tests that span crates: vectors, interop, hostile relays, lab.
