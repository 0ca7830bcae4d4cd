//! Streams made to hurt their reader.

use bytes::Bytes;
use peers_proto::codec::{CodecError, Encoding, compress, decompress};
use peers_proto::limits::{MAX_EXPANSION, MAX_EXPANSION_FLOOR, MAX_MESSAGE};
use proptest::prelude::*;

use crate::brotli_streams::words;
use crate::memory::peak;

/// Memory that a stream may cost beside its output: a window of 4 MiB, and the most tables RFC 7932 allows.
const WORKING_MEMORY: usize = 8 << 20;

fn inflate(raw_len: usize, content: &[u8]) -> Result<Bytes, CodecError> {
    decompress(Encoding::Brotli, raw_len, Bytes::copy_from_slice(content))
}

fn deflate(body: Vec<u8>) -> Vec<u8> {
    let (encoding, content) = compress(body.into());
    assert_eq!(encoding, Encoding::Brotli);
    content.into()
}

/// Like [`deflate`], whatever comes out, with any window.
fn deflate_anyway(body: &[u8], lgwin: i32) -> Vec<u8> {
    let params = brotli::enc::BrotliEncoderParams {
        quality: 5,
        lgwin,
        large_window: lgwin > 24,
        ..Default::default()
    };
    let mut out = Vec::new();
    assert!(brotli::BrotliCompress(&mut &body[..], &mut out, &params).is_ok());
    out
}

#[test]
fn bomb_is_refused_for_what_it_declares() {
    let bomb = deflate_anyway(&vec![0; MAX_MESSAGE], 22);
    assert!(bomb.len() < 100, "{} bytes make 4 MiB", bomb.len());
    let (result, peak) = peak(|| inflate(MAX_MESSAGE, &bomb));
    assert_eq!(result, Err(CodecError::ImplausibleLength));
    assert!(peak < 1024, "{peak} bytes, more than the copy of the input");
    assert_eq!(inflate(MAX_MESSAGE + 1, &vec![0; MAX_MESSAGE]), Err(CodecError::TooLarge));
    assert_eq!(inflate(usize::MAX, &bomb), Err(CodecError::TooLarge));
}

#[test]
fn bomb_that_declares_little_stops_there() {
    let bomb = deflate_anyway(&vec![0; 64 << 20], 22);
    let declared = bomb.len() * MAX_EXPANSION + MAX_EXPANSION_FLOOR;
    let (result, peak) = peak(|| inflate(declared, &bomb));
    assert_eq!(result, Err(CodecError::LengthMismatch));
    assert!(peak < 2 * declared + WORKING_MEMORY, "{peak}");
}

#[test]
fn declared_length_is_exact() {
    let body = words(50_000);
    let content = deflate(body.clone());
    for wrong in [0, 1, 49_999, 50_001, 100_000] {
        assert_eq!(inflate(wrong, &content), Err(CodecError::LengthMismatch), "{wrong}");
    }
    let plain = Bytes::from(body);
    for wrong in [0, 49_999, 50_001] {
        assert_eq!(decompress(Encoding::Plain, wrong, plain.clone()), Err(CodecError::LengthMismatch));
    }
    assert_eq!(decompress(Encoding::Plain, MAX_MESSAGE + 1, plain), Err(CodecError::TooLarge));
}

#[test]
fn declared_length_alone_reserves_no_memory() {
    let short = [deflate(words(5_000)), vec![0; 50_000]].concat();
    let (result, peak) = peak(|| inflate(MAX_MESSAGE, &short));
    assert!(result.is_err());
    assert!(peak < short.len() + (1 << 20), "{peak}");
}

#[test]
fn stream_cut_anywhere_is_truncated() {
    let content = deflate(words(3_000));
    for end in 0..content.len() {
        let error = inflate(3_000, &content[..end]).unwrap_err();
        assert_eq!(error, CodecError::Truncated, "cut at {end} of {}", content.len());
    }
}

#[test]
fn bytes_after_the_stream_are_rejected() {
    let mut content = deflate(words(3_000));
    content.push(0);
    assert_eq!(inflate(3_000, &content), Err(CodecError::TrailingBytes));
    content.extend(content.clone());
    assert_eq!(inflate(3_000, &content), Err(CodecError::TrailingBytes));
}

#[test]
fn window_beyond_the_largest_object_is_refused_before_it_is_allocated() {
    let body = words(5_000);
    assert_eq!(inflate(5_000, &deflate_anyway(&body, 22)).as_deref(), Ok(&body[..]));
    for lgwin in [23, 24] {
        let content = deflate_anyway(&body, lgwin);
        let (result, peak) = peak(|| inflate(5_000, &content));
        assert_eq!(result, Err(CodecError::WindowTooLarge));
        assert!(peak <= 2 * content.len(), "{peak}");
    }
    assert_eq!(inflate(5_000, &deflate_anyway(&body, 30)), Err(CodecError::NotBrotli));
}

proptest! {
    #[test]
    fn random_bytes_are_a_typed_error_in_bounded_memory(
        content in prop::collection::vec(any::<u8>(), 0..4000), raw_len in 0..MAX_MESSAGE,
    ) {
        bounded(&content, raw_len)?;
    }

    #[test]
    fn damaged_stream_is_an_error_or_of_the_declared_length_in_bounded_memory(
        len in 1100..20_000usize, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut content = deflate(words(len));
        for (at, byte) in damage {
            let at = at.index(content.len());
            content[at] = byte;
        }
        bounded(&content, len)?;
    }
}

fn bounded(content: &[u8], raw_len: usize) -> Result<(), TestCaseError> {
    let (result, peak) = peak(|| inflate(raw_len, content));
    if let Ok(body) = result {
        prop_assert_eq!(body.len(), raw_len);
    }
    prop_assert!(peak <= content.len() + 2 * raw_len + WORKING_MEMORY, "{} bytes", peak);
    Ok(())
}
