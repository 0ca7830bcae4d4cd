//! One object on its way out.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::id::GroupId;
use crate::limits::{
    MAX_FRAME_CONTENT, MAX_OPEN_MESSAGES, MAX_REASSEMBLY_PER_CONNECTION, QUANTUM, RECEIVE_BUDGET,
};
use crate::session::credit::Allowance;
use crate::session::object::Object;
use crate::session::wire::{Header, ObjectHead, Piece, RequestHead, Segment};

use super::{Source, Turn};

/// A request's head, owned.
#[derive(Debug)]
pub(in crate::session) struct RequestLine {
    pub(in crate::session) lane: u64,
    pub(in crate::session) timeout_ms: u64,
    pub(in crate::session) service: String,
    pub(in crate::session) method: String,
}

#[derive(Debug)]
pub(super) struct Departing {
    pub(super) object: Object,
    pub(super) sent: usize,
    pub(super) request: Option<RequestLine>,
    /// What an answer is about.
    pub(super) group: Option<GroupId>,
}

impl Departing {
    pub(super) fn new(object: Object) -> Self {
        Self { object, sent: 0, request: None, group: None }
    }
}

/// Large objects on their way: each takes a place in the peer's reassembly.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) open: usize,
    pub(super) open_bytes: usize,
}

/// Objects that start only with the peer's credit: all messages, or all requests.
#[derive(Debug)]
pub(super) struct Credited {
    /// Bytes that wait to be sent.
    pub(super) queued: usize,
    allowance: Allowance,
    /// Sources that found no credit. Later ones queue behind them.
    waiting: VecDeque<Source>,
}

impl Default for Credited {
    fn default() -> Self {
        let allowance = Allowance::new(RECEIVE_BUDGET as u64);
        Self { queued: 0, allowance, waiting: VecDeque::new() }
    }
}

impl Credited {
    /// Sources that wait for credit.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// This source found no credit.
    pub(super) fn wait(&mut self, source: Source) {
        self.waiting.push_back(source);
    }

    /// The peer allows `limit` bytes in all. Sources that wait are ready to ask again.
    pub(super) fn raise(&mut self, limit: u64, ready: &mut VecDeque<Source>) {
        self.allowance.raise(limit);
        self.retry(ready);
    }

    /// Forgets a source. Others may have queued behind it.
    pub(super) fn forget(&mut self, gone: Source, ready: &mut VecDeque<Source>) {
        if self.waiting.contains(&gone) {
            self.waiting.retain(|source| *source != gone);
            self.retry(ready);
        }
    }

    fn retry(&mut self, ready: &mut VecDeque<Source>) {
        while let Some(source) = self.waiting.pop_back() {
            ready.push_front(source);
        }
    }

    fn take(&mut self, cost: u64) -> bool {
        self.waiting.is_empty() && self.allowance.take(cost)
    }
}

/// Writes the object, or its next piece; `credited`: the kind it is of, unless it is an answer, which needs no credit.
/// [`Turn::Done`]: all of it is written.
pub(super) fn write_next(
    source: Source,
    d: &mut Departing,
    share: usize,
    places: &mut Places,
    mut credited: Option<&mut Credited>,
    frame: &mut BytesMut,
) -> Turn {
    let overhead = Segment::MAX_OVERHEAD + if d.sent == 0 { head_len(d) } else { 0 };
    // Even an empty object needs room for its head.
    let Some(room) = MAX_FRAME_CONTENT.checked_sub(frame.len() + overhead) else { return Turn::NoRoom };
    let left = d.object.content.len() - d.sent;
    if d.sent == 0 {
        let fits_a_frame = left + overhead <= MAX_FRAME_CONTENT - Header::MAX_LEN;
        if left > room && (fits_a_frame || room < QUANTUM) {
            return Turn::NoRoom;
        }
        if !fits_a_frame
            && (places.open == MAX_OPEN_MESSAGES || places.open_bytes + left > MAX_REASSEMBLY_PER_CONNECTION)
        {
            return Turn::NoPlace;
        }
        if credited.as_mut().is_some_and(|credited| !credited.take(d.object.cost())) {
            return Turn::NoCredit;
        }
        if fits_a_frame {
            write_piece(source, d, left, true, frame);
            if let Some(credited) = credited {
                credited.queued -= left;
            }
            return Turn::Done;
        }
        places.open += 1;
        places.open_bytes += left;
    }
    let len = left.min(room).min(share);
    if len == 0 {
        return Turn::NoRoom;
    }
    write_piece(source, d, len, len == left, frame);
    d.sent += len;
    if let Some(credited) = credited {
        credited.queued -= len;
    }
    if len == left { Turn::Done } else { Turn::More }
}

fn head_len(d: &Departing) -> usize {
    let request = d.request.as_ref().map_or(0, |r| 8 + 8 + 2 + r.service.len() + r.method.len());
    request + 1 + 4 + 4
}

fn write_piece(source: Source, d: &Departing, len: usize, last: bool, frame: &mut BytesMut) {
    let Object { encoding, raw_len, ref content } = d.object;
    let first = d.sent == 0;
    let head = first.then_some(ObjectHead { encoding, content_len: content.len(), raw_len });
    let piece = Piece { head, last, content: &content[d.sent..d.sent + len] };
    match source {
        Source::Lane(lane) => Segment::Message { lane, piece },
        Source::Response(call) => Segment::Response { call, piece },
        Source::Request(call) => {
            let line = d.request.as_ref().filter(|_| first);
            let head = line.map(|r| RequestHead {
                lane: r.lane,
                timeout_ms: r.timeout_ms,
                service: &r.service,
                method: &r.method,
            });
            Segment::Request { call, head, piece }
        }
        Source::Stream(_) => return, // streams write their own
    }
    .write(frame);
}
