//! Byte streams: each direction has its own credit, and all of a session share one more.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};

use crate::limits::{MAX_FRAME_CONTENT, STREAM_COST, STREAM_QUEUE, STREAMS_WINDOW};

use super::control::{Control, Controls};
use super::credit::{Allowance, Grant};
use super::error::{SessionError, StreamError};
use super::outbox::Turn;
use super::wire::Segment;

mod halves;
mod unread;
mod unsent;

use halves::{End, IncomingHalf, Outgoing, Stream};
use unsent::Unsent;

pub(super) use halves::Origin;

/// The id under which [`Segment::StreamCredit`] speaks of all streams together.
pub(super) const ALL_STREAMS: u64 = 0;
/// The code of a stream that was refused because too many are open, or the group is not shared.
pub const STREAM_REFUSED: u64 = 1 << 32;
/// The code of a stream whose handle the app dropped before its end.
pub const STREAM_DROPPED: u64 = (1 << 32) + 1;

/// What the session tells the owner of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamNews {
    Readable(u64),
    Writable(u64),
}

/// All streams of a session.
#[derive(Debug)]
pub(super) struct Streams {
    streams: HashMap<u64, Stream>,
    allowance: Allowance,
    grant: Grant,
    /// Streams that have bytes but found no credit.
    parked: Vec<u64>,
    /// Bytes that wait to be read.
    unread: usize,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self {
            streams: HashMap::new(),
            allowance: Allowance::new(STREAMS_WINDOW as u64),
            grant: Grant::new(STREAMS_WINDOW as u64),
            parked: Vec::new(),
            unread: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    /// Bytes that the peer's part of them holds.
    pub(super) fn held(&self) -> usize {
        self.unread + self.streams.len() * STREAM_COST
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.streams.contains_key(&id)
    }

    pub(super) fn insert(&mut self, id: u64, origin: Origin) {
        self.streams.insert(id, Stream::new(origin));
    }

    /// Ends both directions of the streams whose origin is no longer allowed.
    pub(super) fn withdraw(
        &mut self,
        allowed: impl Fn(Origin) -> bool,
        control: &mut Controls,
    ) -> Vec<StreamNews> {
        let mut news = Vec::new();
        for (&id, s) in self.streams.iter_mut().filter(|(_, s)| !allowed(s.origin)) {
            fail(id, &mut s.outgoing, StreamError::Stopped(STREAM_REFUSED), STREAM_REFUSED, control);
            let inc = &mut s.incoming;
            if std::mem::replace(&mut inc.withdrawn, true) {
                continue;
            }
            let open = matches!(inc.end, End::Open);
            inc.end = End::Failed(StreamError::Reset(STREAM_REFUSED));
            if open && !inc.stopped {
                control.push(Control::StreamStop { stream: id, code: STREAM_REFUSED });
            }
            drop_unread(id, inc, &mut self.grant, &mut self.unread, control);
            news.extend([StreamNews::Readable(id), StreamNews::Writable(id)]);
        }
        self.streams.retain(|_, s| !s.is_over());
        news
    }

    // ---- the app's side ----

    /// Queues what fits and leaves the rest in `data`. Returns whether the stream must join the outbox's round.
    pub(super) fn write(&mut self, id: u64, data: &mut Bytes) -> Result<bool, StreamError> {
        let out = self.open_outgoing(id)?;
        let room = STREAM_QUEUE.saturating_sub(out.queue.len()).min(data.len());
        out.queue.push(data.split_to(room));
        out.starved = !data.is_empty();
        Ok(out.queue.len() > 0 && !std::mem::replace(&mut out.scheduled, true))
    }

    /// True if half of the queue is free. If not, news come when it is.
    pub(super) fn has_room(&mut self, id: u64) -> Result<bool, StreamError> {
        let out = self.open_outgoing(id)?;
        out.starved = out.queue.len() > STREAM_QUEUE / 2;
        Ok(!out.starved)
    }

    fn open_outgoing(&mut self, id: u64) -> Result<&mut Outgoing, StreamError> {
        let out = &mut self.streams.get_mut(&id).ok_or(StreamError::Closed)?.outgoing;
        match out.end {
            End::Open => Ok(out),
            End::Failed(e) => Err(e),
            _ => Err(StreamError::Closed),
        }
    }

    /// Ends the outgoing direction after what is queued. Returns whether the stream must join the outbox's round.
    pub(super) fn finish(&mut self, id: u64) -> Result<bool, StreamError> {
        let out = &mut self.streams.get_mut(&id).ok_or(StreamError::Closed)?.outgoing;
        match out.end {
            End::Open => out.end = End::Finishing,
            End::Finishing | End::Done => return Ok(false),
            End::Failed(e) => return Err(e),
        }
        Ok(!std::mem::replace(&mut out.scheduled, true))
    }

    /// Whether everything written, the end included, is on its way.
    pub(super) fn is_flushed(&self, id: u64) -> Result<bool, StreamError> {
        match self.streams.get(&id).map(|s| (&s.outgoing.end, s.outgoing.queue.len())) {
            Some((End::Failed(e), _)) => Err(*e),
            Some((End::Open | End::Finishing, _)) => Ok(false),
            Some((End::Done, queued)) => Ok(queued == 0),
            None => Ok(true),
        }
    }

    /// Gives up the outgoing direction.
    pub(super) fn reset(&mut self, id: u64, code: u64, control: &mut Controls) {
        if let Some(s) = self.streams.get_mut(&id) {
            fail(id, &mut s.outgoing, StreamError::Closed, code, control);
        }
        self.forget_if_over(id);
    }

    /// Takes what arrived. `None`: nothing now. Empty bytes: the end.
    pub(super) fn read(&mut self, id: u64, control: &mut Controls) -> Result<Option<Bytes>, StreamError> {
        let inc = &mut self.streams.get_mut(&id).ok_or(StreamError::Closed)?.incoming;
        if let End::Failed(e) = inc.end {
            inc.stopped = true;
            self.forget_if_over(id);
            return Err(e);
        }
        let before = inc.unread.held();
        if let Some(chunk) = inc.unread.pop() {
            self.unread = self.unread - before + inc.unread.held();
            release(id, chunk.len(), inc, &mut self.grant, control);
            return Ok(Some(chunk));
        }
        match inc.end {
            End::Done => {
                inc.read_whole = true;
                self.forget_if_over(id);
                Ok(Some(Bytes::new()))
            }
            _ => Ok(None),
        }
    }

    /// The app does not want the rest of the incoming direction.
    pub(super) fn stop(&mut self, id: u64, code: u64, control: &mut Controls) {
        let Some(s) = self.streams.get_mut(&id) else { return };
        let inc = &mut s.incoming;
        drop_unread(id, inc, &mut self.grant, &mut self.unread, control);
        if !std::mem::replace(&mut inc.stopped, true) && matches!(inc.end, End::Open) {
            control.push(Control::StreamStop { stream: id, code });
        }
        self.forget_if_over(id);
    }

    // ---- the peer's side ----

    /// Takes `data`, a part of `frame`, for a stream that was opened.
    pub(super) fn handle_data(
        &mut self,
        id: u64,
        frame: &Bytes,
        data: &[u8],
        last: bool,
        control: &mut Controls,
    ) -> Result<Option<StreamNews>, SessionError> {
        let len = data.len();
        if !self.grant.charge(len as u64) {
            return Err(SessionError::Violation("stream data without credit"));
        }
        let Some(s) = self.streams.get_mut(&id) else {
            // Forgotten here while it was on its way.
            release_shared(len, &mut self.grant, control);
            return Ok(None);
        };
        let inc = &mut s.incoming;
        if !inc.grant.charge(len as u64) {
            return Err(SessionError::Violation("stream data without credit"));
        }
        if inc.withdrawn {
            release_shared(len, &mut self.grant, control);
            return Ok(None);
        }
        if !matches!(inc.end, End::Open) {
            return Err(SessionError::Violation("data after the end of a stream"));
        }
        if last {
            inc.end = End::Done;
        }
        if inc.stopped {
            release(id, len, inc, &mut self.grant, control);
            self.forget_if_over(id);
            return Ok(None);
        }
        // A reader that has something to read is not waiting.
        let news = last || inc.unread.is_empty() && len > 0;
        let before = inc.unread.held();
        inc.unread.push(frame, data);
        self.unread = self.unread - before + inc.unread.held();
        Ok(news.then_some(StreamNews::Readable(id)))
    }

    pub(super) fn handle_reset(&mut self, id: u64, code: u64, control: &mut Controls) -> Option<StreamNews> {
        let inc = &mut self.streams.get_mut(&id)?.incoming;
        if !matches!(inc.end, End::Open) {
            return None;
        }
        inc.end = End::Failed(StreamError::Reset(code));
        drop_unread(id, inc, &mut self.grant, &mut self.unread, control);
        let wanted = !inc.stopped;
        self.forget_if_over(id);
        wanted.then_some(StreamNews::Readable(id))
    }

    pub(super) fn handle_stop(&mut self, id: u64, code: u64, control: &mut Controls) -> Option<StreamNews> {
        let out = &mut self.streams.get_mut(&id)?.outgoing;
        let news = fail(id, out, StreamError::Stopped(code), code, control);
        self.forget_if_over(id);
        news.then_some(StreamNews::Writable(id))
    }

    /// Raises a limit; returns the streams that must join the outbox's round again.
    pub(super) fn handle_credit(&mut self, id: u64, limit: u64) -> Vec<u64> {
        if id == ALL_STREAMS {
            self.allowance.raise(limit);
        } else if let Some(s) = self.streams.get_mut(&id) {
            s.outgoing.allowance.raise(limit);
        }
        let mut parked = std::mem::take(&mut self.parked);
        parked.retain(|id| {
            let out = self.streams.get_mut(id).map(|s| &mut s.outgoing);
            out.is_some_and(|out| {
                out.parked = false;
                !std::mem::replace(&mut out.scheduled, true)
            })
        });
        parked
    }

    // ---- the outbox's side ----

    /// Puts up to `share` bytes of one stream into `frame`.
    pub(super) fn visit(
        &mut self,
        id: u64,
        share: usize,
        frame: &mut BytesMut,
    ) -> (Turn, Option<StreamNews>) {
        let Some(out) = self.streams.get_mut(&id).map(|s| &mut s.outgoing) else { return (Turn::Done, None) };
        // Even an end without bytes needs room for its head.
        let Some(room) = MAX_FRAME_CONTENT.checked_sub(frame.len() + Segment::overhead(id)) else {
            return (Turn::NoRoom, None);
        };
        let credit = out.allowance.left().min(self.allowance.left());
        let queued = out.queue.len();
        let len = queued.min(room).min(share).min(usize::try_from(credit).unwrap_or(usize::MAX));
        let last = len == queued && matches!(out.end, End::Finishing);
        if len == 0 && !last {
            if queued > 0 && credit > 0 {
                return (Turn::NoRoom, None);
            }
            out.scheduled = false;
            if queued > 0 && !std::mem::replace(&mut out.parked, true) {
                self.parked.push(id);
            }
            return (Turn::Done, None);
        }
        out.allowance.take(len as u64);
        self.allowance.take(len as u64);
        Segment::write_stream_data_head(id, last, len, frame);
        out.queue.take(len, frame);
        let news = (out.starved && out.queue.len() <= STREAM_QUEUE / 2).then(|| {
            out.starved = false;
            StreamNews::Writable(id)
        });
        if last {
            out.end = End::Done;
            out.scheduled = false;
            self.forget_if_over(id);
            return (Turn::Done, Some(StreamNews::Writable(id)));
        }
        (Turn::More, news)
    }

    fn forget_if_over(&mut self, id: u64) {
        if self.streams.get(&id).is_some_and(Stream::is_over) {
            self.streams.remove(&id);
        }
    }
}

/// Returns whether the direction was still open.
fn fail(id: u64, out: &mut Outgoing, error: StreamError, code: u64, control: &mut Controls) -> bool {
    let open = matches!(out.end, End::Open | End::Finishing);
    if open {
        out.queue = Unsent::default();
        out.end = End::Failed(error);
        control.push(Control::StreamReset { stream: id, code });
    }
    open
}

fn drop_unread(id: u64, inc: &mut IncomingHalf, all: &mut Grant, held: &mut usize, control: &mut Controls) {
    *held -= inc.unread.held();
    let unread = std::mem::take(&mut inc.unread).len();
    release(id, unread, inc, all, control);
}

fn release(id: u64, bytes: usize, inc: &mut IncomingHalf, all: &mut Grant, control: &mut Controls) {
    // A stream that has ended needs no more credit of its own; the session's share is returned all the same.
    if let Some(limit) = inc.grant.release(bytes as u64)
        && matches!(inc.end, End::Open)
    {
        control.stream_credit(id, limit);
    }
    release_shared(bytes, all, control);
}

fn release_shared(bytes: usize, all: &mut Grant, control: &mut Controls) {
    if let Some(limit) = all.release(bytes as u64) {
        control.stream_credit(ALL_STREAMS, limit);
    }
}
