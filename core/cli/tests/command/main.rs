//! The `peers` command as its users meet it: processes of their own, on real sockets.

#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod end;
mod files;
mod json;
mod pipe;
mod reasons;
mod settings;
mod shell;
mod status;
mod store;
mod support;
