//! Two sessions and the paths between them, in virtual time.

mod calls;
mod flow;
mod objects;
mod paths;
mod streams;

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::id::{DeviceId, GroupId};
use crate::time::Instant;

const MS: Duration = Duration::from_millis(1);

struct End {
    session: SessionMachine,
    /// Frames on their way to the other end.
    wire: VecDeque<Bytes>,
    events: Vec<SessionEvent>,
}

impl End {
    fn new(local: u8, remote: u8) -> Self {
        let session = SessionMachine::new(SessionConfig {
            local: device(local),
            remote: device(remote),
            groups: HashSet::from([group(1), group(2)]),
            ungrouped: true,
            budget: MemoryBudget::default(),
        });
        Self { session, wire: VecDeque::new(), events: Vec::new() }
    }

    fn messages(&mut self) -> Vec<Bytes> {
        std::iter::from_fn(|| self.session.next_message()).map(|m| m.object.content).collect()
    }

    /// Everything readable on a stream, and whether it has ended.
    fn read_all(&mut self, stream: u64) -> Result<(Vec<u8>, bool), StreamError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.session.read(stream)? {
            if chunk.is_empty() {
                return Ok((bytes, true));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((bytes, false))
    }
}

struct Pair {
    a: End,
    b: End,
    now: Instant,
}

fn device(n: u8) -> DeviceId {
    DeviceId::from_bytes([n; 20])
}

fn group(n: u8) -> GroupId {
    GroupId::from_bytes([n; 20])
}

fn object(n: usize) -> Object {
    Object::plain(vec![n as u8; n])
}

fn deliver(from: &mut End, to: &mut End, n: usize, now: Instant) {
    for frame in from.wire.drain(..n.min(from.wire.len())) {
        to.session.handle_frame(&frame, now).unwrap();
    }
    to.events.extend(std::iter::from_fn(|| to.session.poll_event()));
}

impl Pair {
    fn new() -> Self {
        let mut pair = Self { a: End::new(1, 2), b: End::new(2, 1), now: Instant::from_micros(1) };
        pair.attach();
        pair
    }

    /// A new path: what was on the old one is lost.
    fn attach(&mut self) {
        let (a, b) = (self.a.session.next_expected(), self.b.session.next_expected());
        self.a.wire.clear();
        self.b.wire.clear();
        self.a.session.attach(b).unwrap();
        self.b.session.attach(a).unwrap();
    }

    fn poll(&mut self) {
        for end in [&mut self.a, &mut self.b] {
            while let Some(frame) = end.session.poll_frame(self.now) {
                assert!(frame.len() <= crate::limits::MAX_FRAME_CONTENT);
                end.wire.push_back(frame);
            }
            end.events.extend(std::iter::from_fn(|| end.session.poll_event()));
        }
    }

    /// Delivers at most `n` frames in each direction.
    fn deliver(&mut self, n: usize) {
        deliver(&mut self.a, &mut self.b, n, self.now);
        deliver(&mut self.b, &mut self.a, n, self.now);
    }

    /// Until nothing moves any more.
    fn settle(&mut self) {
        loop {
            self.poll();
            if self.a.wire.is_empty() && self.b.wire.is_empty() {
                return;
            }
            self.deliver(usize::MAX);
        }
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        self.a.session.handle_timeout(self.now);
        self.b.session.handle_timeout(self.now);
        self.settle();
    }
}
