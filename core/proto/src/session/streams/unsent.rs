//! Bytes that the app has written and no frame has taken yet.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

#[derive(Debug, Default)]
pub(super) struct Unsent {
    chunks: VecDeque<Bytes>,
    len: usize,
}

impl Unsent {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.len += chunk.len();
            self.chunks.push_back(chunk);
        }
    }

    /// Moves the first `len` bytes into `frame`.
    pub(super) fn take(&mut self, mut len: usize, frame: &mut BytesMut) {
        self.len -= len;
        while len > 0 {
            let Some(chunk) = self.chunks.front_mut() else { return };
            if chunk.len() <= len {
                frame.put_slice(chunk);
                len -= chunk.len();
                self.chunks.pop_front();
            } else {
                frame.put_slice(&chunk.split_to(len));
                return;
            }
        }
    }
}
