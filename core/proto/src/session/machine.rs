//! The session itself.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::id::{DeviceId, GroupId};
use crate::limits::{
    ACK_EVERY, MAX_FRAME_CONTENT, MAX_GROUPS, MAX_MESSAGE, MAX_NAME, MAX_STREAMS, RECEIVE_BUDGET, SEND_QUEUE,
};
use crate::time::{Instant, earliest};
use crate::timing::{ACK_DELAY, CONTACT_GAP, MAX_CALL_TIMEOUT};

use super::assembly::{Assemblies, ReassemblyBudget};
use super::calls::{CallId, InboundCallId, Pending};
use super::credit::Grant;
use super::error::{SendError, SessionError, StreamError};
use super::inbound::{InboundCall, Lanes};
use super::object::Object;
use super::outbox::{Control, Outbox, RequestLine};
use super::retained::Retained;
use super::streams::{StreamNews, Streams};
use super::wire::{FailureCode, FrameKind, Header};

/// What a session is between.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// This device.
    pub local: DeviceId,
    /// The peer, as proven by the handshake.
    pub remote: DeviceId,
    /// The groups both are members of.
    pub groups: HashSet<GroupId>,
    /// Whether the peer's trust allows what belongs to no group. Ours is for the peer to judge.
    pub ungrouped: bool,
    /// The process's share of memory for reassembly.
    pub budget: ReassemblyBudget,
}

/// A message from the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The group it belongs to.
    pub group: Option<GroupId>,
    /// What it says.
    pub object: Object,
}

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The peer's handler says no.
    #[error("{code:?}: {text}")]
    Failed {
        /// What kind of no.
        code: FailureCode,
        /// The peer's words, at most [`crate::limits::MAX_ERROR_TEXT`] bytes.
        text: String,
    },
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The session ended first.
    #[error("the session ended")]
    SessionLost,
}

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Names the handler, at most [`MAX_NAME`] bytes.
    pub service: String,
    /// Names what it shall do, at most [`MAX_NAME`] bytes.
    pub method: String,
    /// The group it is about.
    pub group: Option<GroupId>,
    /// How long the caller waits.
    pub timeout: Duration,
    /// The argument.
    pub object: Object,
}

/// What the app is to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// [`Session::next_message`] has something.
    MessagesReady,
    /// The peer asks for something; answer with [`Session::respond`].
    Request(InboundCallId, Request),
    /// The peer no longer waits for this answer.
    RequestCancelled(InboundCallId),
    /// A call of ours is answered.
    Response(CallId, Result<Object, CallError>),
    /// The peer opened a stream.
    StreamOpened {
        /// Its id.
        stream: u64,
        /// What the opener calls it.
        name: String,
        /// The group it belongs to.
        group: Option<GroupId>,
    },
    /// A stream has bytes, its end or its error.
    StreamReadable(u64),
    /// A stream that was full has room, or can take no more at all.
    StreamWritable(u64),
    /// The send queue that was full has room.
    SendRoom,
}

/// What two devices share across connections: messages, calls and streams, each exactly once and in order.
#[derive(Debug)]
pub struct Session {
    pub(super) config: SessionConfig,
    pub(super) retained: Retained,
    attached: bool,
    pub(super) outbox: Outbox,
    pub(super) streams: Streams,
    pub(super) news: VecDeque<StreamNews>,
    pub(super) lanes: Lanes,
    pub(super) assemblies: Assemblies,
    pub(super) inbox: VecDeque<Message>,
    pub(super) objects: Grant,
    pub(super) calls: Pending<()>,
    next_call: u64,
    pub(super) inbound: Pending<InboundCall>,
    next_stream: u64,
    pub(super) next_remote_stream: u64,
    lane_of: HashMap<GroupId, u64>,
    pub(super) events: VecDeque<SessionEvent>,
    /// The next DATA frame expected from the peer.
    next_in: u64,
    heard: Instant,
    /// How long the peer has been heard in all, without the silence in between.
    pub(super) contact: Duration,
    unacked_bytes: usize,
    ack_due: Option<Instant>,
    send_was_full: bool,
}

