//! Binary messages through a relay.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use peers_proto::id::DeviceId;
use peers_proto::signaling::{RelayFrame, readdress};

fuzz_target!(|data: &[u8]| {
    let message = Bytes::copy_from_slice(data);
    if let Ok(frame) = RelayFrame::decode(&message) {
        assert_eq!(frame.encode(), message);
        let readdressed = readdress(message, DeviceId::from_bytes([9; 20]));
        assert!(RelayFrame::decode(&readdressed).is_ok());
    }
});
