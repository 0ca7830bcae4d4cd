//! The app at one end of a session: what it says, and what it therefore may expect of the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use peers_proto::id::GroupId;
use peers_proto::limits::MAX_FRAME;
use peers_proto::session::{CallError, CallId, InboundCallId, Object, Request, SessionEvent, SessionMachine};
use peers_proto::time::{Instant, earliest};

use crate::failure::Violation;
use crate::plan::Traffic;
use crate::random::Rng;

/// Messages that belong to no group, and those of two groups.
const LANES: usize = 3;

/// The group of a lane.
fn group(lane: usize) -> Option<GroupId> {
    (lane > 0).then(|| GroupId::from_bytes([lane as u8; 20]))
}

/// The groups everybody is a member of.
pub(crate) fn groups() -> impl IntoIterator<Item = GroupId> {
    (1..LANES).filter_map(group)
}

#[derive(Debug)]
struct Writing {
    total: u64,
    written: u64,
}

#[derive(Debug)]
struct Reading {
    /// Whether it is the peer's, or the empty way back of one of its own.
    theirs: bool,
    total: u64,
    read: u64,
}

/// One app's view of one session.
#[derive(Debug)]
pub(crate) struct App {
    traffic: Traffic,
    /// Distinguishes this session's objects from every other session's.
    stamp: u64,
    peer_stamp: Option<u64>,
    /// The first lane that the app uses. Lane 0 is outside of groups.
    first_lane: usize,
    next_deed: Option<Instant>,
    sent: [u32; LANES],
    got: [u32; LANES],
    calls: BTreeMap<CallId, (u32, Instant)>,
    called: u32,
    asked: BTreeSet<u32>,
    answers: Vec<(Instant, InboundCallId, Object)>,
    opened: u32,
    read_whole: u32,
    writing: BTreeMap<u64, Writing>,
    reading: BTreeMap<u64, Reading>,
}

impl App {
    /// The app at one end of a session. `ungrouped`: both ends may send data outside of groups.
    pub(crate) fn new(traffic: Traffic, stamp: u64, ungrouped: bool, now: Instant) -> Self {
        Self {
            traffic,
            stamp,
            first_lane: usize::from(!ungrouped),
            peer_stamp: None,
            next_deed: Some(now),
            sent: [0; LANES],
            got: [0; LANES],
            calls: BTreeMap::new(),
            called: 0,
            asked: BTreeSet::new(),
            answers: Vec::new(),
            opened: 0,
            read_whole: 0,
            writing: BTreeMap::new(),
            reading: BTreeMap::new(),
        }
    }

    /// Says no more; what was begun is finished.
    pub(crate) fn hush(&mut self) {
        self.next_deed = None;
        self.traffic.slow_reader = false;
    }

