//! Ids as people type them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use peers_proto::id::{ConnectionId, DeviceId};

fuzz_target!(|text: &str| {
    if let Ok(id) = text.parse::<DeviceId>() {
        assert_eq!(id.to_string(), text.to_ascii_lowercase());
    }
    if let Ok(id) = text.parse::<ConnectionId>() {
        assert_eq!(id.to_string(), text.to_ascii_lowercase());
    }
});
