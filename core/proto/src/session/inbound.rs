//! What the peer's segments do to a session.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;

use crate::id::GroupId;
use crate::limits::{CALL_COST, MAX_GROUPS, MAX_STREAMS};
use crate::time::Instant;
use crate::timing::MAX_CALL_TIMEOUT;

use super::assembly::Key;
use super::calls::{CallId, InboundCallId, Pending};
use super::control::Control;
use super::error::SessionError;
use super::event::{CallError, ReceivedMessage, Request, SessionEvent};
use super::kept::keep;
use super::machine::SessionMachine;
use super::object::Object;
use super::outbox::Seen;
use super::streams::{Origin, STREAM_REFUSED};
use super::wire::{FailureCode, Piece, RequestHead, Segment};

/// The lanes the peer has declared, and the requests that arrive in pieces.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    pub(super) groups: HashMap<u64, GroupId>,
    lines: HashMap<u64, Line>,
}

#[derive(Debug)]
struct Line {
    group: Option<GroupId>,
    timeout: Duration,
    service: String,
    method: String,
}

/// A call of the peer that waits for the app.
#[derive(Debug)]
pub(super) struct InboundCall {
    /// Its credit.
    pub(super) cost: u64,
    pub(super) group: Option<GroupId>,
    /// Bytes it holds.
    held: usize,
}

/// The calls of the peer that wait for the app.
#[derive(Debug, Default)]
pub(super) struct InboundCalls {
    calls: Pending<InboundCall>,
    held: usize,
}

impl InboundCalls {
    /// Bytes they hold.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.calls.timeout()
    }

    pub(super) fn matching(&self, is: impl Fn(&InboundCall) -> bool) -> Vec<u64> {
        self.calls.matching(is)
    }

    pub(super) fn remove(&mut self, call: u64) -> Option<InboundCall> {
        let about = self.calls.remove(call)?;
        self.held -= about.held;
        Some(about)
    }

    pub(super) fn expired(&mut self, now: Instant) -> Option<(u64, InboundCall)> {
        let (call, about) = self.calls.expired(now)?;
        self.held -= about.held;
        Some((call, about))
    }

    fn insert(&mut self, call: u64, request: &Request, now: Instant) {
        let held = request.object.content.len() + CALL_COST;
        let about = InboundCall { cost: request.object.cost(), group: request.group, held };
        self.held += held;
        self.calls.insert(call, request.timeout, about, now);
    }
}

impl SessionMachine {
    pub(super) fn handle_segments(
        &mut self,
        frame: &Bytes,
        mut rest: &[u8],
        now: Instant,
    ) -> Result<(), SessionError> {
        while !rest.is_empty() {
            self.handle_segment(Segment::read(&mut rest)?, frame, now)?;
        }
        Ok(())
    }

    fn handle_segment(
        &mut self,
        segment: Segment<'_>,
        frame: &Bytes,
        now: Instant,
    ) -> Result<(), SessionError> {
        match segment {
            Segment::Message { lane, piece } => self.handle_message(lane, piece, frame),
            Segment::Request { call, head, piece } => self.handle_request(call, head, piece, frame, now),
            Segment::Response { call, piece } => self.handle_response(call, piece, frame),
            Segment::Failure { call, code, text } => {
                let error = CallError::Failed { code, text: text.into() };
                self.answered(call, Err(error))
            }
            Segment::Cancel { call } => {
                self.handle_cancel(call);
                Ok(())
            }
            Segment::Lane { lane, group } => self.declare(lane, group),
            Segment::MessageCredit { limit } => {
                self.outbox.raise_message_credit(limit);
                Ok(())
            }
            Segment::CallCredit { limit } => {
                self.outbox.raise_call_credit(limit);
                Ok(())
            }
            Segment::StreamOpen { stream, lane, name } => self.handle_open(stream, lane, name),
            Segment::StreamData { stream, last, data } => {
                if !self.streams.contains(stream) && !self.was_opened(stream) {
                    return Err(SessionError::Violation("data on no stream"));
                }
                let control = &mut self.outbox.control;
                self.news.extend(self.streams.handle_data(stream, frame, data, last, control)?);
                Ok(())
            }
            Segment::StreamReset { stream, code } => {
                let news = self.streams.handle_reset(stream, code, &mut self.outbox.control);
                self.news.extend(news);
                Ok(())
            }
            Segment::StreamStop { stream, code } => {
                let news = self.streams.handle_stop(stream, code, &mut self.outbox.control);
                self.news.extend(news);
                Ok(())
            }
            Segment::StreamCredit { stream, limit } => {
                for id in self.streams.handle_credit(stream, limit) {
                    self.outbox.schedule_stream(id);
                }
                Ok(())
            }
        }
    }

    fn declare(&mut self, lane: u64, group: GroupId) -> Result<(), SessionError> {
        let lanes = &mut self.lanes.groups;
        if lane == 0 || lanes.contains_key(&lane) || lanes.len() >= MAX_GROUPS {
            return Err(SessionError::Violation("lane declared twice"));
        }
        lanes.insert(lane, group);
        Ok(())
    }

    /// Adds a piece of an object. What the peer sends unasked needs credit.
    fn collect(
        &mut self,
        key: Key,
        piece: &Piece<'_>,
        keep: impl FnOnce() -> Bytes,
    ) -> Result<Option<Object>, SessionError> {
        if let Some(head) = piece.head {
            if !head.is_plausible() {
                return Err(SessionError::Violation("object of an implausible length"));
            }
            let has_credit = match key {
                Key::Lane(_) => self.messages.charge(head.cost()),
                Key::Request(_) => self.requests.charge(head.cost()),
                Key::Response(_) => true,
            };
            if !has_credit {
                return Err(SessionError::Violation("object without credit"));
            }
        }
        self.assemblies.add(key, piece, keep, self.contact)
    }

