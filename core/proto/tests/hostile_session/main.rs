//! A session and a peer that was let in and wants its memory, measured by the allocator.

#![expect(clippy::unwrap_used, reason = "tests")]

mod groups;
#[path = "../codec/memory.rs"]
mod memory;
mod memory_of_many;
mod memory_of_one;

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};
use peers_proto::id::{DeviceId, GroupId};
use peers_proto::limits::MAX_FRAME_CONTENT;
use peers_proto::session::wire::{FrameKind, Header, ObjectHead, Piece, RequestHead, Segment};
use peers_proto::session::{Encoding, SessionConfig, SessionError, SessionMachine};
use peers_proto::time::Instant;

const MIB: usize = 1024 * 1024;
const NOW: Instant = Instant::from_micros(1);

fn device(n: u8) -> DeviceId {
    DeviceId::from_bytes([n; 20])
}

fn group(n: u8) -> GroupId {
    GroupId::from_bytes([n; 20])
}

/// A session under attack, and how far the peer is.
struct Victim {
    session: SessionMachine,
    seq: u64,
    /// The acknowledgement of the peer.
    ack: u64,
    /// Frames that were sent to the peer.
    sent: u64,
}

impl Victim {
    fn new(config: SessionConfig) -> Self {
        let mut session = SessionMachine::new(config);
        session.attach(0).unwrap();
        Self { session, seq: 0, ack: 0, sent: 0 }
    }

    fn trusting() -> Self {
        Self::new(config(200))
    }

    /// One frame of the peer.
    fn take(&mut self, segments: &[Segment<'_>]) -> Result<(), SessionError> {
        let mut frame = BytesMut::with_capacity(MAX_FRAME_CONTENT);
        Header { kind: FrameKind::Data, seq: self.seq, ack: self.ack }.write(&mut frame);
        segments.iter().for_each(|s| s.write(&mut frame));
        assert!(frame.len() <= MAX_FRAME_CONTENT);
        self.seq += 1;
        self.session.handle_frame(&frame.freeze(), NOW)
    }

    /// The path takes what there is to send; nothing of it is acknowledged.
    fn send(&mut self) {
        while self.session.poll_frame(NOW).is_some_and(|frame| frame[0] == FrameKind::Data as u8) {
            self.sent += 1;
        }
    }

    /// As [`Self::send`], and the peer has received it.
    fn exchange(&mut self) {
        self.send();
        self.ack = self.sent;
    }

    fn forget_events(&mut self) {
        while self.session.poll_event().is_some() {}
    }

    /// An object of any description in as many frames as it needs.
    fn take_object(&mut self, head: ObjectHead) -> Result<(), SessionError> {
        let content = vec![7; head.content_len];
        let pieces: Vec<_> = content.chunks(MAX_FRAME_CONTENT - 60).collect();
        for (n, content) in pieces.iter().enumerate() {
            let (first, last) = (n == 0, n + 1 == pieces.len());
            let piece = Piece { head: first.then_some(head), last, content };
            self.take(&[Segment::Message { lane: 0, piece }])?;
        }
        Ok(())
    }
}

fn config(n: u8) -> SessionConfig {
    SessionConfig {
        local: device(n),
        remote: device(1),
        groups: HashSet::from([group(1)]),
        ungrouped: true,
        budget: Default::default(),
    }
}

fn plain(content: &[u8]) -> Piece<'_> {
    let len = content.len();
    let head = ObjectHead { encoding: Encoding::Plain, content_len: len, raw_len: len };
    Piece { head: Some(head), last: true, content }
}

fn call(call: u64, lane: u64, service: &str) -> Segment<'_> {
    let head = RequestHead { lane, timeout_ms: 60_000, service, method: "m" };
    Segment::Request { call, head: Some(head), piece: plain(b"") }
}
