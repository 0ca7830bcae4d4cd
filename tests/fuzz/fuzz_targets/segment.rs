//! Frames of a session as bytes: header and segments.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use peers_proto::session::wire::{Header, Segment};

fuzz_target!(|data: &[u8]| {
    let mut input = data;
    let mut written = BytesMut::new();
    let Ok(header) = Header::read(&mut input) else { return };
    header.write(&mut written);
    assert_eq!(written, data[..data.len() - input.len()]);
    loop {
        let before = input;
        let Ok(segment) = Segment::read(&mut input) else { return };
        written.clear();
        segment.write(&mut written);
        assert_eq!(written, before[..before.len() - input.len()], "{segment:?}");
    }
});