    fn handle_message(&mut self, lane: u64, piece: Piece<'_>, frame: &Bytes) -> Result<(), SessionError> {
        // The inbox lets go of the frame if little of it is left there.
        let whole = || frame.slice_ref(piece.content);
        let Some(object) = self.collect(Key::Lane(lane), &piece, whole)? else { return Ok(()) };
        let group = self.group_of(lane)?;
        if self.config.admits(group) {
            if self.inbox.is_empty() {
                self.events.push_back(SessionEvent::MessagesReady);
            }
            self.inbox.push(ReceivedMessage { group, object });
        } else {
            self.vain.take(1, self.heard);
            self.release_message(object.cost());
        }
        Ok(())
    }

    fn handle_request(
        &mut self,
        call: u64,
        head: Option<RequestHead<'_>>,
        piece: Piece<'_>,
        frame: &Bytes,
        now: Instant,
    ) -> Result<(), SessionError> {
        let object = self.collect(Key::Request(call), &piece, || keep(frame, piece.content))?;
        if let Some(head) = head {
            let group = self.group_of(head.lane)?;
            if self.config.admits(group) {
                let line = Line {
                    group,
                    timeout: Duration::from_millis(head.timeout_ms).min(MAX_CALL_TIMEOUT),
                    service: head.service.into(),
                    method: head.method.into(),
                };
                self.lanes.lines.insert(call, line);
            } else {
                // The rest of a request in pieces is collected and dropped: its line is not kept.
                self.fail_inbound(call, FailureCode::Denied, String::new());
            }
        }
        let Some(object) = object else { return Ok(()) };
        let Some(Line { group, timeout, service, method }) = self.lanes.lines.remove(&call) else {
            self.release_request(object.cost());
            return Ok(());
        };
        if self.inbound.calls.contains(call) {
            return Err(SessionError::Violation("request made twice"));
        }
        // Membership may have changed since it began.
        let refusal = match () {
            () if !self.config.admits(group) => Some(FailureCode::Denied),
            () if self.inbound.calls.is_full() => Some(FailureCode::Overloaded),
            () => None,
        };
        if let Some(code) = refusal {
            self.release_request(object.cost());
            self.fail_inbound(call, code, String::new());
            return Ok(());
        }
        let request = Request { service, method, group, timeout, object };
        self.inbound.insert(call, &request, now);
        self.events.push_back(SessionEvent::Request(InboundCallId(call), request));
        Ok(())
    }

    fn handle_response(&mut self, call: u64, piece: Piece<'_>, frame: &Bytes) -> Result<(), SessionError> {
        if !self.calls.contains(call) {
            // Given up already: its pieces may still be on their way.
            return self.answered(call, Err(CallError::TimedOut));
        }
        match self.collect(Key::Response(call), &piece, || keep(frame, piece.content))? {
            Some(object) => self.answered(call, Ok(object)),
            None => Ok(()),
        }
    }

    fn answered(&mut self, call: u64, answer: Result<Object, CallError>) -> Result<(), SessionError> {
        if call >= self.next_call {
            return Err(SessionError::Violation("answer to no call"));
        }
        if self.calls.remove(call).is_some() {
            self.assemblies.discard(Key::Response(call));
            if self.outbox.drop_request(call) == Seen::Beginning {
                self.outbox.control.push(Control::Cancel { call });
            }
            self.events.push_back(SessionEvent::Response(CallId(call), answer));
            self.tell_room();
        }
        Ok(())
    }

    fn handle_cancel(&mut self, call: u64) {
        self.vain.take(1, self.heard);
        if let Some(head) = self.assemblies.discard(Key::Request(call)) {
            self.release_request(head.cost());
        }
        self.lanes.lines.remove(&call);
        self.outbox.drop_response(call);
        if let Some(about) = self.inbound.remove(call) {
            self.release_request(about.cost);
            self.events.push_back(SessionEvent::RequestCancelled(InboundCallId(call)));
        }
    }

    /// Whether either side has opened this stream.
    fn was_opened(&self, stream: u64) -> bool {
        let own = stream % 2 == self.next_stream % 2;
        stream >= 2 && stream < if own { self.next_stream } else { self.next_remote_stream }
    }

    fn handle_open(&mut self, stream: u64, lane: u64, name: &str) -> Result<(), SessionError> {
        if stream != self.next_remote_stream {
            return Err(SessionError::Violation("stream out of order"));
        }
        self.next_remote_stream += 2;
        self.vain.take(1, self.heard);
        let group = self.group_of(lane)?;
        // Both sides count; ours may lag behind while the app reads, so twice the limit is still honest.
        if self.config.admits(group) && self.streams.len() < 3 * MAX_STREAMS {
            self.streams.insert(stream, Origin { own: false, group });
            self.events.push_back(SessionEvent::StreamOpened { stream, name: name.into(), group });
        } else {
            // Nothing of it is kept: what is on its way already is dropped when it comes.
            let code = STREAM_REFUSED;
            self.outbox.control.push(Control::StreamReset { stream, code });
            self.outbox.control.push(Control::StreamStop { stream, code });
        }
        Ok(())
    }
}
