//! Faults of bytes and values.

use crate::limits::{MAX_DEPTH, MAX_ELEMENTS, MAX_MESSAGE};

/// The reason for which a value cannot be sent or bytes cannot be read. Holds nothing of their content, so it may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The input ends inside a value, or promises more values than it has bytes left.
    #[error("object is truncated")]
    Truncated,
    /// Bytes follow the value.
    #[error("bytes follow the object")]
    TrailingBytes,
    /// More than [`MAX_MESSAGE`] bytes before compression. Bigger data is a stream.
    #[error("object is larger than {MAX_MESSAGE} bytes")]
    TooLarge,
    /// Containers nest deeper than [`MAX_DEPTH`].
    #[error("object nests deeper than {MAX_DEPTH}")]
    TooDeep,
    /// More than [`MAX_ELEMENTS`] values. Numbers in bulk belong into a byte string.
    #[error("object has more than {MAX_ELEMENTS} values")]
    TooManyElements,
    /// The byte 0xc1, which MessagePack never uses.
    #[error("object has a byte that MessagePack never uses")]
    Reserved,
    /// A map key that is not a string.
    #[error("map key is not a string")]
    KeyNotString,
    /// Two equal keys in one map.
    #[error("map has a key twice")]
    DuplicateKey,
    /// A string that is not UTF-8.
    #[error("string is not UTF-8")]
    NotUtf8,
    /// Well-formed, but not a value of this Rust type.
    #[error("object is not a {0}")]
    NotA(&'static str),
    /// A value of this Rust type that has no MessagePack form.
    #[error("{0} cannot be encoded")]
    CannotEncode(&'static str),
    /// The declared length is more than Brotli may expand these bytes to.
    #[error("declared length is implausible for the compressed bytes")]
    ImplausibleLength,
    /// The content is longer or shorter than its declared length.
    #[error("content does not have its declared length")]
    LengthMismatch,
    /// A Brotli stream that asks for a window beyond the largest object.
    #[error("Brotli window is larger than the largest object")]
    WindowTooLarge,
    /// Bytes that are not a Brotli stream (RFC 7932).
    #[error("not a Brotli stream")]
    NotBrotli,
}
