//! Messages that wait for the app.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::limits::OBJECT_COST;

use super::event::ReceivedMessage;
use super::kept::fills_a_frame;

/// Places that an empty inbox keeps for the next messages.
const IDLE_PLACES: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Inbox {
    messages: VecDeque<ReceivedMessage>,
    /// Of content.
    bytes: usize,
    /// Messages at the back that came with the frame being handled.
    fresh: usize,
}

impl Inbox {
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Bytes it holds.
    pub(super) fn held(&self) -> usize {
        self.bytes + self.messages.len() * OBJECT_COST
    }

    pub(super) fn front(&self) -> Option<&ReceivedMessage> {
        self.messages.front()
    }

    /// Adds a message whose content may be a part of the frame being handled.
    pub(super) fn push(&mut self, message: ReceivedMessage) {
        self.bytes += message.object.content.len();
        self.messages.push_back(message);
        self.fresh += 1;
    }

    pub(super) fn pop(&mut self) -> Option<ReceivedMessage> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.object.content.len();
        if self.messages.is_empty() && self.messages.capacity() > IDLE_PLACES {
            self.messages = VecDeque::new();
        }
        Some(message)
    }

    /// Lets go of the frame that was handled, unless most of it is content that waits here: messages that are little of it
    /// move into a buffer of their own.
    pub(super) fn let_go(&mut self, frame: &Bytes) {
        let fresh = self.messages.len().saturating_sub(std::mem::take(&mut self.fresh));
        let parts = || {
            let within = frame.as_ptr_range();
            move |message: &&mut ReceivedMessage| within.contains(&message.object.content.as_ptr())
        };
        let part_len = |message: &mut ReceivedMessage| message.object.content.len();
        let kept: usize = self.messages.range_mut(fresh..).filter(parts()).map(part_len).sum();
        if kept == 0 || fills_a_frame(kept) {
            return;
        }
        let mut copy = BytesMut::with_capacity(kept);
        for message in self.messages.range_mut(fresh..).filter(parts()) {
            copy.extend_from_slice(&message.object.content);
            message.object.content = copy.split().freeze();
        }
    }

    /// Keeps the messages that `may_stay`; returns the credit of the others.
    pub(super) fn retain(&mut self, may_stay: impl Fn(&ReceivedMessage) -> bool) -> u64 {
        let mut released = 0;
        self.messages.retain(|message| {
            let stays = may_stay(message);
            if !stays {
                self.bytes -= message.object.content.len();
                released += message.object.cost();
            }
            stays
        });
        released
    }
}
