//! What the peer's segments do to a session.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;

use crate::id::GroupId;
use crate::limits::{MAX_GROUPS, MAX_STREAMS};
use crate::time::Instant;
use crate::timing::MAX_CALL_TIMEOUT;

use super::assembly::Key;
use super::calls::{CallId, InboundCallId};
use super::error::SessionError;
use super::machine::{CallError, Message, Request, Session, SessionEvent};
use super::object::{Object, cost};
use super::outbox::Control;
use super::streams::STREAM_REFUSED;
use super::wire::{FailureCode, Piece, RequestHead, Segment};

/// The lanes the peer has declared, and the requests that arrive in pieces.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    groups: HashMap<u64, GroupId>,
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
    pub(super) cost: u64,
}

impl Session {
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
            Segment::ObjectCredit { limit } => {
                self.outbox.raise_credit(limit);
                Ok(())
            }
            Segment::StreamOpen { stream, lane, name } => self.handle_open(stream, lane, name),
            Segment::StreamData { stream, last, data } => {
                let news = self.streams.handle_data(
                    stream,
                    frame.slice_ref(data),
                    last,
                    &mut self.outbox.control,
                )?;
                self.news.extend(news);
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

    /// The group of a lane; `Err(Denied)` inside if this device does not share it with the peer.
    fn group_of(&self, lane: u64) -> Result<Result<Option<GroupId>, FailureCode>, SessionError> {
        if lane == 0 {
            return Ok(if self.config.ungrouped { Ok(None) } else { Err(FailureCode::Denied) });
        }
        let group = self.lanes.groups.get(&lane).ok_or(SessionError::Violation("lane not declared"))?;
        Ok(if self.config.groups.contains(group) { Ok(Some(*group)) } else { Err(FailureCode::Denied) })
    }

    /// Adds a piece of an object that needs credit.
    fn collect(
        &mut self,
        key: Key,
        piece: &Piece<'_>,
        frame: &Bytes,
    ) -> Result<Option<Object>, SessionError> {
        if let Some(head) = piece.head
            && !self.objects.charge(cost(head.raw_len))
        {
            return Err(SessionError::Violation("object without credit"));
        }
        self.assemblies.add(key, piece, frame.slice_ref(piece.content), self.contact)
    }

    fn handle_message(&mut self, lane: u64, piece: Piece<'_>, frame: &Bytes) -> Result<(), SessionError> {
        let Some(object) = self.collect(Key::Lane(lane), &piece, frame)? else { return Ok(()) };
        match self.group_of(lane)? {
            Ok(group) => {
                if self.inbox.is_empty() {
                    self.events.push_back(SessionEvent::MessagesReady);
                }
                self.inbox.push_back(Message { group, object });
            }
            Err(_) => self.release(object.cost()),
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
        let object = self.collect(Key::Request(call), &piece, frame)?;
        if let Some(head) = head {
            let group = self.group_of(head.lane)?;
            let line = Line {
                group: group.unwrap_or(None),
                timeout: Duration::from_millis(head.timeout_ms).min(MAX_CALL_TIMEOUT),
                service: head.service.into(),
                method: head.method.into(),
            };
            if let Err(code) = group {
                self.fail_inbound(call, code, String::new());
                // The rest of a request in pieces is collected and dropped: its line is not kept.
            } else {
                self.lanes.lines.insert(call, line);
            }
        }
        let Some(object) = object else { return Ok(()) };
        let cost = object.cost();
        let Some(line) = self.lanes.lines.remove(&call) else {
            self.release(cost);
            return Ok(());
        };
        if self.inbound.contains(call) {
            return Err(SessionError::Violation("request made twice"));
        }
        if self.inbound.is_full() {
            self.release(cost);
            self.fail_inbound(call, FailureCode::Overloaded, String::new());
            return Ok(());
        }
        self.inbound.insert(call, line.timeout, InboundCall { cost }, now);
        let Line { group, timeout, service, method } = line;
        let request = Request { service, method, group, timeout, object };
        self.events.push_back(SessionEvent::Request(InboundCallId(call), request));
        Ok(())
    }

    fn handle_response(&mut self, call: u64, piece: Piece<'_>, frame: &Bytes) -> Result<(), SessionError> {
        if !self.calls.contains(call) {
            // Given up already: its pieces may still be on their way.
            return self.answered(call, Err(CallError::TimedOut));
        }
        let content = frame.slice_ref(piece.content);
        match self.assemblies.add(Key::Response(call), &piece, content, self.contact)? {
            Some(object) => self.answered(call, Ok(object)),
            None => Ok(()),
        }
    }

    fn answered(&mut self, call: u64, answer: Result<Object, CallError>) -> Result<(), SessionError> {
        if !self.was_called(call) {
            return Err(SessionError::Violation("answer to no call"));
        }
        if self.calls.remove(call).is_some() {
            self.assemblies.discard(Key::Response(call));
            if self.outbox.drop_request(call) {
                self.outbox.control.push_back(Control::Cancel { call });
            }
            self.events.push_back(SessionEvent::Response(CallId(call), answer));
            self.tell_room();
        }
        Ok(())
    }

    fn handle_cancel(&mut self, call: u64) {
        if let Some(raw_len) = self.assemblies.discard(Key::Request(call)) {
            self.release(cost(raw_len));
        }
        self.lanes.lines.remove(&call);
        self.outbox.drop_response(call);
        if let Some(about) = self.inbound.remove(call) {
            self.release(about.cost);
            self.events.push_back(SessionEvent::RequestCancelled(InboundCallId(call)));
        }
    }

    fn handle_open(&mut self, stream: u64, lane: u64, name: &str) -> Result<(), SessionError> {
        if stream != self.next_remote_stream {
            return Err(SessionError::Violation("stream out of order"));
        }
        self.next_remote_stream += 2;
        self.streams.insert(stream);
        let group = self.group_of(lane)?;
        // Both sides count; ours may lag behind while the app reads, so twice the limit is still honest.
        match group {
            Ok(group) if self.streams.len() <= 3 * MAX_STREAMS => {
                self.events.push_back(SessionEvent::StreamOpened { stream, name: name.into(), group });
            }
            _ => {
                self.streams.reset(stream, STREAM_REFUSED, &mut self.outbox.control);
                self.streams.stop(stream, STREAM_REFUSED, &mut self.outbox.control);
            }
        }
        Ok(())
    }
}
