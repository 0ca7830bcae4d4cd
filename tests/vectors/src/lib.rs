//! Golden bytes in this folder, which other languages read too. If a check fails, the wire format changed.
//!
//! `PEERS_BLESS=1` writes the files anew; look at the difference before you commit it. The checks are tests, and a library that
//! runs on an emulated phone, where no test runner is.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a check fails by panicking")]

mod codec;
mod files;
mod wire;

use std::panic::catch_unwind;

/// Each check panics when it fails.
const CHECKS: [fn(); 8] = [
    codec::messagepack_of_javascript_is_understood,
    codec::brotli_of_node_is_understood_whatever_its_settings,
    codec::window_that_rfc_7932_allows_but_no_object_needs_is_refused,
    codec::stored_bytes_of_this_implementation_are_still_understood,
    wire::ids_and_keys,
    wire::certificate_and_revocation_list,
    wire::sealed_envelope,
    wire::handshake_transcript,
];

/// The number of checks.
#[unsafe(no_mangle)]
pub extern "C" fn peers_vectors_count() -> i32 {
    CHECKS.len() as i32
}

/// Runs check `index` and returns 1 if it passed; otherwise standard error has the reason.
#[unsafe(no_mangle)]
pub extern "C" fn peers_vectors_check(index: i32) -> i32 {
    let check = usize::try_from(index).ok().and_then(|index| CHECKS.get(index));
    check.is_some_and(|check| catch_unwind(check).is_ok()).into()
}
