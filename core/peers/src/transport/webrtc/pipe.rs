//! The two halves of a connected transport.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use peers_proto::timing;
use webrtc::data_channel::DataChannel;

use super::connection::Guard;
use super::inbox::FrameInbox;
use super::runtime::ConnectionShared;
use super::window::Window;
use crate::clock::{Clock, system_now};
use crate::transport::{CloseReason, FrameSink, FrameSource, MAX_TRANSPORT_FRAME};

pub(super) struct ChannelSink {
    pub(super) channel: Arc<dyn DataChannel>,
    pub(super) shared: Arc<ConnectionShared>,
    pub(super) window: Window,
    pub(super) guard: Arc<Guard>,
}

impl ChannelSink {
    /// Waits until `enough` of what the peer has not acknowledged.
    async fn wait(
        &mut self,
        mut enough: impl FnMut(&mut Window, usize) -> bool + Send,
    ) -> Result<(), webrtc::error::Error> {
        loop {
            let round = self.shared.rounds.notified();
            let outstanding = self.channel.outstanding_bytes().await?;
            if enough(&mut self.window, outstanding) {
                return Ok(());
            }
            round.await;
        }
    }

    async fn pass(&mut self, frame: BytesMut) -> Result<(), webrtc::error::Error> {
        self.wait(|window, outstanding| window.admits(system_now(), outstanding)).await?;
        self.window.sent(system_now(), frame.len());
        self.channel.send(frame).await
    }
}

#[async_trait]
impl FrameSink for ChannelSink {
    async fn send(&mut self, frame: BytesMut) -> Result<(), CloseReason> {
        let closed = self.shared.closed.clone();
        if let Some(reason) = closed.reason() {
            return Err(reason);
        }
        if frame.len() > MAX_TRANSPORT_FRAME {
            return Err(CloseReason::Protocol("a frame beyond the limit"));
        }
        let error = tokio::select! {
            biased;
            passed = self.pass(frame) => match passed {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
            reason = closed.wait() => return Err(reason),
        };
        // The channel knows that it ended a moment before the owning task learns why.
        let why = Clock::system().timeout(timing::WEBRTC_CLOSE, closed.wait()).await;
        if why.is_none() {
            closed.set(CloseReason::Network(error.to_string()));
        }
        Err(closed.wait().await)
    }

    async fn close(&mut self) {
        let closed = self.shared.closed.clone();
        if closed.reason().is_none() {
            let clock = Clock::system();
            let acknowledged = self.wait(|_, outstanding| outstanding == 0);
            tokio::select! {
                _ = closed.wait() => {}
                _ = clock.timeout(timing::WEBRTC_CLOSE, acknowledged) => {}
            }
        }
        self.guard.close().await;
    }
}

pub(super) struct ChannelSource {
    pub(super) inbox: Arc<FrameInbox>,
    pub(super) taken: VecDeque<Bytes>,
    /// Held so that the connection lives as long as either half.
    pub(super) _guard: Arc<Guard>,
}

#[async_trait]
impl FrameSource for ChannelSource {
    async fn recv(&mut self) -> Result<Bytes, CloseReason> {
        loop {
            if let Some(frame) = self.taken.pop_front() {
                return Ok(frame);
            }
            if let Some(reason) = self.inbox.take(&mut self.taken) {
                return Err(reason);
            }
            if self.taken.is_empty() {
                self.inbox.changed().await;
            }
        }
    }

    fn try_recv(&mut self) -> Option<Bytes> {
        if self.taken.is_empty() {
            self.inbox.take(&mut self.taken);
        }
        self.taken.pop_front()
    }
}
