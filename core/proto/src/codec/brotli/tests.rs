//! Another implementation's decoder reads the output of this encoder.

use proptest::prelude::*;

use super::*;
use crate::limits::COMPRESS_WINDOW_BITS;

fn decoded(stream: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    brotli::BrotliDecompress(&mut &stream[..], &mut body).unwrap();
    body
}

fn round_trip(body: &[u8]) -> usize {
    let stream = encode(body, COMPRESS_WINDOW_BITS, usize::MAX / 2).unwrap();
    assert!(decoded(&stream) == body, "{} bytes do not come back", body.len());
    stream.len()
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

// proves S013
#[test]
fn every_window_and_either_side_of_a_meta_block_come_back() {
    for bits in MIN_WINDOW_BITS..=COMPRESS_WINDOW_BITS {
        for off in [-1, 0, 1] {
            round_trip(
                &b"round and round and "[..].repeat(1 << (bits - 4))
                    [..(1_usize << bits).strict_add_signed(off)],
            );
        }
    }
    for len in [0, 1, 2, META_BLOCK - 1, META_BLOCK, META_BLOCK + 1, 3 * META_BLOCK] {
        round_trip(&noise(len));
    }
}

#[test]
fn every_length_of_literals_and_copies_comes_back() {
    let (fresh, phrase) = (noise(40_000), noise(40_000));
    for len in (0..40).chain([97, 98, 129, 130, 577, 578, 2113, 2114, 6209, 6210, 22_593, 22_594, 30_000]) {
        let copied = [&phrase[..], &fresh[..len], &phrase[..]].concat();
        round_trip(&copied);
        let inserted = [&phrase[..5000], &fresh[..100], &phrase[100..100 + len]].concat();
        round_trip(&inserted);
    }
}

/// Repeats at distances that are equal or close to one of the last four.
#[test]
fn recent_distances_come_back() {
    let record = noise(64);
    for stride in 60..70 {
        let mut body = Vec::new();
        for i in 0..400_usize {
            body.extend_from_slice(&record[..stride.min(64) - i % 7]);
            body.extend_from_slice(&i.to_le_bytes()[..1 + i % 3]);
        }
        let len = round_trip(&body);
        assert!(len < body.len() / 4, "{len} of {}", body.len());
    }
}

#[test]
fn gives_up_when_it_cannot_be_small_enough() {
    assert_eq!(encode(&noise(100_000), COMPRESS_WINDOW_BITS, 90_000), None);
    let text = b"so it goes, and so it went, ".repeat(100);
    let len = round_trip(&text);
    assert!(encode(&text, COMPRESS_WINDOW_BITS, len).is_some());
    assert_eq!(encode(&text, COMPRESS_WINDOW_BITS, len - 1), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    // proves S013, S116
    #[test]
    fn any_mixture_comes_back(parts in prop::collection::vec((0..4000_usize, 1..600_usize, 1..30_usize, any::<u8>()), 0..40)) {
        let source = noise(5000);
        let mut body = Vec::new();
        for (at, len, times, add) in parts {
            let part: Vec<u8> = source[at..at + len].iter().map(|byte| byte.wrapping_add(add & 3)).collect();
            body.extend(part.repeat(times));
        }
        round_trip(&body);
    }
}
