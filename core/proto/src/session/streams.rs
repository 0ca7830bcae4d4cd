//! Byte streams: each direction has its own credit, and all of a session share one more.

use std::collections::{HashMap, VecDeque};

use bytes::{BufMut, Bytes, BytesMut};

use crate::limits::{MAX_FRAME_CONTENT, STREAM_QUEUE, STREAM_WINDOW, STREAMS_WINDOW};

use super::credit::{Allowance, Grant};
use super::error::{SessionError, StreamError};
use super::outbox::{Control, Turn};
use super::wire::Segment;

/// The id under which [`Segment::StreamCredit`] speaks of all streams together.
pub(super) const ALL_STREAMS: u64 = 0;
/// The code of a stream that was refused because too many are open, or the group is not shared.
pub const STREAM_REFUSED: u64 = 1 << 32;
/// The code of a stream whose handle the app dropped before its end.
pub const STREAM_DROPPED: u64 = (1 << 32) + 1;

#[derive(Debug)]
enum End {
    Open,
    /// The app finished; the last segment is still to be sent.
    Finishing,
    Done,
    Failed(StreamError),
}

#[derive(Debug)]
struct Outgoing {
    queue: VecDeque<Bytes>,
    queued: usize,
    allowance: Allowance,
    end: End,
    /// In the outbox's round.
    scheduled: bool,
    /// The app was told that the queue is full and waits for room.
    starved: bool,
}

#[derive(Debug)]
struct Incoming {
    chunks: VecDeque<Bytes>,
    grant: Grant,
    end: End,
    /// The app has been told of the end.
    read_whole: bool,
    /// The app does not want the rest.
    stopped: bool,
}

#[derive(Debug)]
struct Stream {
    outgoing: Outgoing,
    incoming: Incoming,
}

