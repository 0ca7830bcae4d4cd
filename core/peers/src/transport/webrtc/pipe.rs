//! The two halves of a connected transport.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use peers_proto::{limits, timing};
use tokio::sync::Notify;
use webrtc::data_channel::DataChannel;

use super::connection::Guard;
use super::inbox::Inbox;
use super::life::Life;
use crate::transport::{CloseReason, FrameSink, FrameSource};

/// A frame and its sealing.
pub(super) const MAX_WIRE_FRAME: usize = limits::MAX_FRAME + limits::SEAL_OVERHEAD;

pub(super) struct Sink {
    pub(super) channel: Arc<dyn DataChannel>,
    pub(super) life: Life,
    pub(super) drained: Arc<Notify>,
    pub(super) guard: Arc<Guard>,
}

impl Sink {
    /// Waits until the peer acknowledged everything.
    async fn drain(&self) -> Result<(), webrtc::error::Error> {
        self.channel.set_buffered_amount_low_threshold(0).await?;
        while self.channel.outstanding_bytes().await? > 0 {
            self.drained.notified().await;
        }
        Ok(())
    }
}

#[async_trait]
impl FrameSink for Sink {
    async fn send(&mut self, frame: BytesMut) -> Result<(), CloseReason> {
        if let Some(reason) = self.life.reason() {
            return Err(reason);
        }
        if frame.len() > MAX_WIRE_FRAME {
            return Err(CloseReason::Protocol("a frame beyond the limit"));
        }
        let Err(error) = self.channel.send(frame).await else { return Ok(()) };
        // The channel knows that it ended a moment before the owning task learns why.
        let why = tokio::time::timeout(timing::WEBRTC_CLOSE, self.life.ended()).await;
        if why.is_err() {
            self.life.end(CloseReason::Network(error.to_string()));
        }
        Err(self.life.ended().await)
    }

    async fn close(&mut self) {
        if self.life.reason().is_none() {
            tokio::select! {
                _ = self.life.ended() => {}
                _ = tokio::time::timeout(timing::WEBRTC_CLOSE, self.drain()) => {}
            }
        }
        self.guard.close().await;
    }
}

pub(super) struct Source {
    pub(super) inbox: Arc<Inbox>,
    pub(super) taken: VecDeque<Bytes>,
    /// Held so that the connection lives as long as either half.
    pub(super) _guard: Arc<Guard>,
}

#[async_trait]
impl FrameSource for Source {
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
