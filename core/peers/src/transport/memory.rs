//! Two transports joined in memory, for tests. No client dials one.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use peers_proto::timing;
use tokio::sync::mpsc;

use super::ending::Ending;
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
    let (left_ending, right_ending) = (Arc::<Ending>::default(), Arc::<Ending>::default());
    let (to_right, from_left) = mpsc::channel(CAPACITY);
    let (to_left, from_right) = mpsc::channel(CAPACITY);
    let end = |frames, arriving, ending: &Arc<Ending>| Transport {
        route: kind.into(),
        binding: Vec::new(),
        sink: Box::new(MemorySink { frames: Some(frames), ending: ending.clone() }),
        source: Box::new(MemorySource { frames: arriving, ending: ending.clone() }),
    };
    let left = end(to_right, from_right, &left_ending);
    let right = end(to_left, from_left, &right_ending);
    (left, right, Cable { endings: [left_ending, right_ending] })
}

/// The pipe itself.
#[derive(Debug)]
pub struct Cable {
    endings: [Arc<Ending>; 2],
}

impl Cable {
    /// Breaks it: both ends report [`CloseReason::Network`], frames under way are lost.
    pub fn cut(&self) {
        for ending in &self.endings {
            ending.end(CloseReason::Network("cut".into()));
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
    ending: Arc<Ending>,
}

#[async_trait]
impl FrameSink for MemorySink {
    async fn send(&mut self, frame: BytesMut) -> Result<(), CloseReason> {
        self.ending.check()?;
        if frame.len() > MAX_TRANSPORT_FRAME {
            return Err(self.ending.end(CloseReason::Protocol("frame above the limit")));
        }
        let Some(frames) = &self.frames else { return Err(CloseReason::Local) };
        tokio::select! {
            biased;
            sent = frames.send(Item::Frame(frame.freeze())) => {
                sent.map_err(|_| self.ending.end(CloseReason::Network("the other end is gone".into())))
            }
            reason = self.ending.ended() => Err(reason),
        }
    }

    async fn close(&mut self) {
        let Some(frames) = self.frames.take() else { return };
        if self.ending.end(CloseReason::Local) == CloseReason::Local {
            // An end that does not read sees the pipe end without this.
            let _ = Clock::system().timeout(timing::CLOSE_GRACE, frames.send(Item::Close)).await;
        }
    }
}

struct MemorySource {
    frames: mpsc::Receiver<Item>,
    ending: Arc<Ending>,
}

#[async_trait]
impl FrameSource for MemorySource {
    async fn recv(&mut self) -> Result<Bytes, CloseReason> {
        self.ending.check()?;
        tokio::select! {
            item = self.frames.recv() => match item {
                Some(Item::Frame(frame)) => Ok(frame),
                Some(Item::Close) => Err(self.ending.end(CloseReason::Remote)),
                None => Err(self.ending.end(CloseReason::Network("the other end is gone".into()))),
            },
            reason = self.ending.ended() => Err(reason),
        }
    }

    fn try_recv(&mut self) -> Option<Bytes> {
        self.ending.check().ok()?;
        match self.frames.try_recv().ok()? {
            Item::Frame(frame) => Some(frame),
            Item::Close => {
                self.ending.end(CloseReason::Remote);
                None
            }
        }
    }
}
