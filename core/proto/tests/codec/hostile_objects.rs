//! Objects made to hurt their reader.

use std::time::{Duration, Instant};

use peers_proto::codec::{CodecError, Shape, decode, encode, validate};
use peers_proto::limits::{MAX_DEPTH, MAX_ELEMENTS, MAX_MESSAGE};
use proptest::prelude::*;
use serde::de::IgnoredAny;

use crate::memory::peak;
use crate::objects::any_value;

#[test]
fn nesting_is_accepted_to_the_limit_and_not_beyond() {
    for (head, tail) in [(&b"\x91"[..], 0xc0), (b"\x81\xa1k", 0xc0)] {
        let nested = |depth| [head.repeat(depth), vec![tail]].concat();
        assert_eq!(validate(&nested(MAX_DEPTH)).map(|shape| shape.depth), Ok(MAX_DEPTH));
        assert_eq!(validate(&nested(MAX_DEPTH + 1)), Err(CodecError::TooDeep));
        assert_eq!(validate(&nested(20_000)), Err(CodecError::TooDeep));
    }
}

#[test]
fn promised_lengths_without_data_allocate_nothing() {
    for head in [0xdb, 0xc6, 0xc9, 0xdd, 0xdf] {
        for len in [1u32, 65_535, u32::MAX / 2 + 1, u32::MAX] {
            let bytes = [&[head][..], &len.to_be_bytes()].concat();
            let (result, peak) = peak(|| decode::<IgnoredAny>(&bytes).map(drop));
            assert_eq!((result, peak), (Err(CodecError::Truncated), 0), "{head:#x} {len}");
        }
    }
}

#[test]
fn elements_are_counted_over_all_containers() {
    // Each inner array has 255 values and itself; the root adds itself.
    let inner = [&[0xdc, 0, 255][..], &[0xc0; 255]].concat();
    let array = |count: usize| [&[0xdc][..], &(count as u16).to_be_bytes(), &inner.repeat(count)].concat();
    assert_eq!(validate(&array(255)), Ok(Shape { elements: 255 * 256 + 1, depth: 2 }));
    assert_eq!(validate(&array(256)), Err(CodecError::TooManyElements));
    assert_eq!(MAX_ELEMENTS, 256 * 256);
}

#[test]
fn equal_keys_are_found_among_few_and_among_many() {
    for count in [2, 8, 9, 1000] {
        let object = |last: usize| {
            let pairs: Vec<u8> = (0..count - 1).chain([last]).flat_map(pair).collect();
            [&[0xde][..], &(count as u16).to_be_bytes(), &pairs].concat()
        };
        assert_eq!(validate(&object(count)).map(|shape| shape.elements), Ok(2 * count + 1));
        assert_eq!(validate(&object(0)), Err(CodecError::DuplicateKey), "{count} keys");
    }
}

fn pair(i: usize) -> Vec<u8> {
    [&[0xa4][..], format!("{i:04}").as_bytes(), &[0xc0]].concat()
}

#[test]
fn equal_keys_in_different_maps_are_no_duplicates() {
    // {"a": {"a": 1, "b": {"a": 1}}, "b": [{"a": 1}, {"a": 1}]}
    let object = b"\x82\xa1a\x82\xa1a\x01\xa1b\x81\xa1a\x01\xa1b\x92\x81\xa1a\x01\x81\xa1a\x01";
    assert_eq!(validate(object), Ok(Shape { elements: 17, depth: 3 }));
    // {"a": {"b": 1}, "a": 2}
    assert_eq!(validate(b"\x82\xa1a\x81\xa1b\x01\xa1a\x02"), Err(CodecError::DuplicateKey));
}

#[test]
fn map_with_one_key_is_an_object() {
    assert_eq!(validate(b"\x81\xa0\x00"), Ok(Shape { elements: 3, depth: 1 }));
}

#[test]
fn keys_equal_but_for_the_form_of_their_length_are_duplicates() {
    assert_eq!(validate(b"\x82\xa1k\x01\xd9\x01k\x02"), Err(CodecError::DuplicateKey));
}

