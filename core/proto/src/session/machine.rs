//! The session itself.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::bucket::Bucket;
use crate::id::{DeviceId, GroupId};
use crate::limits::{
    ACK_EVERY, FULL_PING, MAX_FRAME, MAX_FRAME_CONTENT, MAX_MESSAGE, MAX_OWED, OBJECT_COST, RECEIVE_BUDGET,
    SEND_QUEUE, VAIN_BURST, VAIN_FRAME, VAIN_PER_SECOND,
};
use crate::time::{Instant, earliest};
use crate::timing::{ACK_DELAY, CONTACT_GAP};

use super::account::{Account, MemoryBudget};
use super::assembly::Assemblies;
use super::calls::{CallId, InboundCallId, Pending};
use super::credit::Grant;
use super::error::SessionError;
use super::event::{CallError, SessionEvent};
use super::inbound::{InboundCalls, Lanes};
use super::inbox::Inbox;
use super::outbox::Outbox;
use super::retained::Retained;
use super::streams::{StreamNews, Streams};
use super::wire::{FrameKind, Header};

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
    /// The process's memory for all its sessions.
    pub budget: MemoryBudget,
}

/// What two devices share across connections: messages, calls and streams, each exactly once and in order.
#[derive(Debug)]
pub struct SessionMachine {
    pub(super) config: SessionConfig,
    pub(super) retained: Retained,
    attached: bool,
    pub(super) outbox: Outbox,
    pub(super) streams: Streams,
    pub(super) news: VecDeque<StreamNews>,
    pub(super) lanes: Lanes,
    pub(super) assemblies: Assemblies,
    pub(super) inbox: Inbox,
    /// What the peer may send as messages.
    pub(super) messages: Grant,
    /// What the peer may send as requests.
    pub(super) requests: Grant,
    /// Calls of ours, and the group each is about.
    pub(super) calls: Pending<Option<GroupId>>,
    pub(super) next_call: u64,
    pub(super) inbound: InboundCalls,
    pub(super) next_stream: u64,
    pub(super) next_remote_stream: u64,
    /// The lanes this side has declared.
    pub(super) lane_of: HashMap<GroupId, u64>,
    pub(super) events: VecDeque<SessionEvent>,
    /// The next DATA frame expected from the peer.
    next_in: u64,
    pub(super) heard: Instant,
    /// How long the peer has been heard in all, without the silence in between.
    pub(super) contact: Duration,
    unacked_bytes: usize,
    ack_due: Option<Instant>,
    /// Messages found no room, and wait for [`SessionEvent::SendRoom`].
    pub(super) messages_wait: bool,
    /// The same of calls.
    pub(super) calls_wait: bool,
    /// What the peer makes this side hold.
    received: Account,
    /// What the peer has not acknowledged.
    sent: Account,
    /// What the peer asks for in vain.
    pub(super) vain: Bucket,
}

