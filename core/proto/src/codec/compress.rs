//! Brotli (RFC 7932) for large objects, where it pays (S013, S033).
//!
//! Every object is a stream of its own, with a fresh window and the dictionary of the RFC. The content of one group never
//! shares a compression context with another's or with a secret. So no size on the wire tells one from the other (CRIME,
//! BREACH).

use bytes::Bytes;

use super::brotli;
use crate::limits::{COMPRESS_ABOVE, COMPRESS_WINDOW_BITS, MAX_EXPANSION, MAX_EXPANSION_FLOOR};

/// The encoding of an object's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Plain,
    /// Compressed by Brotli (RFC 7932).
    Brotli,
}

/// Compression must save one byte in this many, or the receiver's work is not worth it.
const WORTHWHILE: usize = 8;
/// Larger objects are tried by a sample first: pictures and sealed data must cost next to nothing.
const SAMPLE_ABOVE: usize = 32 * 1024;
/// Pieces of a sample, taken at equal distances: one alone may hit an uncharacteristic header.
const SAMPLE_PIECES: usize = 4;
/// Bytes of each piece.
const SAMPLE_PIECE: usize = 2 * 1024;

/// Compresses an object. It returns the object as it is, without a copy, if that has at most [`COMPRESS_ABOVE`] bytes or would
/// shrink by less than an eighth. The same if the receiver would take the result for a decompression bomb.
///
/// Takes up to 40 ms of CPU time per MiB of text: not for a task that others wait for.
pub fn compress(body: Bytes) -> (Encoding, Bytes) {
    if body.len() <= COMPRESS_ABOVE || (body.len() > SAMPLE_ABOVE && !sample_shrinks(&body)) {
        return (Encoding::Plain, body);
    }
    match shrink(&body) {
        Some(smaller) if is_plausible(body.len(), smaller.len()) => (Encoding::Brotli, smaller.into()),
        _ => (Encoding::Plain, body),
    }
}

/// True if `content_len` compressed bytes may declare to become `raw_len`: [`MAX_EXPANSION`] bounds what a few bytes can
/// cost their receiver.
pub(crate) fn is_plausible(raw_len: usize, content_len: usize) -> bool {
    raw_len <= content_len.saturating_mul(MAX_EXPANSION).saturating_add(MAX_EXPANSION_FLOOR)
}

fn sample_shrinks(body: &[u8]) -> bool {
    let last = body.len() - SAMPLE_PIECE;
    let pieces = (0..SAMPLE_PIECES).map(|i| {
        let at = last / (SAMPLE_PIECES - 1) * i;
        &body[at..at + SAMPLE_PIECE]
    });
    shrink(&pieces.collect::<Vec<_>>().concat()).is_some()
}

/// The body compressed, if that is worthwhile. Gives up as soon as it cannot be any more.
fn shrink(body: &[u8]) -> Option<Vec<u8>> {
    brotli::encode(body, COMPRESS_WINDOW_BITS, body.len() - body.len() / WORTHWHILE)
}
