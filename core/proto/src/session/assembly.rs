//! Objects that arrive in several pieces.

use std::time::Duration;

use bytes::Bytes;

use crate::limits::{MAX_OPEN_MESSAGES, MAX_REASSEMBLY_PER_CONNECTION};
use crate::timing::REASSEMBLY_IDLE;

use super::error::SessionError;
use super::object::Object;
use super::wire::{ObjectHead, Piece};

/// What an object in reassembly belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Lane(u64),
    Request(u64),
    Response(u64),
}

#[derive(Debug)]
struct Open {
    key: Key,
    head: ObjectHead,
    content: Vec<u8>,
    /// Contact with the peer until its last piece.
    touched: Duration,
}

impl Open {
    /// Capacity for `more` bytes: at most doubled, so that memory follows what has arrived and not what was declared,
    /// and never more than was declared.
    fn capacity_with(&self, more: usize) -> usize {
        let (capacity, len) = (self.content.capacity(), self.content.len() + more);
        if len <= capacity { capacity } else { self.head.content_len.min(len.max(2 * capacity)).max(len) }
    }
}

/// The objects in reassembly on one session.
#[derive(Debug, Default)]
pub(super) struct Assemblies {
    open: Vec<Open>,
    /// Bytes of all buffers, filled or not.
    held: usize,
}

impl Assemblies {
    /// Adds a piece; returns the object when it is whole. An object of one piece is what `keep` makes of it.
    pub(super) fn add(
        &mut self,
        key: Key,
        piece: &Piece<'_>,
        keep: impl FnOnce() -> Bytes,
        contact: Duration,
    ) -> Result<Option<Object>, SessionError> {
        let Some(head) = piece.head else { return self.extend(key, piece.content, piece.last, contact) };
        if self.contains(key) {
            return Err(SessionError::Violation("object begun twice"));
        }
        if piece.last {
            return Ok(Some(Object { encoding: head.encoding, raw_len: head.raw_len, content: keep() }));
        }
        if self.open.len() == MAX_OPEN_MESSAGES {
            return Err(SessionError::Violation("too many objects at once"));
        }
        self.open.push(Open { key, head, content: Vec::new(), touched: contact });
        self.extend(key, piece.content, false, contact)
    }

    /// Bytes it holds.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Whether an object with this key is in reassembly.
    pub(super) fn contains(&self, key: Key) -> bool {
        self.open.iter().any(|o| o.key == key)
    }

    /// Forgets an object; returns how it was described.
    pub(super) fn discard(&mut self, key: Key) -> Option<ObjectHead> {
        let at = self.open.iter().position(|o| o.key == key)?;
        Some(self.remove(at).head)
    }

    /// Whether one of them has stopped half-way.
    pub(super) fn is_stalled(&self, contact: Duration) -> bool {
        self.open.iter().any(|o| contact.saturating_sub(o.touched) >= REASSEMBLY_IDLE)
    }

    fn extend(
        &mut self,
        key: Key,
        more: &[u8],
        last: bool,
        contact: Duration,
    ) -> Result<Option<Object>, SessionError> {
        let at = self.open.iter().position(|o| o.key == key);
        let at = at.ok_or(SessionError::Violation("piece without a beginning"))?;
        let open = &mut self.open[at];
        let (have, want) = (open.content.len() + more.len(), open.head.content_len);
        if have > want || last != (have == want) {
            return Err(SessionError::Violation("object length"));
        }
        let (before, after) = (open.content.capacity(), open.capacity_with(more.len()));
        if self.held - before + after > MAX_REASSEMBLY_PER_CONNECTION {
            return Err(SessionError::Violation("reassembly beyond its limit"));
        }
        open.content.reserve_exact(after - open.content.len());
        self.held = self.held - before + open.content.capacity();
        open.content.extend_from_slice(more);
        open.touched = contact;
        Ok(last.then(|| {
            let Open { head, content, .. } = self.remove(at);
            Object { encoding: head.encoding, raw_len: head.raw_len, content: content.into() }
        }))
    }

    fn remove(&mut self, at: usize) -> Open {
        let open = self.open.swap_remove(at);
        self.held -= open.content.capacity();
        open
    }
}
