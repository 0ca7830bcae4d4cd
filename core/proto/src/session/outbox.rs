//! What waits to be sent, and in which order it goes into frames.
//!
//! Control segments go first: they are few, small, and others wait for them. Everything else takes turns, a
//! [`QUANTUM`] each, so that a call never waits for a bulk transfer to end. An object that fits into one frame is
//! never split; a larger one takes one of [`MAX_OPEN_MESSAGES`] places for as long as it is on its way. An object
//! starts only when its receiver has credit for all of it, so two half-sent objects can never block each other.

use std::collections::{HashMap, VecDeque};

use bytes::BytesMut;

use crate::id::GroupId;
use crate::limits::{
    MAX_FRAME_CONTENT, MAX_OPEN_MESSAGES, MAX_REASSEMBLY_PER_CONNECTION, QUANTUM, RECEIVE_BUDGET,
};

use super::credit::Allowance;
use super::object::Object;
use super::streams::{StreamNews, Streams};
use super::wire::{FailureCode, ObjectHead, Piece, RequestHead, Segment};

/// Segments that go before all others.
#[derive(Debug)]
pub(super) enum Control {
    Lane { lane: u64, group: GroupId },
    Failure { call: u64, code: FailureCode, text: String },
    Cancel { call: u64 },
    ObjectCredit { limit: u64 },
    StreamOpen { stream: u64, lane: u64, name: String },
    StreamReset { stream: u64, code: u64 },
    StreamStop { stream: u64, code: u64 },
    StreamCredit { stream: u64, limit: u64 },
}

impl Control {
    fn segment(&self) -> Segment<'_> {
        match *self {
            Self::Lane { lane, group } => Segment::Lane { lane, group },
            Self::Failure { call, code, ref text } => Segment::Failure { call, code, text },
            Self::Cancel { call } => Segment::Cancel { call },
            Self::ObjectCredit { limit } => Segment::ObjectCredit { limit },
            Self::StreamOpen { stream, lane, ref name } => Segment::StreamOpen { stream, lane, name },
            Self::StreamReset { stream, code } => Segment::StreamReset { stream, code },
            Self::StreamStop { stream, code } => Segment::StreamStop { stream, code },
            Self::StreamCredit { stream, limit } => Segment::StreamCredit { stream, limit },
        }
    }

    fn max_len(&self) -> usize {
        let body = match self {
            Self::Failure { text, .. } => 1 + text.len(),
            Self::StreamOpen { name, .. } => 8 + name.len(),
            _ => 24,
        };
        Segment::MAX_OVERHEAD + body
    }
}

/// Who has something to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Lane(u64),
    Request(u64),
    Response(u64),
    Stream(u64),
}

/// How a source's turn ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It has more to send.
    More,
    /// It has nothing to send now.
    Done,
    /// The frame is full.
    NoRoom,
    /// The receiver has no credit for its next object.
    NoCredit,
    /// Too many large objects are on their way.
    NoPlace,
}

/// A request's head, owned.
#[derive(Debug)]
pub(super) struct RequestLine {
    pub(super) lane: u64,
    pub(super) timeout_ms: u64,
    pub(super) service: String,
    pub(super) method: String,
}

#[derive(Debug)]
struct Departing {
    object: Object,
    sent: usize,
    request: Option<RequestLine>,
}

#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Departing>,
    scheduled: bool,
}

/// Everything that waits to be sent, except streams' bytes.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) control: VecDeque<Control>,
    ready: VecDeque<Source>,
    without_credit: VecDeque<Source>,
    without_place: VecDeque<Source>,
    lanes: HashMap<u64, Lane>,
    requests: HashMap<u64, Departing>,
    responses: HashMap<u64, Departing>,
    places: Places,
    /// Bytes of messages and requests that wait.
    queued: usize,
}

