//! Unauthenticated ordered pipes of frames. Everything above treats them alike.

mod closed;
pub mod memory;
pub(crate) mod relay;
pub mod webrtc;
pub mod websocket;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use peers_proto::limits;
pub use peers_proto::path::Route;
pub use peers_proto::transport_kind::TransportKind;

/// Largest frame a transport carries: a whole one, and room for its sealing.
pub const MAX_TRANSPORT_FRAME: usize = limits::MAX_FRAME + limits::SEAL_ROOM;

/// The reason for which a transport ended. Every transport reports exactly one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// This side closed it.
    #[error("closed by this device")]
    Local,
    /// The other side closed it in good order.
    #[error("closed by the peer")]
    Remote,
    /// No path was found or the path broke.
    #[error("network: {0}")]
    Network(String),
    /// It was not established, or nothing was heard, in time.
    #[error("timed out")]
    TimedOut,
    /// The peer broke a rule of the transport (a second data channel, a frame beyond the limit, a flood).
    #[error("protocol: {0}")]
    Protocol(&'static str),
}

/// One connected pipe.
pub struct Transport {
    /// The kind of transport, and whether a server forwards the frames.
    pub route: Route,
    /// Bytes that both ends know only if there is no other device between them; empty where the transport has none.
    pub binding: Vec<u8>,
    /// The sending half.
    pub sink: Box<dyn FrameSink>,
    /// The receiving half.
    pub source: Box<dyn FrameSource>,
}

/// The sending half of a transport.
#[async_trait]
pub trait FrameSink: Send {
    /// Sends one frame of at most `MAX_FRAME` plus sealing; waits while the transport's own bounded buffer is full.
    async fn send(&mut self, frame: BytesMut) -> Result<(), CloseReason>;
    /// Pushes out what `send` accepted. Does nothing where `send` already does.
    async fn flush(&mut self) -> Result<(), CloseReason> {
        Ok(())
    }
    /// Sends what is buffered and closes. The source then ends with [`CloseReason::Local`].
    async fn close(&mut self);
}

/// The receiving half of a transport.
#[async_trait]
pub trait FrameSource: Send {
    /// The next frame. The first error is the transport's one close reason; it is repeated if asked again.
    /// Cancel safe.
    async fn recv(&mut self) -> Result<Bytes, CloseReason>;
    /// A frame that has already arrived, if any: lets a reader drain a burst under one lock.
    fn try_recv(&mut self) -> Option<Bytes>;
}
