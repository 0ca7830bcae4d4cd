//! What waits to be sent, and in which order it goes into frames.
//!
//! Control segments go first: they are few, small, and others wait for them. Everything else takes turns, a
//! [`QUANTUM`] each, so that a call never waits for a bulk transfer to end. An object that fits into one frame is
//! never split; a larger one takes one of [`MAX_OPEN_MESSAGES`](crate::limits::MAX_OPEN_MESSAGES) places for as long as it is
//! on its way. An object starts only when its receiver has credit for all of it, so two half-sent objects can never block each
//! other. Messages and requests have credit of their own: a call gets through beside messages that the peer's app does not take.

use std::collections::{HashMap, VecDeque};

use bytes::BytesMut;

use crate::id::GroupId;
use crate::limits::{MAX_FRAME_CONTENT, QUANTUM};

use super::control::Controls;
use super::object::Object;
use super::streams::{StreamNews, Streams};

mod departing;

use departing::{Credited, Departing, Places, write_next};

pub(super) use departing::RequestLine;

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

/// How much of a request has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Nothing,
    Beginning,
    All,
}

#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Departing>,
    scheduled: bool,
}

/// Everything that waits to be sent, except streams' bytes.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) control: Controls,
    ready: VecDeque<Source>,
    without_place: VecDeque<Source>,
    messages: Credited,
    calls: Credited,
    lanes: HashMap<u64, Lane>,
    requests: HashMap<u64, Departing>,
    responses: HashMap<u64, Departing>,
    places: Places,
    /// Bytes that answers hold.
    answers: usize,
}

/// What a source takes in a queue that doubles.
const SOURCE_COST: usize = 2 * size_of::<Source>();

impl Outbox {
    /// Bytes of messages that wait.
    pub(super) fn queued_messages(&self) -> usize {
        self.messages.queued
    }

    /// Bytes of requests that wait.
    pub(super) fn queued_requests(&self) -> usize {
        self.calls.queued
    }

    /// Whether a frame made now could carry something.
    pub(super) fn has_work(&self) -> bool {
        !self.control.is_empty() || !self.ready.is_empty()
    }

    /// Whether nothing waits at all, not even for credit.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_work() && self.without_credit() == 0 && self.without_place.is_empty()
    }

    /// Bytes of answers to the peer.
    pub(super) fn answers(&self) -> usize {
        self.answers
    }

    /// Bytes of everything else that the peer's segments leave here.
    pub(super) fn owed(&self) -> usize {
        let sources = self.ready.len() + self.without_credit() + self.without_place.len();
        self.control.held() + sources * SOURCE_COST
    }

    fn without_credit(&self) -> usize {
        self.messages.waiting() + self.calls.waiting()
    }

    pub(super) fn push_message(&mut self, lane: u64, object: Object) {
        self.messages.queued += object.content.len();
        let entry = self.lanes.entry(lane).or_default();
        entry.queue.push_back(Departing::new(object));
        if !std::mem::replace(&mut entry.scheduled, true) {
            self.ready.push_back(Source::Lane(lane));
        }
    }

    pub(super) fn push_request(&mut self, call: u64, line: RequestLine, object: Object) {
        self.calls.queued += object.content.len();
        self.requests.insert(call, Departing { request: Some(line), ..Departing::new(object) });
        self.ready.push_back(Source::Request(call));
    }

    pub(super) fn push_response(&mut self, call: u64, group: Option<GroupId>, object: Object) {
        self.answers += object.held();
        self.responses.insert(call, Departing { group, ..Departing::new(object) });
        self.ready.push_back(Source::Response(call));
    }

    /// The answers to calls of groups that are not `allowed`.
    pub(super) fn answers_outside(&self, allowed: impl Fn(Option<GroupId>) -> bool) -> Vec<u64> {
        self.responses.iter().filter(|(_, d)| !allowed(d.group)).map(|(call, _)| *call).collect()
    }

    /// Drops the messages of a lane, except for one whose beginning was sent: the rest of it follows.
    pub(super) fn drop_messages(&mut self, lane: u64) {
        let Some(entry) = self.lanes.get_mut(&lane) else { return };
        let begun = usize::from(entry.queue.front().is_some_and(|d| d.sent > 0));
        self.messages.queued -= entry.queue.drain(begun..).map(|d| d.object.content.len()).sum::<usize>();
        if begun == 0 {
            entry.scheduled = false;
            self.unschedule(Source::Lane(lane));
        }
    }

    pub(super) fn schedule_stream(&mut self, stream: u64) {
        self.ready.push_back(Source::Stream(stream));
    }

    /// Returns how much of it the peer has seen.
    pub(super) fn drop_request(&mut self, call: u64) -> Seen {
        let Some(d) = self.requests.remove(&call) else { return Seen::All };
        self.calls.queued -= d.object.content.len() - d.sent;
        self.unschedule(Source::Request(call));
        self.leave_place(&d);
        if d.sent > 0 { Seen::Beginning } else { Seen::Nothing }
    }

    pub(super) fn drop_response(&mut self, call: u64) {
        if let Some(d) = self.responses.remove(&call) {
            self.answers -= d.object.held();
            self.unschedule(Source::Response(call));
            self.leave_place(&d);
        }
    }

    /// The peer takes messages of so many bytes in all.
    pub(super) fn raise_message_credit(&mut self, limit: u64) {
        self.messages.raise(limit, &mut self.ready);
    }

    /// The peer takes requests of so many bytes in all.
    pub(super) fn raise_call_credit(&mut self, limit: u64) {
        self.calls.raise(limit, &mut self.ready);
    }

    /// Forgets a source that has nothing to send any more.
    fn unschedule(&mut self, gone: Source) {
        self.ready.retain(|source| *source != gone);
        self.without_place.retain(|source| *source != gone);
        self.messages.forget(gone, &mut self.ready);
        self.calls.forget(gone, &mut self.ready);
    }

    /// Fills `frame` up to [`MAX_FRAME_CONTENT`].
    pub(super) fn fill(
        &mut self,
        frame: &mut BytesMut,
        streams: &mut Streams,
        news: &mut VecDeque<StreamNews>,
    ) {
        if !self.control.write(frame) {
            return;
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
                    if turn != Turn::Done {
                        self.requests.extend(d.map(|d| (call, d)));
                    }
                    turn
                }
                Source::Response(call) => {
                    let mut d = self.responses.remove(&call);
                    let turn = self.visit_single(source, d.as_mut(), share, frame);
                    if turn == Turn::Done {
                        self.answers -= d.map_or(0, |d| d.object.held());
                    } else {
                        self.responses.extend(d.map(|d| (call, d)));
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
                Turn::NoCredit => match source {
                    Source::Request(_) => self.calls.wait(source),
                    _ => self.messages.wait(source),
                },
                Turn::NoPlace => self.without_place.push_back(source),
            }
        }
    }

    fn visit_lane(&mut self, lane: u64, share: usize, frame: &mut BytesMut) -> Turn {
        let until = frame.len() + share;
        let Some(entry) = self.lanes.get_mut(&lane) else { return Turn::Done };
        while let Some(d) = entry.queue.front_mut() {
            let credited = Some(&mut self.messages);
            let turn = write_next(Source::Lane(lane), d, share, &mut self.places, credited, frame);
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
        let credited = matches!(source, Source::Request(_)).then_some(&mut self.calls);
        let turn = write_next(source, d, share, &mut self.places, credited, frame);
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
