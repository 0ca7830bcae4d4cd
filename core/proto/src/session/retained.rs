//! DATA frames that were sent and not yet acknowledged: what a new connection must send again.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::limits::{FRAME_COST, SEND_WINDOW};

use super::kept::fills_a_frame;

/// The send window. Frames leave it when the peer acknowledges them, never when a transport accepts them.
#[derive(Debug, Default)]
pub(super) struct Retained {
    frames: VecDeque<Bytes>,
    /// Sequence number of `frames[0]`.
    first: u64,
    bytes: usize,
    /// How many of `frames` went out on the current path.
    on_path: usize,
}

impl Retained {
    pub(super) fn next_seq(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    pub(super) fn has_room(&self) -> bool {
        self.bytes < SEND_WINDOW
    }

    /// Bytes it holds.
    pub(super) fn held(&self) -> usize {
        self.bytes
    }

    /// The number of the oldest frame.
    pub(super) fn first(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.first)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Keeps a frame that is being sent now; only called when nothing older waits for the path. Returns it for the path.
    pub(super) fn push(&mut self, frame: BytesMut) -> Bytes {
        // A small frame must not keep the buffer of a full one.
        let full = fills_a_frame(frame.len());
        let frame = if full { frame.freeze() } else { Bytes::copy_from_slice(&frame) };
        debug_assert_eq!(self.on_path, self.frames.len());
        self.bytes += cost(&frame);
        self.frames.push_back(frame.clone());
        self.on_path += 1;
        frame
    }

    /// Whether frames wait to be repeated on a new path.
    pub(super) fn has_repeats(&self) -> bool {
        self.on_path < self.frames.len()
    }

    /// The next frame to repeat on a new path.
    pub(super) fn repeat(&mut self) -> Option<Bytes> {
        let frame = self.frames.get(self.on_path)?;
        self.on_path += 1;
        Some(frame.clone())
    }

    /// Drops everything before `ack`; false if it was never sent.
    pub(super) fn acknowledge(&mut self, ack: u64) -> bool {
        if ack > self.next_seq() {
            return false;
        }
        while self.first < ack {
            if let Some(frame) = self.frames.pop_front() {
                self.bytes -= cost(&frame);
            }
            self.first += 1;
            self.on_path = self.on_path.saturating_sub(1);
        }
        true
    }

    /// Lets go of all frames: nothing will be sent any more.
    pub(super) fn clear(&mut self) {
        *self = Self { first: self.next_seq(), ..Self::default() };
    }

    /// A new path carries nothing yet.
    pub(super) fn rewind(&mut self) {
        self.on_path = 0;
    }
}

fn cost(frame: &Bytes) -> usize {
    frame.len() + FRAME_COST
}
