//! What is kept of a frame after it was handled.
//!
//! A part of a frame keeps the whole frame in memory. So only a part that is most of the largest frame is kept as it
//! arrived; anything less is copied.

use bytes::Bytes;

use crate::limits::MAX_FRAME_CONTENT;

/// Whether so many bytes are worth a frame.
pub(super) const fn fills_a_frame(len: usize) -> bool {
    len >= MAX_FRAME_CONTENT / 4 * 3
}

/// `part` of `frame`, for as long as its owner likes.
pub(super) fn keep(frame: &Bytes, part: &[u8]) -> Bytes {
    if fills_a_frame(part.len()) { frame.slice_ref(part) } else { Bytes::copy_from_slice(part) }
}
