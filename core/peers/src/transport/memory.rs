//! Two transports joined in memory, for tests. No client dials one.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use peers_proto::timing;
use tokio::sync::mpsc;

use super::closed::Closed;
use super::{CloseReason, FrameSink, FrameSource, MAX_TRANSPORT_FRAME, Transport, TransportKind};
use crate::clock::Clock;

/// Frames under way in one direction before `send` waits: 1 MiB of full ones.
const CAPACITY: usize = 64;

/// Two ends of one pipe. Dropping an end without closing it looks like a broken network to the other.
pub fn pair(kind: TransportKind) -> (Transport, Transport) {
    let (left, right, _) = cable(kind);
    (left, right)
}

/// Two ends of one pipe, and what can break it.
pub fn cable(kind: TransportKind) -> (Transport, Transport, Cable) {
    let (left_closed, right_closed) = (Closed::default(), Closed::default());
    let (to_right, from_left) = mpsc::channel(CAPACITY);
    let (to_left, from_right) = mpsc::channel(CAPACITY);
    let end = |frames, arriving, closed: &Closed| Transport {
        route: kind.into(),
        binding: Vec::new(),
        sink: Box::new(MemorySink { frames: Some(frames), closed: closed.clone() }),
        source: Box::new(MemorySource { frames: arriving, closed: closed.clone() }),
    };
    let left = end(to_right, from_right, &left_closed);
    let right = end(to_left, from_left, &right_closed);
    (left, right, Cable { closed: [left_closed, right_closed] })
}

/// The pipe itself.
#[derive(Debug)]
pub struct Cable {
    closed: [Closed; 2],
}

impl Cable {
    /// Breaks it: both ends report [`CloseReason::Network`], frames under way are lost.
    pub fn cut(&self) {
        for closed in &self.closed {
            closed.set(CloseReason::Network("cut".into()));
        }
    }
}

enum Item {
    Frame(Bytes),
    Close,
}

struct MemorySink {
    /// Gone once closed.
    frames: Option<mpsc::Sender<Item>>,
    closed: Closed,
}

#[async_trait]
impl FrameSink for MemorySink {
    async fn send(&mut self, frame: BytesMut) -> Result<(), CloseReason> {
        self.closed.check()?;
        if frame.len() > MAX_TRANSPORT_FRAME {
            return Err(self.closed.set(CloseReason::Protocol("frame above the limit")));
        }
        let Some(frames) = &self.frames else { return Err(CloseReason::Local) };
        tokio::select! {
            biased;
            sent = frames.send(Item::Frame(frame.freeze())) => {
                sent.map_err(|_| self.closed.set(CloseReason::Network("the other end is gone".into())))
            }
            reason = self.closed.wait() => Err(reason),
        }
    }

    async fn close(&mut self) {
        let Some(frames) = self.frames.take() else { return };
        if self.closed.set(CloseReason::Local) == CloseReason::Local {
            // An end that does not read sees the pipe end without this.
            let _ = Clock::system().timeout(timing::CLOSE_GRACE, frames.send(Item::Close)).await;
        }
    }
}

struct MemorySource {
    frames: mpsc::Receiver<Item>,
    closed: Closed,
}

#[async_trait]
impl FrameSource for MemorySource {
    async fn recv(&mut self) -> Result<Bytes, CloseReason> {
        self.closed.check()?;
        tokio::select! {
            item = self.frames.recv() => match item {
                Some(Item::Frame(frame)) => Ok(frame),
                Some(Item::Close) => Err(self.closed.set(CloseReason::Remote)),
                None => Err(self.closed.set(CloseReason::Network("the other end is gone".into()))),
            },
            reason = self.closed.wait() => Err(reason),
        }
    }

    fn try_recv(&mut self) -> Option<Bytes> {
        self.closed.check().ok()?;
        match self.frames.try_recv().ok()? {
            Item::Frame(frame) => Some(frame),
            Item::Close => {
                self.closed.set(CloseReason::Remote);
                None
            }
        }
    }
}