    /// How many messages and streams it sent and received.
    pub(crate) fn objects(&self) -> (u64, u64) {
        let sum = |counts: &[u32; LANES], streams: u32| counts.iter().sum::<u32>() + streams;
        (sum(&self.sent, self.opened).into(), sum(&self.got, self.read_whole).into())
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.next_deed, self.answers.iter().map(|(at, ..)| *at).min())
    }

    /// Does what is due, and takes what has arrived.
    pub(crate) fn run(
        &mut self,
        session: &mut SessionMachine,
        rng: &mut Rng,
        now: Instant,
    ) -> Result<(), Violation> {
        let due = self.next_deed.is_some_and(|at| at <= now);
        if due {
            self.act(session, rng, now)?;
            let pace = self.traffic.pace.as_millis() as u64;
            self.next_deed = Some(now + rng.millis(pace / 2..pace * 3 / 2 + 1));
        }
        self.handle_events(session, rng, now)?;
        if due || !self.traffic.slow_reader {
            self.take(session)?;
        }
        self.answers.retain_mut(|(at, call, object)| {
            let waits = *at > now;
            if !waits {
                session.respond(*call, Ok(object.clone()));
            }
            waits
        });
        self.write_on(session)
    }

    /// The session is over: the calls that waited must have been told.
    pub(crate) fn finish(
        &mut self,
        session: &mut SessionMachine,
        rng: &mut Rng,
        now: Instant,
    ) -> Result<(), Violation> {
        self.handle_events(session, rng, now)?;
        self.none_waits("the session ended")
    }

    fn none_waits(&self, when: &str) -> Result<(), Violation> {
        match self.calls.first_key_value() {
            Some((_, (number, _))) => Err(Violation::Call(format!("call {number} still waits when {when}"))),
            None => Ok(()),
        }
    }

    /// All is said: what this one sent is what the other got.
    pub(crate) fn settled(&self, other: &Self) -> Result<(), Violation> {
        if self.sent != other.got {
            let text = format!("messages sent per lane {:?}, received {:?}", self.sent, other.got);
            return Err(Violation::Lost(text));
        }
        if self.opened != other.read_whole {
            let text = format!("{} streams opened, {} read to their end", self.opened, other.read_whole);
            return Err(Violation::Lost(text));
        }
        self.none_waits("all is said")
    }

    // ---- its own deeds ----

    fn act(&mut self, session: &mut SessionMachine, rng: &mut Rng, now: Instant) -> Result<(), Violation> {
        match rng.within(0..10) {
            0..6 => self.send(session, rng),
            6..9 => self.call(session, rng, now),
            _ => self.open(session, rng)?,
        }
        Ok(())
    }

    fn lane(&self, rng: &mut Rng) -> usize {
        self.first_lane + rng.below(LANES - self.first_lane)
    }

    fn send(&mut self, session: &mut SessionMachine, rng: &mut Rng) {
        for _ in 0..rng.within(1..5) {
            let lane = self.lane(rng);
            let len = if rng.chance(self.traffic.large) {
                rng.within(1..8 * MAX_FRAME as u64)
            } else {
                rng.within(0..300)
            };
            let object = stamped(self.stamp, self.sent[lane], len as usize);
            if session.send_message(group(lane), object).is_ok() {
                self.sent[lane] += 1;
            }
        }
    }

    fn call(&mut self, session: &mut SessionMachine, rng: &mut Rng, now: Instant) {
        let lane = self.lane(rng);
        let timeout = rng.millis(100..30_000);
        let len = if rng.chance(self.traffic.large) { 3 * MAX_FRAME } else { 20 };
        let request = Request {
            service: "echo".into(),
            method: "back".into(),
            group: group(lane),
            timeout,
            object: stamped(self.stamp, self.called, len),
        };
        if let Ok(call) = session.call(request, now) {
            self.calls.insert(call, (self.called, now + timeout));
            self.called += 1;
            if rng.chance(5) {
                session.cancel(call);
                self.calls.remove(&call);
            }
        }
    }

    fn open(&mut self, session: &mut SessionMachine, rng: &mut Rng) -> Result<(), Violation> {
        let total = rng.within(0..self.traffic.stream);
        let group = group(self.lane(rng));
        let Ok(id) = session.open_stream(&total.to_string(), group) else { return Ok(()) };
        self.opened += 1;
        self.writing.insert(id, Writing { total, written: 0 });
        self.reading.insert(id, Reading { theirs: false, total: 0, read: 0 });
        self.write_on(session)
    }

    fn write_on(&mut self, session: &mut SessionMachine) -> Result<(), Violation> {
        let mut done = Vec::new();
        for (id, writing) in &mut self.writing {
            while writing.written < writing.total {
                let len = (writing.total - writing.written).min(32 * 1024);
                let mut data = bytes_at(writing.written, len);
                session.write(*id, &mut data).map_err(|e| Violation::Content(format!("write: {e}")))?;
                writing.written += len - data.len() as u64;
                if !data.is_empty() {
                    break;
                }
            }
            if writing.written == writing.total {
                session.finish(*id).map_err(|e| Violation::Content(format!("finish: {e}")))?;
                done.push(*id);
            }
        }
        self.writing.retain(|id, _| !done.contains(id));
        Ok(())
    }

    // ---- what arrives ----

    fn handle_events(
        &mut self,
        session: &mut SessionMachine,
        rng: &mut Rng,
        now: Instant,
    ) -> Result<(), Violation> {
        while let Some(event) = session.poll_event() {
            match event {
                SessionEvent::Request(call, request) => {
                    let number = self.check_stamp(&request.object)?;
                    if !self.asked.insert(number) {
                        return Err(Violation::Order(format!("request {number} came twice")));
                    }
                    // Some answers take longer than callers wait.
                    let takes = if rng.chance(30) { rng.millis(0..10_000) } else { Duration::ZERO };
                    self.answers.push((now + takes, call, request.object));
                }
                SessionEvent::RequestCancelled(call) => self.answers.retain(|(_, c, _)| *c != call),
                SessionEvent::Response(call, answer) => self.answered(call, answer, now)?,
                SessionEvent::StreamOpened { stream, name, .. } => {
                    let total = name.parse().map_err(|_| Violation::Content(format!("stream {name:?}")))?;
                    self.reading.insert(stream, Reading { theirs: true, total, read: 0 });
                    session.finish(stream).map_err(|e| Violation::Content(format!("finish: {e}")))?;
                }
                SessionEvent::MessagesReady
                | SessionEvent::StreamReadable(_)
                | SessionEvent::StreamWritable(_)
                | SessionEvent::SendRoom => {}
            }
        }
        Ok(())
    }

    fn answered(
        &mut self,
        call: CallId,
        answer: Result<Object, CallError>,
        now: Instant,
    ) -> Result<(), Violation> {
        let Some((number, deadline)) = self.calls.remove(&call) else {
            return Err(Violation::Call("an answer to no call, or a second one".into()));
        };
        match answer {
            Ok(object) if read_stamp(&object) == Some((self.stamp, number)) => Ok(()),
            Ok(_) => Err(Violation::Call(format!("call {number} has another one's answer"))),
            Err(CallError::TimedOut) if now < deadline => {
                Err(Violation::Call(format!("call {number} ended before its time")))
            }
            Err(CallError::TimedOut | CallError::SessionLost) => Ok(()),
            Err(CallError::Failed { code, .. }) => {
                Err(Violation::Call(format!("call {number} was answered {code:?}")))
            }
        }
    }

    fn take(&mut self, session: &mut SessionMachine) -> Result<(), Violation> {
        while let Some(message) = session.next_message() {
            let number = self.check_stamp(&message.object)?;
            let lane = (0..LANES).find(|lane| group(*lane) == message.group);
            let lane = lane.ok_or_else(|| Violation::Content("a message of another group".into()))?;
            if number != self.got[lane] {
                let text = format!("lane {lane}: message {number} where {} was due", self.got[lane]);
                return Err(Violation::Order(text));
            }
            self.got[lane] += 1;
        }
        let mut done = Vec::new();
        for (id, reading) in &mut self.reading {
            while let Some(chunk) = session.read(*id).map_err(|e| Violation::Lost(format!("read: {e}")))? {
                if chunk.is_empty() {
                    done.push(*id);
                    break;
                }
                if chunk != bytes_at(reading.read, chunk.len() as u64) {
                    let text = format!("stream {id} differs after {} bytes", reading.read);
                    return Err(Violation::Order(text));
                }
                reading.read += chunk.len() as u64;
            }
        }
        for id in done {
            let Some(Reading { theirs, total, read }) = self.reading.remove(&id) else { continue };
            if read != total {
                return Err(Violation::Lost(format!("stream {id} ended after {read} of {total} bytes")));
            }
            self.read_whole += u32::from(theirs);
        }
        Ok(())
    }

    /// The number inside an object of the peer's one session.
    fn check_stamp(&mut self, object: &Object) -> Result<u32, Violation> {
        let (stamp, number) =
            read_stamp(object).ok_or_else(|| Violation::Content("an object without a stamp".into()))?;
        if *self.peer_stamp.get_or_insert(stamp) != stamp {
            return Err(Violation::Content("an object of another session".into()));
        }
        Ok(number)
    }
}