impl Session {
    /// A session that has no connection yet.
    pub fn new(config: SessionConfig) -> Self {
        let ours_is_odd = u64::from(config.local > config.remote);
        let assemblies = Assemblies::new(config.budget.clone());
        Self {
            config,
            retained: Retained::default(),
            attached: false,
            outbox: Outbox::new(),
            streams: Streams::new(),
            news: VecDeque::new(),
            lanes: Lanes::default(),
            assemblies,
            inbox: VecDeque::new(),
            objects: Grant::new(RECEIVE_BUDGET as u64),
            calls: Pending::new(),
            next_call: 0,
            inbound: Pending::new(),
            // Ids below 2 are taken: 0 speaks of all streams.
            next_stream: 2 + ours_is_odd,
            next_remote_stream: 2 + (1 - ours_is_odd),
            lane_of: HashMap::new(),
            events: VecDeque::new(),
            next_in: 0,
            heard: Instant::ZERO,
            contact: Duration::ZERO,
            unacked_bytes: 0,
            ack_due: None,
            send_was_full: false,
        }
    }

    /// The peer.
    pub fn remote(&self) -> DeviceId {
        self.config.remote
    }

    /// Whether this end decides where one of the two must: the same two devices always agree who it is.
    pub fn leads(&self) -> bool {
        self.config.local < self.config.remote
    }

    /// Replaces the groups both are members of. Objects of other groups are refused from now on.
    pub fn set_groups(&mut self, groups: HashSet<GroupId>) {
        self.config.groups = groups;
    }

    /// Changes whether the peer may send what belongs to no group.
    pub fn set_ungrouped(&mut self, allowed: bool) {
        self.config.ungrouped = allowed;
    }

    // ---- paths ----

    /// The next frame expected from the peer: what this side says in READY.
    pub fn next_expected(&self) -> u64 {
        self.next_in
    }

    /// Moves the session to a new path whose peer expects the frame `next`: everything from there on is sent again,
    /// what arrives twice is dropped by its number.
    pub fn attach(&mut self, next: u64) -> Result<(), SessionError> {
        if !self.retained.acknowledge(next) {
            return Err(SessionError::Violation("acknowledges the future"));
        }
        self.switch();
        Ok(())
    }

    /// Moves the session to another path of the same peer that is established already. Something is sent there at once, so
    /// that the peer knows.
    pub fn switch(&mut self) {
        self.retained.rewind();
        self.attached = true;
        self.ack_due = Some(Instant::ZERO);
    }

    /// The path is gone; the session waits for another.
    pub fn detach(&mut self) {
        self.attached = false;
    }

    // ---- the app's side ----

    /// Queues a message.
    pub fn send_message(&mut self, group: Option<GroupId>, object: Object) -> Result<(), SendError> {
        check_size(&object)?;
        self.check_room()?;
        let lane = self.lane(group)?;
        self.outbox.push_message(lane, object);
        Ok(())
    }

    /// Takes the next message.
    pub fn next_message(&mut self) -> Option<Message> {
        let message = self.inbox.pop_front()?;
        self.release(message.object.cost());
        Some(message)
    }

    /// Asks the peer for something.
    pub fn call(&mut self, request: Request, now: Instant) -> Result<CallId, SendError> {
        check_size(&request.object)?;
        if request.service.len() > MAX_NAME || request.method.len() > MAX_NAME {
            return Err(SendError::NameTooLong);
        }
        self.check_room()?;
        if self.calls.is_full() {
            self.send_was_full = true;
            return Err(SendError::Full);
        }
        let lane = self.lane(request.group)?;
        let call = self.next_call;
        self.next_call += 1;
        self.calls.insert(call, request.timeout, (), now);
        let line = RequestLine {
            lane,
            timeout_ms: request.timeout.min(MAX_CALL_TIMEOUT).as_millis() as u64,
            service: request.service,
            method: request.method,
        };
        self.outbox.push_request(call, line, request.object);
        Ok(CallId(call))
    }

    /// Gives up a call: the peer is told, a late answer is dropped.
    pub fn cancel(&mut self, call: CallId) {
        if self.calls.remove(call.0).is_some() {
            self.abandon(call.0);
        }
    }

    /// Answers a call of the peer; does nothing if it no longer waits.
    pub fn respond(&mut self, call: InboundCallId, answer: Result<Object, (FailureCode, String)>) {
        let Some(about) = self.inbound.remove(call.0) else { return };
        self.release(about.cost);
        match answer {
            Ok(object) if object.content.len() <= MAX_MESSAGE && object.raw_len <= MAX_MESSAGE => {
                self.outbox.push_response(call.0, object);
            }
            Ok(_) => self.fail_inbound(call.0, FailureCode::Application, "the answer is too large".into()),
            Err((code, text)) => self.fail_inbound(call.0, code, text),
        }
    }

