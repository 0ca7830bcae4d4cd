//! A lane of a relay client as a transport.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use peers_proto::limits;
use peers_proto::signaling::RelayFrame;

use super::{CloseReason, FrameSink, FrameSource, Transport, TransportKind};
use crate::relay_client::{Key, Outbound, Shared, Signals, Taken};

/// Frames a reader takes from the lane at once: up to 1 MiB of them leaves the lane's bound.
const BURST: usize = 64;

pub(crate) fn transport(shared: Arc<Shared>, key: Key, signals: Arc<Signals>) -> Transport {
    let lane = |shared| Half { shared, key, signals: signals.clone() };
    Transport {
        route: TransportKind::Relay.into(),
        binding: Vec::new(),
        sink: Box::new(RelaySink(lane(shared.clone()))),
        source: Box::new(RelaySource { lane: lane(shared), burst: VecDeque::new() }),
    }
}

/// The lane lives until both are dropped; dropping one closes it.
struct Half {
    shared: Arc<Shared>,
    key: Key,
    signals: Arc<Signals>,
}

impl Drop for Half {
    fn drop(&mut self) {
        self.shared.drop_half(self.key);
    }
}

/// Waits while [`limits::RELAY_OUTBOUND`] bytes wait for the socket. The client's writer takes what is there in
/// batches as soon as it can, so there is nothing to flush.
struct RelaySink(Half);

#[async_trait]
impl FrameSink for RelaySink {
    async fn send(&mut self, frame: BytesMut) -> Result<(), CloseReason> {
        if frame.len() > limits::MAX_RELAY_FRAME {
            return Err(CloseReason::Protocol("frame above the limit"));
        }
        let Half { shared, key, signals } = &self.0;
        let data = RelayFrame::Data { peer: key.peer, connection: key.connection, frame: frame.freeze() };
        let mut message = data.encode();
        loop {
            match shared.push_frame(*key, message) {
                Outbound::Queued => return Ok(()),
                Outbound::Ended(reason) => return Err(reason),
                Outbound::Full(back) => {
                    message = back;
                    signals.writable.notified().await;
                }
            }
        }
    }

    async fn close(&mut self) {
        self.0.shared.close_lane(self.0.key);
    }
}

struct RelaySource {
    lane: Half,
    burst: VecDeque<Bytes>,
}

#[async_trait]
impl FrameSource for RelaySource {
    async fn recv(&mut self) -> Result<Bytes, CloseReason> {
        loop {
            if let Some(frame) = self.burst.pop_front() {
                return Ok(frame);
            }
            let Half { shared, key, signals } = &self.lane;
            match shared.take_frames(*key, BURST, &mut self.burst) {
                Taken::Frames => {}
                Taken::Nothing => signals.readable.notified().await,
                Taken::Ended(reason) => return Err(reason),
            }
        }
    }

    fn try_recv(&mut self) -> Option<Bytes> {
        if self.burst.is_empty() {
            self.lane.shared.take_frames(self.lane.key, BURST, &mut self.burst);
        }
        self.burst.pop_front()
    }
}
