//! One object on its way out.

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

/// What the peer has promised to hold for us.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) allowance: Allowance,
    pub(super) open: usize,
    pub(super) open_bytes: usize,
    /// Some source waits for credit: later ones queue behind it.
    pub(super) credit_is_short: bool,
}

impl Default for Places {
    fn default() -> Self {
        let allowance = Allowance::new(RECEIVE_BUDGET as u64);
        Self { allowance, open: 0, open_bytes: 0, credit_is_short: false }
    }
}

/// Writes the object, or its next piece. [`Turn::Done`]: all of it is written.
pub(super) fn write_next(
    source: Source,
    d: &mut Departing,
    share: usize,
    places: &mut Places,
    queued: &mut usize,
    frame: &mut BytesMut,
) -> Turn {
    let overhead = Segment::MAX_OVERHEAD + if d.sent == 0 { head_len(d) } else { 0 };
    // Even an empty object needs room for its head.
    let Some(room) = MAX_FRAME_CONTENT.checked_sub(frame.len() + overhead) else { return Turn::NoRoom };
    let left = d.object.content.len() - d.sent;
    let counts = !matches!(source, Source::Response(_));
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
        if counts && (places.credit_is_short || !places.allowance.take(d.object.cost())) {
            return Turn::NoCredit;
        }
        if fits_a_frame {
            write_piece(source, d, left, true, frame);
            *queued -= if counts { left } else { 0 };
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
    *queued -= if counts { len } else { 0 };
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