    /// Opens a stream to the peer.
    pub fn open_stream(&mut self, name: &str, group: Option<GroupId>) -> Result<u64, SendError> {
        if name.len() > MAX_NAME {
            return Err(SendError::NameTooLong);
        }
        if self.streams.len() >= MAX_STREAMS {
            return Err(SendError::Full);
        }
        let lane = self.lane(group)?;
        let stream = self.next_stream;
        self.next_stream += 2;
        self.streams.insert(stream);
        self.outbox.control.push_back(Control::StreamOpen { stream, lane, name: name.into() });
        Ok(stream)
    }

    /// Queues what fits and leaves the rest in `data`; [`SessionEvent::StreamWritable`] tells when to go on.
    pub fn write(&mut self, stream: u64, data: &mut Bytes) -> Result<(), StreamError> {
        if self.streams.write(stream, data)? {
            self.outbox.schedule_stream(stream);
        }
        Ok(())
    }

    /// Ends the outgoing direction after what is queued.
    pub fn finish(&mut self, stream: u64) -> Result<(), StreamError> {
        if self.streams.finish(stream)? {
            self.outbox.schedule_stream(stream);
        }
        Ok(())
    }

    /// Whether everything written to a finished stream is on its way.
    pub fn is_flushed(&self, stream: u64) -> Result<bool, StreamError> {
        self.streams.is_flushed(stream)
    }

    /// Gives up the outgoing direction.
    pub fn reset(&mut self, stream: u64, code: u64) {
        self.streams.reset(stream, code, &mut self.outbox.control);
    }

    /// Takes what arrived. `None`: nothing now. Empty bytes: the end.
    pub fn read(&mut self, stream: u64) -> Result<Option<Bytes>, StreamError> {
        self.streams.read(stream, &mut self.outbox.control)
    }

    /// Declines the rest of the incoming direction.
    pub fn stop(&mut self, stream: u64, code: u64) {
        self.streams.stop(stream, code, &mut self.outbox.control);
    }

    /// Whether [`Session::poll_frame`] may have something new.
    pub fn has_work(&self) -> bool {
        self.attached
            && (self.retained.has_repeats()
                || self.outbox.has_work() && self.retained.has_room()
                || self.unacked_bytes >= ACK_EVERY)
    }

    /// Whether nothing waits to be sent, answered or acknowledged.
    pub fn is_drained(&self) -> bool {
        self.outbox.is_empty() && self.retained.is_empty() && self.inbound.is_empty()
    }

    /// Ends the session: every waiting call gets [`CallError::SessionLost`].
    pub fn end(&mut self) {
        self.attached = false;
        while let Some((call, ())) = self.calls.expired(Instant::from_micros(u64::MAX)) {
            self.events.push_back(SessionEvent::Response(CallId(call), Err(CallError::SessionLost)));
        }
    }

    // ---- the path's side ----

    /// Takes a frame of the session or its path, already opened.
    pub fn handle_frame(&mut self, frame: &Bytes, now: Instant) -> Result<(), SessionError> {
        let mut rest: &[u8] = frame;
        let header = Header::read(&mut rest)?;
        if !self.retained.acknowledge(header.ack) {
            return Err(SessionError::Violation("acknowledges the future"));
        }
        self.contact += (now - self.heard).min(CONTACT_GAP);
        self.heard = now;
        if header.kind == FrameKind::Data {
            self.handle_data(header.seq, frame, rest, now)?;
        }
        if self.assemblies.is_stalled(self.contact) { Err(SessionError::Stalled) } else { Ok(()) }
    }

    fn handle_data(
        &mut self,
        seq: u64,
        frame: &Bytes,
        segments: &[u8],
        now: Instant,
    ) -> Result<(), SessionError> {
        if seq > self.next_in {
            return Err(SessionError::Gap);
        }
        self.unacked_bytes += frame.len();
        self.ack_due.get_or_insert(now + ACK_DELAY);
        if seq == self.next_in {
            self.handle_segments(frame, segments, now)?;
            self.next_in += 1;
        }
        Ok(())
    }

    /// The next frame for the current path.
    pub fn poll_frame(&mut self, now: Instant) -> Option<Bytes> {
        if !self.attached {
            return None;
        }
        if let Some(frame) = self.retained.repeat() {
            return Some(frame);
        }
        if self.outbox.has_work() && self.retained.has_room() {
            let mut frame = BytesMut::with_capacity(MAX_FRAME_CONTENT);
            let header = Header { kind: FrameKind::Data, seq: self.retained.next_seq(), ack: self.next_in };
            header.write(&mut frame);
            let empty = frame.len();
            self.outbox.fill(&mut frame, &mut self.streams, &mut self.news);
            self.tell_room();
            if frame.len() > empty {
                let frame = frame.freeze();
                self.retained.push(frame.clone());
                self.acknowledged();
                return Some(frame);
            }
        }
        if self.ack_due.is_some_and(|due| due <= now) || self.unacked_bytes >= ACK_EVERY {
            self.acknowledged();
            return Some(self.header_frame(FrameKind::Ack, self.retained.next_seq()));
        }
        None
    }