impl Stream {
    fn is_over(&self) -> bool {
        let (out, inc) = (&self.outgoing, &self.incoming);
        let sent = matches!(out.end, End::Done | End::Failed(_));
        let taken = match inc.end {
            End::Done => inc.read_whole || inc.stopped,
            // Its reader is still to learn of it, unless it asked for it.
            End::Failed(_) => inc.stopped,
            _ => false,
        };
        sent && taken
    }
}

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
    starved: Vec<u64>,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self {
            streams: HashMap::new(),
            allowance: Allowance::new(STREAMS_WINDOW as u64),
            grant: Grant::new(STREAMS_WINDOW as u64),
            starved: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(super) fn insert(&mut self, id: u64) {
        let outgoing = Outgoing {
            queue: VecDeque::new(),
            queued: 0,
            allowance: Allowance::new(STREAM_WINDOW as u64),
            end: End::Open,
            scheduled: false,
            starved: false,
        };
        let incoming = Incoming {
            chunks: VecDeque::new(),
            grant: Grant::new(STREAM_WINDOW as u64),
            end: End::Open,
            read_whole: false,
            stopped: false,
        };
        self.streams.insert(id, Stream { outgoing, incoming });
    }

    // ---- the app's side ----

    /// Queues what fits and leaves the rest in `data`. Returns whether the stream must join the outbox's round.
    pub(super) fn write(&mut self, id: u64, data: &mut Bytes) -> Result<bool, StreamError> {
        let out = &mut self.streams.get_mut(&id).ok_or(StreamError::Closed)?.outgoing;
        match out.end {
            End::Open => {}
            End::Failed(e) => return Err(e),
            _ => return Err(StreamError::Closed),
        }
        let room = STREAM_QUEUE.saturating_sub(out.queued).min(data.len());
        if room > 0 {
            out.queue.push_back(data.split_to(room));
            out.queued += room;
        }
        out.starved = !data.is_empty();
        Ok(out.queued > 0 && !std::mem::replace(&mut out.scheduled, true))
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
        match self.streams.get(&id).map(|s| (&s.outgoing.end, s.outgoing.queued)) {
            Some((End::Failed(e), _)) => Err(*e),
            Some((End::Open | End::Finishing, _)) => Ok(false),
            Some((End::Done, queued)) => Ok(queued == 0),
            None => Ok(true),
        }
    }

    /// Gives up the outgoing direction.
    pub(super) fn reset(&mut self, id: u64, code: u64, control: &mut VecDeque<Control>) {
        if let Some(s) = self.streams.get_mut(&id) {
            fail(id, &mut s.outgoing, StreamError::Closed, code, control);
        }
        self.forget_if_over(id);
    }

    /// Takes what arrived. `None`: nothing now. Empty bytes: the end.
    pub(super) fn read(
        &mut self,
        id: u64,
        control: &mut VecDeque<Control>,
    ) -> Result<Option<Bytes>, StreamError> {
        let inc = &mut self.streams.get_mut(&id).ok_or(StreamError::Closed)?.incoming;
        if let End::Failed(e) = inc.end {
            inc.stopped = true;
            self.forget_if_over(id);
            return Err(e);
        }
        if let Some(chunk) = inc.chunks.pop_front() {
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
    pub(super) fn stop(&mut self, id: u64, code: u64, control: &mut VecDeque<Control>) {
        let Some(s) = self.streams.get_mut(&id) else { return };
        let inc = &mut s.incoming;
        let unread = inc.chunks.drain(..).map(|c| c.len()).sum();
        release(id, unread, inc, &mut self.grant, control);
        if !std::mem::replace(&mut inc.stopped, true) && matches!(inc.end, End::Open) {
            control.push_back(Control::StreamStop { stream: id, code });
        }
        self.forget_if_over(id);
    }

    // ---- the peer's side ----

    pub(super) fn handle_data(
        &mut self,
        id: u64,
        data: Bytes,
        last: bool,
        control: &mut VecDeque<Control>,
    ) -> Result<Option<StreamNews>, SessionError> {
        let s = self.streams.get_mut(&id).ok_or(SessionError::Violation("data on no stream"))?;
        let (inc, len) = (&mut s.incoming, data.len());
        if !matches!(inc.end, End::Open) {
            return Err(SessionError::Violation("data after the end of a stream"));
        }
        if !inc.grant.charge(len as u64) || !self.grant.charge(len as u64) {
            return Err(SessionError::Violation("stream data without credit"));
        }
        if last {
            inc.end = End::Done;
        }
        if inc.stopped {
            release(id, len, inc, &mut self.grant, control);
            self.forget_if_over(id);
            return Ok(None);
        }
        if len > 0 {
            inc.chunks.push_back(data);
        }
        Ok(Some(StreamNews::Readable(id)))
    }

    pub(super) fn handle_reset(
        &mut self,
        id: u64,
        code: u64,
        control: &mut VecDeque<Control>,
    ) -> Option<StreamNews> {
        let inc = &mut self.streams.get_mut(&id)?.incoming;
        if matches!(inc.end, End::Open) {
            let unread = inc.chunks.drain(..).map(|c| c.len()).sum();
            inc.end = End::Failed(StreamError::Reset(code));
            release(id, unread, inc, &mut self.grant, control);
        }
        let wanted = !inc.stopped;
        self.forget_if_over(id);
        wanted.then_some(StreamNews::Readable(id))
    }

    pub(super) fn handle_stop(
        &mut self,
        id: u64,
        code: u64,
        control: &mut VecDeque<Control>,
    ) -> Option<StreamNews> {
        let out = &mut self.streams.get_mut(&id)?.outgoing;
        fail(id, out, StreamError::Stopped(code), code, control);
        Some(StreamNews::Writable(id))
    }

    /// Raises a limit; returns the streams that must join the outbox's round again.
    pub(super) fn handle_credit(&mut self, id: u64, limit: u64) -> Vec<u64> {
        if id == ALL_STREAMS {
            self.allowance.raise(limit);
        } else if let Some(s) = self.streams.get_mut(&id) {
            s.outgoing.allowance.raise(limit);
        }
        let mut starved = std::mem::take(&mut self.starved);
        starved.retain(|id| {
            let out = self.streams.get_mut(id).map(|s| &mut s.outgoing);
            out.is_some_and(|out| !std::mem::replace(&mut out.scheduled, true))
        });
        starved
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
        let len = out.queued.min(room).min(share).min(usize::try_from(credit).unwrap_or(usize::MAX));
        let last = len == out.queued && matches!(out.end, End::Finishing);
        if len == 0 && !last {
            if out.queued > 0 && credit > 0 {
                return (Turn::NoRoom, None);
            }
            out.scheduled = false;
            if out.queued > 0 {
                self.starved.push(id);
            }
            return (Turn::Done, None);
        }
        out.allowance.take(len as u64);
        self.allowance.take(len as u64);
        Segment::write_stream_data_head(id, last, len, frame);
        gather(&mut out.queue, len, frame);
        out.queued -= len;
        let news = (out.starved && out.queued <= STREAM_QUEUE / 2).then(|| {
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

fn fail(id: u64, out: &mut Outgoing, error: StreamError, code: u64, control: &mut VecDeque<Control>) {
    if matches!(out.end, End::Open | End::Finishing) {
        out.queue.clear();
        out.queued = 0;
        out.end = End::Failed(error);
        control.push_back(Control::StreamReset { stream: id, code });
    }
}

fn release(id: u64, bytes: usize, inc: &mut Incoming, all: &mut Grant, control: &mut VecDeque<Control>) {
    // A stream that has ended needs no more credit of its own; the session's share is returned all the same.
    if let Some(limit) = inc.grant.release(bytes as u64)
        && matches!(inc.end, End::Open)
    {
        control.push_back(Control::StreamCredit { stream: id, limit });
    }
    if let Some(limit) = all.release(bytes as u64) {
        control.push_back(Control::StreamCredit { stream: ALL_STREAMS, limit });
    }
}

fn gather(queue: &mut VecDeque<Bytes>, mut len: usize, frame: &mut BytesMut) {
    while len > 0 {
        let Some(chunk) = queue.front_mut() else { return };
        if chunk.len() <= len {
            frame.put_slice(chunk);
            len -= chunk.len();
            queue.pop_front();
        } else {
            frame.put_slice(&chunk.split_to(len));
            return;
        }
    }
}
