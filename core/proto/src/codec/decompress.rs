//! Brotli back to the object it was, never more than was declared.

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use bytes::Bytes;

use super::compress::{Encoding, is_plausible};
use super::error::CodecError;
use crate::limits::MAX_MESSAGE;

/// Bytes reserved before the first byte comes out. Later the output at most doubles at a time, so memory follows what the
/// stream really holds and not what it declares.
const FIRST_CHUNK: usize = 16 * 1024;

/// The object that `content` encodes, exactly `raw_len` bytes long.
///
/// # Errors
/// [`CodecError::TooLarge`] and [`CodecError::ImplausibleLength`] for what `raw_len` declares, before any work;
/// [`CodecError::LengthMismatch`], [`CodecError::NotBrotli`], [`CodecError::WindowTooLarge`],
/// [`CodecError::Truncated`] and [`CodecError::TrailingBytes`] for the content.
pub fn decompress(encoding: Encoding, raw_len: usize, content: Bytes) -> Result<Bytes, CodecError> {
    if raw_len > MAX_MESSAGE {
        return Err(CodecError::TooLarge);
    }
    match encoding {
        Encoding::Plain if content.len() == raw_len => Ok(content),
        Encoding::Plain => Err(CodecError::LengthMismatch),
        Encoding::Brotli => inflate(raw_len, &content).map(Bytes::from),
    }
}

fn inflate(raw_len: usize, content: &[u8]) -> Result<Vec<u8>, CodecError> {
    if !is_plausible(raw_len, content.len()) {
        return Err(CodecError::ImplausibleLength);
    }
    check_window(content)?;

    // Strict: without the "large window" extension, which is not in the RFC and asks for up to a gigabyte.
    let mut state =
        BrotliState::new_strict(StandardAlloc::default(), StandardAlloc::default(), StandardAlloc::default());
    let (mut available_in, mut read) = (content.len(), 0);
    let (mut written, mut total) = (0, 0);
    let mut out = vec![0; raw_len.min(FIRST_CHUNK)];
    loop {
        let mut available_out = out.len() - written;
        let result = BrotliDecompressStream(
            &mut available_in,
            &mut read,
            content,
            &mut available_out,
            &mut written,
            &mut out,
            &mut total,
            &mut state,
        );
        match result {
            BrotliResult::NeedsMoreOutput if out.len() < raw_len => out.resize(raw_len.min(2 * out.len()), 0),
            BrotliResult::NeedsMoreOutput => return Err(CodecError::LengthMismatch),
            BrotliResult::NeedsMoreInput => return Err(CodecError::Truncated),
            BrotliResult::ResultFailure => return Err(CodecError::NotBrotli),
            BrotliResult::ResultSuccess if written != raw_len => return Err(CodecError::LengthMismatch),
            BrotliResult::ResultSuccess if available_in != 0 => return Err(CodecError::TrailingBytes),
            BrotliResult::ResultSuccess => return Ok(out),
        }
    }
}

/// Reads the window size from the first byte (RFC 7932 section 9.1). The decoder allocates it, so it may not exceed
/// what the largest object needs: of the 24 bits possible, 23 and 24 are too many.
fn check_window(content: &[u8]) -> Result<(), CodecError> {
    match content.first() {
        None => Err(CodecError::Truncated),
        Some(first) if matches!(first & 0x0f, 0x0d | 0x0f) => Err(CodecError::WindowTooLarge),
        Some(_) => Ok(()),
    }
}
