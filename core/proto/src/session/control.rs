//! Segments that go before all others, and wait until the peer acknowledges enough to be sent more.

use std::collections::{BTreeMap, VecDeque};

use bytes::BytesMut;

use crate::id::GroupId;
use crate::limits::MAX_FRAME_CONTENT;

use super::wire::{FailureCode, Segment};

/// A segment that goes before all others.
#[derive(Debug)]
pub(super) enum Control {
    Lane { lane: u64, group: GroupId },
    Failure { call: u64, code: FailureCode, text: String },
    Cancel { call: u64 },
    StreamOpen { stream: u64, lane: u64, name: String },
    StreamReset { stream: u64, code: u64 },
    StreamStop { stream: u64, code: u64 },
}

/// What one of them takes in memory beside its text: its place in a queue that doubles.
const COST: usize = 2 * size_of::<Control>();

impl Control {
    fn segment(&self) -> Segment<'_> {
        match *self {
            Self::Lane { lane, group } => Segment::Lane { lane, group },
            Self::Failure { call, code, ref text } => Segment::Failure { call, code, text },
            Self::Cancel { call } => Segment::Cancel { call },
            Self::StreamOpen { stream, lane, ref name } => Segment::StreamOpen { stream, lane, name },
            Self::StreamReset { stream, code } => Segment::StreamReset { stream, code },
            Self::StreamStop { stream, code } => Segment::StreamStop { stream, code },
        }
    }

    fn text_len(&self) -> usize {
        match self {
            Self::Failure { text, .. } => text.len(),
            Self::StreamOpen { name, .. } => name.len(),
            _ => 0,
        }
    }
}

/// Those that wait. Of credit only the newest limit does: it says all that older ones said.
#[derive(Debug, Default)]
pub(super) struct Controls {
    queue: VecDeque<Control>,
    /// Bytes of text in the queue.
    text: usize,
    message_credit: Option<u64>,
    call_credit: Option<u64>,
    stream_credit: BTreeMap<u64, u64>,
}

impl Controls {
    pub(super) fn push(&mut self, control: Control) {
        self.text += control.text_len();
        self.queue.push_back(control);
    }

    pub(super) fn message_credit(&mut self, limit: u64) {
        self.message_credit = Some(limit);
    }

    pub(super) fn call_credit(&mut self, limit: u64) {
        self.call_credit = Some(limit);
    }

    pub(super) fn stream_credit(&mut self, stream: u64, limit: u64) {
        self.stream_credit.insert(stream, limit);
    }

    pub(super) fn is_empty(&self) -> bool {
        let no_credit =
            self.message_credit.is_none() && self.call_credit.is_none() && self.stream_credit.is_empty();
        self.queue.is_empty() && no_credit
    }

    /// Bytes it holds.
    pub(super) fn held(&self) -> usize {
        (self.queue.len() + self.stream_credit.len()) * COST + self.text
    }

    /// Fills `frame` up to [`MAX_FRAME_CONTENT`]; false if something waits for the next one. Credit comes last, so that the
    /// peer knows every stream it is for.
    pub(super) fn write(&mut self, frame: &mut BytesMut) -> bool {
        while let Some(control) = self.queue.front() {
            if !put(&control.segment(), control.text_len(), frame) {
                return false;
            }
            self.text -= control.text_len();
            self.queue.pop_front();
        }
        if let Some(limit) = self.message_credit {
            if !put(&Segment::MessageCredit { limit }, 0, frame) {
                return false;
            }
            self.message_credit = None;
        }
        if let Some(limit) = self.call_credit {
            if !put(&Segment::CallCredit { limit }, 0, frame) {
                return false;
            }
            self.call_credit = None;
        }
        while let Some((&stream, &limit)) = self.stream_credit.first_key_value() {
            if !put(&Segment::StreamCredit { stream, limit }, 0, frame) {
                return false;
            }
            self.stream_credit.pop_first();
        }
        true
    }
}

/// Longest body of one beside its text.
const MAX_BODY: usize = 24;

fn put(segment: &Segment<'_>, text: usize, frame: &mut BytesMut) -> bool {
    let fits = frame.len() + Segment::MAX_OVERHEAD + MAX_BODY + text <= MAX_FRAME_CONTENT;
    if fits {
        segment.write(frame);
    }
    fits
}
