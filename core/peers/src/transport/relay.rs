//! The two halves of a relayed transport.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use peers_proto::limits;
use peers_proto::signaling::RelayFrame;

use super::{CloseReason, FrameSink, FrameSource, Transport, TransportKind};
use crate::relay_client::{PushOutcome, ReadOutcome, RelayShared, TransportKey, TransportSignals};

/// Frames a reader takes at once: up to 1 MiB of them leaves the transport's bound.
const BURST: usize = 64;

pub(crate) fn transport(
    shared: Arc<RelayShared>,
    key: TransportKey,
    signals: Arc<TransportSignals>,
) -> Transport {
    let transport = |shared| RelayHalf { shared, key, signals: signals.clone() };
    Transport {
        route: TransportKind::Relay.into(),
        binding: Vec::new(),
        sink: Box::new(RelaySink(transport(shared.clone()))),
        source: Box::new(RelaySource { transport: transport(shared), burst: VecDeque::new() }),
    }
}

/// One half. The transport lives until both are dropped; dropping one closes it.
struct RelayHalf {
    shared: Arc<RelayShared>,
    key: TransportKey,
    signals: Arc<TransportSignals>,
}

impl Drop for RelayHalf {
    fn drop(&mut self) {
        self.shared.drop_half(self.key);
    }
}

/// Waits while [`limits::RELAY_OUTBOUND`] bytes wait for the socket. The client's writer takes what is there in
/// batches as soon as it can, so there is nothing to flush.
struct RelaySink(RelayHalf);

#[async_trait]
impl FrameSink for RelaySink {
    async fn send(&mut self, frame: BytesMut) -> Result<(), CloseReason> {
        if frame.len() > limits::MAX_RELAY_FRAME {
            return Err(CloseReason::Protocol("frame above the limit"));
        }
        let RelayHalf { shared, key, signals } = &self.0;
        let data = RelayFrame::Data { peer: key.peer, connection: key.connection, frame: frame.freeze() };
        let mut message = data.encode();
        loop {
            match shared.push_frame(*key, message) {
                PushOutcome::Queued => return Ok(()),
                PushOutcome::Ended(reason) => return Err(reason),
                PushOutcome::Full(back) => {
                    message = back;
                    signals.writable.notified().await;
                }
            }
        }
    }

    async fn close(&mut self) {
        self.0.shared.close_transport(self.0.key);
    }
}

struct RelaySource {
    transport: RelayHalf,
    burst: VecDeque<Bytes>,
}

#[async_trait]
impl FrameSource for RelaySource {
    async fn recv(&mut self) -> Result<Bytes, CloseReason> {
        loop {
            if let Some(frame) = self.burst.pop_front() {
                return Ok(frame);
            }
            let RelayHalf { shared, key, signals } = &self.transport;
            match shared.take_frames(*key, BURST, &mut self.burst) {
                ReadOutcome::Frames => {}
                ReadOutcome::Nothing => signals.readable.notified().await,
                ReadOutcome::Ended(reason) => return Err(reason),
            }
        }
    }

    fn try_recv(&mut self) -> Option<Bytes> {
        if self.burst.is_empty() {
            self.transport.shared.take_frames(self.transport.key, BURST, &mut self.burst);
        }
        self.burst.pop_front()
    }
}
