//! Whole objects on their way: encoded, perhaps compressed, opaque to the session.

use bytes::Bytes;

use crate::codec;
use crate::limits::OBJECT_COST;

use super::wire::ObjectHead;

pub use crate::codec::Encoding;

/// An encoded object. The session moves it; who made it knows what is inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// How `content` is encoded.
    pub encoding: Encoding,
    /// Bytes before compression; equal to `content.len()` for [`Encoding::Plain`].
    pub raw_len: usize,
    /// What travels. Compressed content is not empty, not longer than `raw_len`, and not shorter than
    /// [`crate::limits::MAX_EXPANSION`] allows: a peer that sends other content ends the session.
    pub content: Bytes,
}

impl Object {
    /// An object that travels as it is.
    pub fn plain(content: impl Into<Bytes>) -> Self {
        let content = content.into();
        Self { encoding: Encoding::Plain, raw_len: content.len(), content }
    }

    /// What it costs its receiver, in bytes of credit: the memory it takes, as it arrives or once decoded, and never
    /// nothing.
    pub(super) fn cost(&self) -> u64 {
        cost(self.raw_len, self.content.len())
    }

    /// Bytes it holds until somebody takes it.
    pub(super) fn held(&self) -> usize {
        self.content.len() + OBJECT_COST
    }
}

impl ObjectHead {
    /// As [`Object::cost`], known before the content.
    pub(super) fn cost(&self) -> u64 {
        cost(self.raw_len, self.content_len)
    }

    /// Whether such content can become an object of such a length.
    pub(super) fn is_plausible(&self) -> bool {
        match self.encoding {
            Encoding::Plain => self.raw_len == self.content_len,
            Encoding::Brotli => {
                (1..=self.raw_len).contains(&self.content_len)
                    && codec::is_plausible(self.raw_len, self.content_len)
            }
        }
    }
}

fn cost(raw_len: usize, content_len: usize) -> u64 {
    (raw_len.max(content_len) + OBJECT_COST) as u64
}
