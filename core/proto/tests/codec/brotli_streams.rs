//! Compression where it pays, and back.

use std::time::{Duration, Instant};

use bytes::Bytes;
use peers_proto::codec::{Encoding, compress, decompress};
use peers_proto::limits::{COMPRESS_ABOVE, MAX_MESSAGE};
use proptest::prelude::*;

/// Text that shrinks, but not suspiciously.
pub(crate) fn words(len: usize) -> Vec<u8> {
    let words = (0u32..)
        .flat_map(|i| format!("{} of {}, ", i.wrapping_mul(2_654_435_761) >> 14, i % 97).into_bytes());
    words.take(len).collect()
}

pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn round_trip(body: &[u8]) -> Encoding {
    let (encoding, content) = compress(Bytes::copy_from_slice(body));
    assert_eq!(decompress(encoding, body.len(), content).as_deref(), Ok(body));
    encoding
}

// proves S013, S033
#[test]
fn large_text_is_compressed_and_comes_back() {
    for len in [COMPRESS_ABOVE + 1, 32 * 1024, 32 * 1024 + 1, 1 << 20, MAX_MESSAGE] {
        assert_eq!(round_trip(&words(len)), Encoding::Brotli, "{len} bytes");
    }
}

#[test]
fn small_objects_travel_as_they_are() {
    for len in [0, 1, COMPRESS_ABOVE] {
        assert_eq!(round_trip(&words(len)), Encoding::Plain, "{len} bytes");
    }
}

#[test]
fn compression_that_saves_less_than_an_eighth_is_not_used() {
    for len in [COMPRESS_ABOVE + 1, 30_000, 100_000] {
        assert_eq!(round_trip(&noise(len, 7)), Encoding::Plain);
        let mut mostly_noise = noise(len, 7);
        mostly_noise[..len / 12].fill(b'a');
        assert_eq!(round_trip(&mostly_noise), Encoding::Plain);
        mostly_noise[..len / 3].fill(b'a');
        assert_eq!(round_trip(&mostly_noise), Encoding::Brotli);
    }
}

#[test]
fn object_that_shrinks_like_a_bomb_is_sent_as_it_is_rather_than_refused_by_the_receiver() {
    assert_eq!(round_trip(&vec![0; MAX_MESSAGE]), Encoding::Plain);
    assert_eq!(round_trip(&vec![0; 64 * 1024]), Encoding::Brotli);
}

/// A sample decides. Compressing 4 MiB takes a hundred times longer than this even in an unoptimised build.
#[test]
fn largest_incompressible_object_costs_next_to_nothing() {
    let body = Bytes::from(noise(MAX_MESSAGE, 7));
    let best = (0..5).map(|_| {
        let start = Instant::now();
        assert_eq!(compress(body.clone()).0, Encoding::Plain);
        start.elapsed()
    });
    let best = best.min().unwrap_or_default();
    assert!(best < Duration::from_millis(20), "{best:?}");
}

#[test]
fn content_that_is_not_compressed_is_not_copied() {
    let body = Bytes::from(noise(100_000, 7));
    let (_, content) = compress(body.clone());
    assert_eq!(content.as_ptr(), body.as_ptr());
    assert_eq!(decompress(Encoding::Plain, body.len(), content).unwrap().as_ptr(), body.as_ptr());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // proves S013, S116
    #[test]
    fn any_bytes_round_trip(runs in prop::collection::vec((any::<u64>(), 1..60usize, 1..200usize), 0..60)) {
        let body: Vec<u8> = runs.iter().flat_map(|(seed, len, times)| noise(*len, *seed).repeat(*times)).collect();
        let (encoding, content) = compress(Bytes::from(body.clone()));
        prop_assert_eq!(decompress(encoding, body.len(), content)?, body);
    }
}