impl SessionMachine {
    /// A session that has no connection yet.
    pub fn new(config: SessionConfig) -> Self {
        let ours_is_odd = u64::from(config.local > config.remote);
        let (received, sent) = (Account::new(&config.budget.received), Account::new(&config.budget.sent));
        Self {
            config,
            retained: Retained::default(),
            attached: false,
            outbox: Outbox::default(),
            streams: Streams::new(),
            news: VecDeque::new(),
            lanes: Lanes::default(),
            assemblies: Assemblies::default(),
            inbox: Inbox::default(),
            messages: object_grant(),
            requests: object_grant(),
            calls: Pending::default(),
            next_call: 0,
            inbound: InboundCalls::default(),
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
            messages_wait: false,
            calls_wait: false,
            received,
            sent,
            vain: Bucket::new(VAIN_PER_SECOND, VAIN_BURST),
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

    // ---- paths ----

    /// The next frame expected from the peer: what this side says in READY.
    pub fn next_expected(&self) -> u64 {
        self.next_in
    }

    /// Moves the session to a new path whose peer expects the frame `next`: everything from there on is sent again,
    /// what arrives twice is dropped by its number.
    pub fn attach(&mut self, next: u64) -> Result<(), SessionError> {
        self.acknowledge(next)?;
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

    /// Whether [`SessionMachine::poll_frame`] may have something new.
    pub fn has_work(&self) -> bool {
        self.attached
            && (self.retained.has_repeats()
                || self.outbox.has_work() && self.has_send_room()
                || self.unacked_bytes >= ACK_EVERY)
    }

    /// Whether nothing waits to be sent, answered or acknowledged.
    pub fn is_drained(&self) -> bool {
        self.outbox.is_empty() && self.retained.is_empty() && self.inbound.is_empty()
    }

    /// Ends the session: every waiting call gets [`CallError::SessionLost`]. Messages that have arrived can still be taken;
    /// nothing else is kept.
    pub fn end(&mut self) {
        self.attached = false;
        while let Some((call, _)) = self.calls.expired(Instant::from_micros(u64::MAX)) {
            self.events.push_back(SessionEvent::Response(CallId(call), Err(CallError::SessionLost)));
        }
        self.retained.clear();
        self.outbox = Outbox::default();
        self.streams = Streams::new();
        self.assemblies = Assemblies::default();
        self.inbound = InboundCalls::default();
        self.settle();
    }

    // ---- the path's side ----

    /// Takes a frame of the session or its path, already opened.
    pub fn handle_frame(&mut self, frame: &Bytes, now: Instant) -> Result<(), SessionError> {
        let mut rest: &[u8] = frame;
        let header = Header::read(&mut rest)?;
        self.acknowledge(header.ack)?;
        self.contact += (now - self.heard).min(CONTACT_GAP);
        self.heard = now;
        // It brings nothing new, and costs as much as one that does.
        if header.kind != FrameKind::Data || header.seq != self.next_in || rest.is_empty() {
            self.vain.take(VAIN_FRAME, now);
        }
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
            self.inbox.let_go(frame);
            self.next_in += 1;
            if self.outbox.owed() > MAX_OWED {
                return Err(SessionError::Violation("acknowledges too little"));
            }
            if !self.settle() {
                return Err(SessionError::Overloaded);
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self, next: u64) -> Result<(), SessionError> {
        if !self.retained.acknowledge(next) {
            return Err(SessionError::Violation("acknowledges the future"));
        }
        // It only becomes less.
        let _ = self.sent.set(self.retained.held());
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
        if self.outbox.has_work() && self.has_send_room() {
            let mut frame = BytesMut::with_capacity(MAX_FRAME_CONTENT);
            let header = Header { kind: FrameKind::Data, seq: self.retained.next_seq(), ack: self.next_in };
            header.write(&mut frame);
            let empty = frame.len();
            self.outbox.fill(&mut frame, &mut self.streams, &mut self.news);
            self.tell_room();
            if frame.len() > empty {
                let frame = self.retained.push(frame);
                // Refused only if other sessions took the last of the pool since it was asked: a frame each.
                let _ = self.sent.set(self.retained.held());
                self.settle();
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

    /// A frame without segments: an acknowledgement, or the path's own pong or goodbye with its `number`.
    pub fn header_frame(&self, kind: FrameKind, number: u64) -> Bytes {
        let mut frame = BytesMut::with_capacity(Header::MAX_LEN);
        Header { kind, seq: number, ack: self.next_in }.write(&mut frame);
        frame.freeze()
    }

    /// The path's own ping. A `full` one fills whole packets of any transport, so that its answer says that they arrive.
    pub fn ping(&self, number: u64, full: bool) -> Bytes {
        let mut frame = BytesMut::with_capacity(if full { FULL_PING } else { Header::MAX_LEN });
        Header { kind: FrameKind::Ping, seq: number, ack: self.next_in }.write(&mut frame);
        if full {
            frame.resize(FULL_PING, 0);
        }
        frame.freeze()
    }

    /// Bytes kept until the peer has acknowledged them: at most [`crate::limits::SEND_WINDOW`] and one frame.
    pub fn retained_bytes(&self) -> usize {
        self.retained.held()
    }

    /// Bytes held for the peer: what it sent and is not taken, and what it asked for and has not taken.
    pub fn held_bytes(&self) -> usize {
        let arrived = self.assemblies.held() + self.inbox.held() + self.inbound.held() + self.streams.held();
        arrived + self.outbox.answers() + self.outbox.owed()
    }

    /// Until when the peer's frames wait: it asks in vain more often than this side wants to answer. `None`: not now.
    pub fn rests_until(&mut self, now: Instant) -> Option<Instant> {
        self.vain.take(0, now)
    }

    /// The number of the first frame that was sent and that the peer has not acknowledged.
    pub fn unacknowledged(&self) -> Option<u64> {
        self.retained.first()
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

    /// When [`SessionMachine::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.calls.timeout(), self.inbound.timeout())
    }

    /// When [`SessionMachine::poll_frame`] has an acknowledgement to send even if nothing else happens.
    pub fn ack_timeout(&self) -> Option<Instant> {
        self.ack_due.filter(|_| self.attached)
    }

    /// Collects overdue calls.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((call, _)) = self.calls.expired(now) {
            self.abandon(call);
            self.events.push_back(SessionEvent::Response(CallId(call), Err(CallError::TimedOut)));
        }
        while let Some((call, about)) = self.inbound.expired(now) {
            self.release_request(about.cost);
            self.events.push_back(SessionEvent::RequestCancelled(InboundCallId(call)));
        }
        self.settle();
    }

    // ---- shared with `app` and `inbound` ----

    /// Counts what is held now; false if that is more than the session may hold.
    pub(super) fn settle(&mut self) -> bool {
        self.received.set(self.held_bytes())
    }

    /// Returns credit for messages that the app has taken.
    pub(super) fn release_message(&mut self, cost: u64) {
        if let Some(limit) = self.messages.release(cost) {
            self.outbox.control.message_credit(limit);
        }
    }

    /// Returns credit for a request that waits no more.
    pub(super) fn release_request(&mut self, cost: u64) {
        if let Some(limit) = self.requests.release(cost) {
            self.outbox.control.call_credit(limit);
        }
    }

    fn has_send_room(&self) -> bool {
        self.retained.has_room() && self.sent.allows(self.retained.held() + MAX_FRAME)
    }

    /// Tells once, when a queue is half empty: a sender woken for every frame would sleep again at once. Messages and calls
    /// do not wait for each other.
    pub(super) fn tell_room(&mut self) {
        let for_messages = self.messages_wait && self.outbox.queued_messages() <= SEND_QUEUE / 2;
        let for_calls =
            self.calls_wait && self.outbox.queued_requests() <= SEND_QUEUE / 2 && !self.calls.is_full();
        self.messages_wait &= !for_messages;
        self.calls_wait &= !for_calls;
        if for_messages || for_calls {
            self.events.push_back(SessionEvent::SendRoom);
        }
    }

    fn acknowledged(&mut self) {
        self.ack_due = None;
        self.unacked_bytes = 0;
    }
}

/// Credit of one kind of object: the largest one fits whenever all is taken.
fn object_grant() -> Grant {
    Grant::with_step(RECEIVE_BUDGET as u64, (RECEIVE_BUDGET - MAX_MESSAGE - OBJECT_COST) as u64)
}
