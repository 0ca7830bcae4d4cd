//! How values become bytes: variable-length integers, MessagePack, Brotli.

pub mod varint;

/// How the content of an object is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Plain,
    /// Compressed by Brotli (RFC 7932).
    Brotli,
}
