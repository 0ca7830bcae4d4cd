//! Compressed objects of peers. Three bytes declare the length, the rest is the stream.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use peers_proto::codec::{Encoding, compress, decompress};

fuzz_target!(|data: &[u8]| {
    if let Some((&[a, b, c], content)) = data.split_first_chunk() {
        let raw_len = u32::from_be_bytes([0, a, b, c]) as usize;
        if let Ok(body) = decompress(Encoding::Brotli, raw_len, Bytes::copy_from_slice(content)) {
            assert_eq!(body.len(), raw_len);
            let (encoding, content) = compress(body.clone());
            assert_eq!(decompress(encoding, raw_len, content), Ok(body));
        }
    }
});
