//! Objects that arrive in several pieces.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::limits::{MAX_OPEN_MESSAGES, MAX_REASSEMBLY_PER_CONNECTION, MAX_REASSEMBLY_PER_PROCESS};
use crate::timing::REASSEMBLY_IDLE;

use super::error::SessionError;
use super::object::Object;
use super::wire::{ObjectHead, Piece};

/// Bytes in reassembly in the whole process; one per process, shared by all sessions.
#[derive(Debug, Clone, Default)]
pub struct ReassemblyBudget(Arc<AtomicUsize>);

impl ReassemblyBudget {
    fn take(&self, bytes: usize) -> bool {
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        let fits = before + bytes <= MAX_REASSEMBLY_PER_PROCESS;
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes in reassembly now.
    pub fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

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
    content: BytesMut,
    /// Contact with the peer until its last piece.
    touched: Duration,
}

/// The objects in reassembly on one session.
#[derive(Debug)]
pub(super) struct Assemblies {
    open: Vec<Open>,
    bytes: usize,
    budget: ReassemblyBudget,
}

impl Assemblies {
    pub(super) fn new(budget: ReassemblyBudget) -> Self {
        Self { open: Vec::new(), bytes: 0, budget }
    }

    /// Adds a piece; returns the object when it is whole. `content` is the piece's content as a part of its frame.
    pub(super) fn add(
        &mut self,
        key: Key,
        piece: &Piece<'_>,
        content: Bytes,
        contact: Duration,
    ) -> Result<Option<Object>, SessionError> {
        match piece.head {
            Some(head) if piece.last => {
                self.expect_none(key)?;
                Ok(Some(Object { encoding: head.encoding, raw_len: head.raw_len, content }))
            }
            Some(head) => {
                self.expect_none(key)?;
                self.begin(key, head, &content, contact)?;
                Ok(None)
            }
            None => self.extend(key, &content, piece.last, contact),
        }
    }

    /// Whether an object with this key is in reassembly.
    pub(super) fn contains(&self, key: Key) -> bool {
        self.open.iter().any(|o| o.key == key)
    }

    /// Forgets an object; returns its length before compression.
    pub(super) fn discard(&mut self, key: Key) -> Option<usize> {
        let at = self.open.iter().position(|o| o.key == key)?;
        Some(self.remove(at).head.raw_len)
    }

    /// Whether one of them has stopped half-way.
    pub(super) fn is_stalled(&self, contact: Duration) -> bool {
        self.open.iter().any(|o| contact.saturating_sub(o.touched) >= REASSEMBLY_IDLE)
    }

    fn expect_none(&self, key: Key) -> Result<(), SessionError> {
        if self.contains(key) { Err(SessionError::Violation("object begun twice")) } else { Ok(()) }
    }

    fn begin(
        &mut self,
        key: Key,
        head: ObjectHead,
        first: &[u8],
        contact: Duration,
    ) -> Result<(), SessionError> {
        if self.open.len() == MAX_OPEN_MESSAGES {
            return Err(SessionError::Violation("too many objects at once"));
        }
        self.charge(first.len())?;
        // The declared length is a promise, not a reason to reserve memory.
        let mut content = BytesMut::with_capacity(head.content_len.min(4 * first.len()));
        content.extend_from_slice(first);
        self.open.push(Open { key, head, content, touched: contact });
        Ok(())
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
        self.charge(more.len())?;
        let open = &mut self.open[at];
        open.content.extend_from_slice(more);
        open.touched = contact;
        let (have, want) = (open.content.len(), open.head.content_len);
        match last {
            true if have == want => {
                let Open { head, content, .. } = self.remove(at);
                Ok(Some(Object { encoding: head.encoding, raw_len: head.raw_len, content: content.freeze() }))
            }
            false if have < want => Ok(None),
            _ => Err(SessionError::Violation("object length")),
        }
    }

    fn charge(&mut self, bytes: usize) -> Result<(), SessionError> {
        if self.bytes + bytes > MAX_REASSEMBLY_PER_CONNECTION {
            return Err(SessionError::Violation("reassembly beyond its limit"));
        }
        if !self.budget.take(bytes) {
            return Err(SessionError::Overloaded);
        }
        self.bytes += bytes;
        Ok(())
    }

    fn remove(&mut self, at: usize) -> Open {
        let open = self.open.swap_remove(at);
        self.bytes -= open.content.len();
        self.budget.give_back(open.content.len());
        open
    }
}

impl Drop for Assemblies {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}
