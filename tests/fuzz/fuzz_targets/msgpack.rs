//! Objects of peers: what the validator accepts, the reader must be able to read.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use peers_proto::codec::{CodecError, Shape, decode, encode, validate};
use peers_proto::limits::{MAX_DEPTH, MAX_ELEMENTS};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// A bit of everything that an app may declare.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    number: Option<i64>,
    text: String,
    bytes: Vec<u8>,
    choice: Vec<Choice>,
    named: BTreeMap<String, (bool, u16)>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Choice {
    Nothing,
    One(u32),
    Many { all: Vec<String> },
}

fuzz_target!(|data: &[u8]| {
    match validate(data) {
        Ok(Shape { elements, depth }) => {
            assert!(elements <= MAX_ELEMENTS && elements <= data.len() && depth <= MAX_DEPTH);
            decode::<IgnoredAny>(data).expect("a valid object can be read");
            for end in data.len().saturating_sub(8)..data.len() {
                assert_eq!(validate(&data[..end]), Err(CodecError::Truncated));
            }
        }
        Err(error) => assert_eq!(decode::<IgnoredAny>(data).err(), Some(error)),
    }
    if let Ok(value) = decode::<Everything>(data) {
        let bytes = encode(&value).expect("what was received can be sent");
        assert_eq!(decode::<Everything>(&bytes), Ok(value));
    }
});