    /// A frame without segments: an acknowledgement, or the path's own ping, pong or goodbye with its `number`.
    pub fn header_frame(&self, kind: FrameKind, number: u64) -> Bytes {
        let mut frame = BytesMut::with_capacity(Header::MAX_LEN);
        Header { kind, seq: number, ack: self.next_in }.write(&mut frame);
        frame.freeze()
    }

    /// Bytes kept until the peer has acknowledged them: at most [`crate::limits::SEND_WINDOW`] and one frame.
    pub fn retained_bytes(&self) -> usize {
        self.retained.bytes()
    }

    /// Whether data was sent that the peer has not acknowledged.
    pub fn has_outstanding(&self) -> bool {
        !self.retained.is_empty()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        if let Some(news) = self.news.pop_front() {
            return Some(match news {
                StreamNews::Readable(id) => SessionEvent::StreamReadable(id),
                StreamNews::Writable(id) => SessionEvent::StreamWritable(id),
            });
        }
        self.events.pop_front()
    }

    /// When [`Session::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.calls.timeout(), self.inbound.timeout())
    }

    /// When [`Session::poll_frame`] has an acknowledgement to send even if nothing else happens.
    pub fn ack_timeout(&self) -> Option<Instant> {
        self.ack_due.filter(|_| self.attached)
    }

    /// Collects overdue calls.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((call, ())) = self.calls.expired(now) {
            self.abandon(call);
            self.events.push_back(SessionEvent::Response(CallId(call), Err(CallError::TimedOut)));
        }
        while let Some((call, about)) = self.inbound.expired(now) {
            self.release(about.cost);
            self.events.push_back(SessionEvent::RequestCancelled(InboundCallId(call)));
        }
    }

    // ---- shared with `inbound` ----

    /// Returns credit for what the app has taken.
    pub(super) fn release(&mut self, cost: u64) {
        if let Some(limit) = self.objects.release(cost) {
            self.outbox.control.push_back(Control::ObjectCredit { limit });
        }
    }

    pub(super) fn fail_inbound(&mut self, call: u64, code: FailureCode, mut text: String) {
        let mut end = text.len().min(crate::limits::MAX_ERROR_TEXT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        self.outbox.control.push_back(Control::Failure { call, code, text });
    }

    pub(super) fn was_called(&self, call: u64) -> bool {
        call < self.next_call
    }

    fn abandon(&mut self, call: u64) {
        self.outbox.drop_request(call);
        self.assemblies.discard(super::assembly::Key::Response(call));
        self.outbox.control.push_back(Control::Cancel { call });
        self.tell_room();
    }

    fn lane(&mut self, group: Option<GroupId>) -> Result<u64, SendError> {
        let Some(group) = group else { return Ok(0) };
        if !self.config.groups.contains(&group) {
            return Err(SendError::NotInGroup);
        }
        if let Some(lane) = self.lane_of.get(&group) {
            return Ok(*lane);
        }
        if self.lane_of.len() >= MAX_GROUPS {
            return Err(SendError::TooManyGroups);
        }
        let lane = self.lane_of.len() as u64 + 1;
        self.lane_of.insert(group, lane);
        self.outbox.control.push_back(Control::Lane { lane, group });
        Ok(lane)
    }

    fn check_room(&mut self) -> Result<(), SendError> {
        if self.outbox.queued() >= SEND_QUEUE {
            self.send_was_full = true;
            return Err(SendError::Full);
        }
        Ok(())
    }

    /// Tells once, when the queue is half empty: a sender woken for every frame would sleep again at once.
    pub(super) fn tell_room(&mut self) {
        if self.send_was_full && self.outbox.queued() <= SEND_QUEUE / 2 && !self.calls.is_full() {
            self.send_was_full = false;
            self.events.push_back(SessionEvent::SendRoom);
        }
    }

    fn acknowledged(&mut self) {
        self.ack_due = None;
        self.unacked_bytes = 0;
    }
}

fn check_size(object: &Object) -> Result<(), SendError> {
    let fits = object.raw_len <= MAX_MESSAGE && object.content.len() <= MAX_MESSAGE;
    if fits { Ok(()) } else { Err(SendError::TooLarge) }
}
