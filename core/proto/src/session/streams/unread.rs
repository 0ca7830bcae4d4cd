//! Bytes that have arrived and the app has not read yet.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::limits::{CHUNK_COST, MAX_FRAME_CONTENT};
use crate::session::kept::fills_a_frame;

#[derive(Debug, Default)]
pub(super) struct Unread {
    chunks: VecDeque<Bytes>,
    /// Of the chunks.
    bytes: usize,
    /// Small pieces, in one buffer, after the chunks.
    tail: BytesMut,
}

impl Unread {
    pub(super) fn len(&self) -> usize {
        self.bytes + self.tail.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes it holds.
    pub(super) fn held(&self) -> usize {
        self.bytes + self.chunks.len() * CHUNK_COST + self.tail.capacity()
    }

    /// Adds `data`, a part of `frame`.
    pub(super) fn push(&mut self, frame: &Bytes, data: &[u8]) {
        if fills_a_frame(data.len()) {
            self.cut();
            self.add(frame.slice_ref(data));
            return;
        }
        if self.tail.len() + data.len() > MAX_FRAME_CONTENT {
            self.cut();
        }
        self.tail.extend_from_slice(data);
    }

    /// Takes the oldest bytes.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        if self.chunks.is_empty() {
            self.cut();
        }
        let chunk = self.chunks.pop_front()?;
        self.bytes -= chunk.len();
        Some(chunk)
    }

    /// Makes a chunk of the tail.
    fn cut(&mut self) {
        let tail = std::mem::take(&mut self.tail);
        if tail.is_empty() {
            return;
        }
        let full = tail.len() >= tail.capacity() / 4 * 3;
        self.add(if full { tail.freeze() } else { Bytes::copy_from_slice(&tail) });
    }

    fn add(&mut self, chunk: Bytes) {
        self.bytes += chunk.len();
        self.chunks.push_back(chunk);
    }
}