/// The most keys there can be, all alike up to their end and in the worst orders: quadratic work would take minutes.
#[test]
fn largest_map_of_similar_keys_costs_little() {
    let count = (MAX_ELEMENTS - 1) / 2;
    for reverse in [false, true] {
        let mut pairs: Vec<Vec<u8>> = (0..count).map(|i| format!("{i:0>100}").into_bytes()).collect();
        if reverse {
            pairs.reverse();
        }
        let body: Vec<u8> =
            pairs.iter().flat_map(|k| [&[0xd9, k.len() as u8][..], k, &[0xc0]].concat()).collect();
        let object = [&[0xdf][..], &(count as u32).to_be_bytes(), &body].concat();
        let start = Instant::now();
        let (result, peak) = peak(|| validate(&object));
        assert!(result.is_ok());
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert!(peak <= 8 * object.len(), "{peak}");
    }
}

#[test]
fn malformed_objects_have_their_own_errors() {
    for (bytes, error) in [
        (&b""[..], CodecError::Truncated),
        (b"\xc1", CodecError::Reserved),
        (b"\x91\xc1", CodecError::Reserved),
        (b"\x81\xc1\x01", CodecError::Reserved),
        (b"\xc0\xc0", CodecError::TrailingBytes),
        (b"\x81\x01\x01", CodecError::KeyNotString),
        (b"\x81\xc4\x01k\x01", CodecError::KeyNotString),
        (b"\x81\xc0\x01", CodecError::KeyNotString),
        (b"\xa1\xff", CodecError::NotUtf8),
        (b"\xa2\xc0\x80", CodecError::NotUtf8),
        (b"\xa3\xed\xa0\x80", CodecError::NotUtf8),
        (b"\x81\xa1\xff\x01", CodecError::NotUtf8),
        (b"\xd9\x14aaaaaaaaaaaaaaaaaaa\xff", CodecError::NotUtf8),
        (b"\xd4\x01", CodecError::Truncated),
        (b"\xd8\x01aaaaaaaaaaaaaaa", CodecError::Truncated),
    ] {
        assert_eq!(validate(bytes), Err(error), "{bytes:02x?}");
    }
    assert_eq!(validate(&vec![0xc0; MAX_MESSAGE + 1]), Err(CodecError::TooLarge));
}

proptest! {
    #[test]
    fn object_cut_anywhere_is_truncated(value in any_value()) {
        let bytes = encode(&value)?;
        for end in 0..bytes.len() {
            prop_assert_eq!(validate(&bytes[..end]), Err(CodecError::Truncated));
        }
    }

    #[test]
    fn object_followed_by_a_byte_is_rejected(value in any_value(), byte: u8) {
        let mut bytes = encode(&value)?;
        bytes.push(byte);
        prop_assert_eq!(validate(&bytes), Err(CodecError::TrailingBytes));
    }

    #[test]
    fn random_bytes_are_an_object_or_a_typed_error(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        agrees_with_serde(&bytes)?;
    }

    #[test]
    fn damaged_object_is_an_object_or_a_typed_error(value in any_value(), at: prop::sample::Index, byte: u8) {
        let mut bytes = encode(&value)?;
        let at = at.index(bytes.len());
        bytes[at] = byte;
        agrees_with_serde(&bytes)?;
    }
}

/// The reader can read every object that the validator accepts, and neither takes more memory than the input warrants.
fn agrees_with_serde(bytes: &[u8]) -> Result<(), TestCaseError> {
    let (result, peak) = peak(|| validate(bytes));
    // A key takes two bytes of input and 16 of memory; a growing vector may hold three times what it needs, and
    // begins with four.
    prop_assert!(peak <= 64 + 24 * bytes.len(), "{} bytes for {}", peak, bytes.len());
    if result.is_ok() {
        prop_assert!(decode::<IgnoredAny>(bytes).is_ok());
    }
    Ok(())
}
