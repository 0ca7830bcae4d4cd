//! Golden bytes in `tests/vectors/`, which other languages read too. If one of these fails, the wire format changed.
//!
//! `PEERS_BLESS=1` writes the files anew; look at the difference before you commit it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod codec;
mod files;
mod wire;