/// What the peer has promised to hold for us.
#[derive(Debug)]
struct Places {
    allowance: Allowance,
    open: usize,
    open_bytes: usize,
    /// Some source waits for credit: later ones queue behind it.
    credit_is_short: bool,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            control: VecDeque::new(),
            ready: VecDeque::new(),
            without_credit: VecDeque::new(),
            without_place: VecDeque::new(),
            lanes: HashMap::new(),
            requests: HashMap::new(),
            responses: HashMap::new(),
            places: Places {
                allowance: Allowance::new(RECEIVE_BUDGET as u64),
                open: 0,
                open_bytes: 0,
                credit_is_short: false,
            },
            queued: 0,
        }
    }

    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// Whether a frame made now could carry something.
    pub(super) fn has_work(&self) -> bool {
        !self.control.is_empty() || !self.ready.is_empty()
    }

    /// Whether nothing waits at all, not even for credit.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_work() && self.without_credit.is_empty() && self.without_place.is_empty()
    }

    pub(super) fn push_message(&mut self, lane: u64, object: Object) {
        self.queued += object.content.len();
        let entry = self.lanes.entry(lane).or_default();
        entry.queue.push_back(Departing { object, sent: 0, request: None });
        if !std::mem::replace(&mut entry.scheduled, true) {
            self.ready.push_back(Source::Lane(lane));
        }
    }

    pub(super) fn push_request(&mut self, call: u64, line: RequestLine, object: Object) {
        self.queued += object.content.len();
        self.requests.insert(call, Departing { object, sent: 0, request: Some(line) });
        self.ready.push_back(Source::Request(call));
    }

    pub(super) fn push_response(&mut self, call: u64, object: Object) {
        self.responses.insert(call, Departing { object, sent: 0, request: None });
        self.ready.push_back(Source::Response(call));
    }

    pub(super) fn schedule_stream(&mut self, stream: u64) {
        self.ready.push_back(Source::Stream(stream));
    }

    /// Returns whether some of it was sent already, so that the peer holds the beginning of it.
    pub(super) fn drop_request(&mut self, call: u64) -> bool {
        let Some(d) = self.requests.remove(&call) else { return false };
        self.queued -= d.object.content.len() - d.sent;
        self.leave_place(&d);
        d.sent > 0
    }

    pub(super) fn drop_response(&mut self, call: u64) {
        if let Some(d) = self.responses.remove(&call) {
            self.leave_place(&d);
        }
    }

    pub(super) fn raise_credit(&mut self, limit: u64) {
        self.places.allowance.raise(limit);
        self.places.credit_is_short = false;
        while let Some(source) = self.without_credit.pop_back() {
            self.ready.push_front(source);
        }
    }

    /// Fills `frame` up to [`MAX_FRAME_CONTENT`].
    pub(super) fn fill(
        &mut self,
        frame: &mut BytesMut,
        streams: &mut Streams,
        news: &mut VecDeque<StreamNews>,
    ) {
        while let Some(control) = self.control.front() {
            if frame.len() + control.max_len() > MAX_FRAME_CONTENT {
                return;
            }
            control.segment().write(frame);
            self.control.pop_front();
        }
        while let Some(source) = self.ready.pop_front() {
            let share = if self.ready.is_empty() { MAX_FRAME_CONTENT } else { QUANTUM };
            let turn = match source {
                Source::Stream(id) => {
                    let (turn, told) = streams.visit(id, share, frame);
                    news.extend(told);
                    turn
                }
                Source::Lane(lane) => self.visit_lane(lane, share, frame),
                Source::Request(call) => {
                    let mut d = self.requests.remove(&call);
                    let turn = self.visit_single(source, d.as_mut(), share, frame);
                    if turn != Turn::Done
                        && let Some(d) = d
                    {
                        self.requests.insert(call, d);
                    }
                    turn
                }
                Source::Response(call) => {
                    let mut d = self.responses.remove(&call);
                    let turn = self.visit_single(source, d.as_mut(), share, frame);
                    if turn != Turn::Done
                        && let Some(d) = d
                    {
                        self.responses.insert(call, d);
                    }
                    turn
                }
            };
            match turn {
                Turn::More => self.ready.push_back(source),
                Turn::Done => {}
                Turn::NoRoom => {
                    self.ready.push_front(source);
                    return;
                }
                Turn::NoCredit => {
                    self.places.credit_is_short = true;
                    self.without_credit.push_back(source);
                }
                Turn::NoPlace => self.without_place.push_back(source),
            }
        }
    }

    fn visit_lane(&mut self, lane: u64, share: usize, frame: &mut BytesMut) -> Turn {
        let until = frame.len() + share;
        let Some(entry) = self.lanes.get_mut(&lane) else { return Turn::Done };
        while let Some(d) = entry.queue.front_mut() {
            let turn = write_next(Source::Lane(lane), d, share, &mut self.places, &mut self.queued, frame);
            if turn != Turn::Done {
                return turn;
            }
            let was_split = d.sent > 0;
            let done = entry.queue.pop_front();
            if was_split && let Some(d) = done {
                self.leave_place(&d);
                // The borrow of the lane ends here; its turn does too.
                return self.lane_turn(lane);
            }
            if frame.len() >= until {
                break;
            }
        }
        self.lane_turn(lane)
    }

    fn lane_turn(&mut self, lane: u64) -> Turn {
        match self.lanes.get_mut(&lane) {
            Some(entry) if entry.queue.is_empty() => {
                entry.scheduled = false;
                Turn::Done
            }
            Some(_) => Turn::More,
            None => Turn::Done,
        }
    }

    fn visit_single(
        &mut self,
        source: Source,
        departing: Option<&mut Departing>,
        share: usize,
        frame: &mut BytesMut,
    ) -> Turn {
        let Some(d) = departing else { return Turn::Done }; // dropped while it waited
        let turn = write_next(source, d, share, &mut self.places, &mut self.queued, frame);
        if turn == Turn::Done {
            self.leave_place(d);
        }
        turn
    }

    /// An object that was split is whole at the peer, or given up.
    fn leave_place(&mut self, d: &Departing) {
        if d.sent > 0 {
            self.places.open -= 1;
            self.places.open_bytes -= d.object.content.len();
            while let Some(source) = self.without_place.pop_back() {
                self.ready.push_front(source);
            }
        }
    }
}

/// Writes the object, or its next piece. [`Turn::Done`]: all of it is written.
fn write_next(
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
        let fits_a_frame = left + overhead <= MAX_FRAME_CONTENT - super::wire::Header::MAX_LEN;
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
