//! Inputs of a session's app.

use bytes::Bytes;

use crate::id::GroupId;
use crate::limits::{
    ANSWER_QUEUE, MAX_ERROR_TEXT, MAX_MESSAGE, MAX_NAME, MAX_STREAM_NAME, MAX_STREAMS, SEND_QUEUE,
};
use crate::time::Instant;
use crate::timing::MAX_CALL_TIMEOUT;

use super::assembly::Key;
use super::calls::{CallId, InboundCallId};
use super::control::Control;
use super::error::{SendError, StreamError};
use super::event::{ReceivedMessage, Request};
use super::machine::SessionMachine;
use super::object::Object;
use super::outbox::{RequestLine, Seen};
use super::streams::Origin;
use super::wire::FailureCode;

impl SessionMachine {
    /// Queues a message.
    pub fn send_message(&mut self, group: Option<GroupId>, object: Object) -> Result<(), SendError> {
        check_size(&object)?;
        if self.outbox.queued_messages() >= SEND_QUEUE {
            self.messages_wait = true;
            return Err(SendError::Full);
        }
        let lane = self.lane(group)?;
        self.outbox.push_message(lane, object);
        Ok(())
    }

    /// Takes the next message.
    pub fn next_message(&mut self) -> Option<ReceivedMessage> {
        let message = self.inbox.pop()?;
        self.release_message(message.object.cost());
        self.settle();
        Some(message)
    }

    /// The next message, which still waits and keeps its credit.
    pub fn peek_message(&self) -> Option<&ReceivedMessage> {
        self.inbox.front()
    }

    /// Asks the peer for something. [`TimedOut`](super::CallError::TimedOut) is its answer once its time has passed, also while
    /// the request waits for credit.
    pub fn call(&mut self, request: Request, now: Instant) -> Result<CallId, SendError> {
        check_size(&request.object)?;
        if request.service.len() > MAX_NAME || request.method.len() > MAX_NAME {
            return Err(SendError::NameTooLong);
        }
        if self.calls.is_full() || self.outbox.queued_requests() >= SEND_QUEUE {
            self.calls_wait = true;
            return Err(SendError::Full);
        }
        let lane = self.lane(request.group)?;
        let call = self.next_call;
        self.next_call += 1;
        self.calls.insert(call, request.timeout, request.group, now);
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
            self.settle();
        }
    }

    /// Answers a call of the peer; does nothing if it no longer waits. An answer that finds no room, because the peer takes
    /// too little of what it asked for, becomes [`FailureCode::Overloaded`].
    pub fn respond(&mut self, call: InboundCallId, answer: Result<Object, (FailureCode, String)>) {
        let Some(about) = self.inbound.remove(call.0) else { return };
        self.release_request(about.cost);
        match answer {
            Ok(object) if object.content.len() <= MAX_MESSAGE && object.raw_len <= MAX_MESSAGE => {
                let fits = self.outbox.answers() + object.held() <= ANSWER_QUEUE;
                if fits {
                    self.outbox.push_response(call.0, about.group, object);
                }
                if !fits || !self.settle() {
                    self.outbox.drop_response(call.0);
                    self.fail_inbound(call.0, FailureCode::Overloaded, String::new());
                }
            }
            Ok(_) => self.fail_inbound(call.0, FailureCode::Application, "the answer is too large".into()),
            Err((code, text)) => self.fail_inbound(call.0, code, text),
        }
        self.settle();
    }

    /// Opens a stream to the peer.
    pub fn open_stream(&mut self, name: &str, group: Option<GroupId>) -> Result<u64, SendError> {
        if name.len() > MAX_STREAM_NAME {
            return Err(SendError::NameTooLong);
        }
        if self.streams.len() >= MAX_STREAMS {
            return Err(SendError::Full);
        }
        let lane = self.lane(group)?;
        let stream = self.next_stream;
        self.next_stream += 2;
        self.streams.insert(stream, Origin { own: true, group });
        self.outbox.control.push(Control::StreamOpen { stream, lane, name: name.into() });
        Ok(stream)
    }

    /// Queues what fits and leaves the rest in `data`; [`StreamWritable`](super::SessionEvent::StreamWritable) tells when to go
    /// on.
    pub fn write(&mut self, stream: u64, data: &mut Bytes) -> Result<(), StreamError> {
        if self.streams.write(stream, data)? {
            self.outbox.schedule_stream(stream);
        }
        Ok(())
    }

    /// True if half of the stream's queue is free. If not, [`StreamWritable`](super::SessionEvent::StreamWritable) tells when it
    /// is.
    pub fn has_room(&mut self, stream: u64) -> Result<bool, StreamError> {
        self.streams.has_room(stream)
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
        self.settle();
    }

    /// Takes what arrived. `None`: nothing now. Empty bytes: the end.
    pub fn read(&mut self, stream: u64) -> Result<Option<Bytes>, StreamError> {
        let read = self.streams.read(stream, &mut self.outbox.control);
        self.settle();
        read
    }

    /// Declines the rest of the incoming direction.
    pub fn stop(&mut self, stream: u64, code: u64) {
        self.streams.stop(stream, code, &mut self.outbox.control);
        self.settle();
    }

    /// Gives up a call that is no longer awaited. The peer learns of it if it has seen any of it.
    pub(super) fn abandon(&mut self, call: u64) {
        self.assemblies.discard(Key::Response(call));
        if self.outbox.drop_request(call) != Seen::Nothing {
            self.outbox.control.push(Control::Cancel { call });
        }
        self.tell_room();
    }

    /// Tells the peer that its call is not answered; the text is cut to [`MAX_ERROR_TEXT`] bytes.
    pub(super) fn fail_inbound(&mut self, call: u64, code: FailureCode, mut text: String) {
        if code != FailureCode::Application {
            self.vain.take(1, self.heard);
        }
        let mut end = text.len().min(MAX_ERROR_TEXT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        self.outbox.control.push(Control::Failure { call, code, text });
    }
}

fn check_size(object: &Object) -> Result<(), SendError> {
    let fits = object.raw_len <= MAX_MESSAGE && object.content.len() <= MAX_MESSAGE;
    if fits { Ok(()) } else { Err(SendError::TooLarge) }
}