fn stamped(stamp: u64, number: u32, len: usize) -> Object {
    let mut content = BytesMut::with_capacity(16 + len);
    content.put_u64(stamp);
    content.put_u32(number);
    content.put_u32(len as u32);
    content.put_bytes(number as u8, len);
    Object::plain(content.freeze())
}

fn read_stamp(object: &Object) -> Option<(u64, u32)> {
    let (head, content) = object.content.split_first_chunk::<16>()?;
    let stamp = u64::from_be_bytes(*head.first_chunk()?);
    let number = u32::from_be_bytes(*head[8..].first_chunk()?);
    let len = u32::from_be_bytes(*head[12..].first_chunk()?);
    (content.len() == len as usize && content.last().is_none_or(|last| *last == number as u8))
        .then_some((stamp, number))
}

/// What every stream says at an offset: no two neighbours of a missing or repeated piece fit together.
fn bytes_at(offset: u64, len: u64) -> Bytes {
    const PERIOD: usize = 251;
    static PATTERN: [u8; PERIOD + 64 * 1024] = {
        let mut pattern = [0; PERIOD + 64 * 1024];
        let mut at = 0;
        while at < pattern.len() {
            pattern[at] = (at % PERIOD) as u8;
            at += 1;
        }
        pattern
    };
    let start = (offset % PERIOD as u64) as usize;
    Bytes::from_static(&PATTERN[start..start + len as usize])
}
