//! Integers, one after the other.

#![no_main]

use libfuzzer_sys::fuzz_target;
use peers_proto::codec::varint;

fuzz_target!(|data: &[u8]| {
    let mut input = data;
    let mut written = Vec::new();
    while let Ok(value) = varint::read(&mut input) {
        varint::write(value, &mut written);
    }
    assert_eq!(written, data[..data.len() - input.len()]);
});
