//! Whole objects on their way: encoded, perhaps compressed, opaque to the session.

use bytes::Bytes;

use crate::limits::OBJECT_COST;

pub use crate::codec::Encoding;

/// An encoded object. The session moves it; who made it knows what is inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// How `content` is encoded.
    pub encoding: Encoding,
    /// Bytes before compression; equal to `content.len()` for [`Encoding::Plain`].
    pub raw_len: usize,
    /// What travels.
    pub content: Bytes,
}

impl Object {
    /// An object that travels as it is.
    pub fn plain(content: impl Into<Bytes>) -> Self {
        let content = content.into();
        Self { encoding: Encoding::Plain, raw_len: content.len(), content }
    }

    /// What it costs its receiver, in bytes of credit: the memory it takes once decoded, and never nothing.
    pub(super) fn cost(&self) -> u64 {
        cost(self.raw_len)
    }
}

pub(super) const fn cost(raw_len: usize) -> u64 {
    (raw_len + OBJECT_COST) as u64
}
