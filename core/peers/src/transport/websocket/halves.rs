//! A WebSocket as a transport.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, Stream, StreamExt};
use peers_proto::timing;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, error::ProtocolError};

use crate::clock::Clock;
use crate::transport::closed::Closed;
use crate::transport::{CloseReason, FrameSink, FrameSource, MAX_TRANSPORT_FRAME, Transport, TransportKind};

/// Read and write buffers: several frames for one system call.
const BUFFER: usize = 64 * 1024;

pub(super) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(Some(MAX_TRANSPORT_FRAME))
        .max_frame_size(Some(MAX_TRANSPORT_FRAME))
}

pub(super) fn transport<S>(kind: TransportKind, socket: WebSocketStream<S>) -> Transport
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let closed = Closed::default();
    let (sink, stream) = socket.split();
    Transport {
        route: kind.into(),
        binding: Vec::new(),
        sink: Box::new(WebSocketSink { sink, closed: closed.clone() }),
        source: Box::new(WebSocketSource { stream, closed }),
    }
}

/// Writes gather in a buffer of [`BUFFER`] bytes until it is full or flushed; beyond that `send` waits for TCP.
struct WebSocketSink<S> {
    sink: SplitSink<WebSocketStream<S>, Message>,
    closed: Closed,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> WebSocketSink<S> {
    async fn close_with(&mut self, code: CloseCode) {
        let goodbye =
            async { self.sink.send(Message::Close(Some(CloseFrame { code, reason: "".into() }))).await };
        // A peer that does not take it sees the connection end without it.
        let _ = Clock::system().timeout(timing::CLOSE_GRACE, goodbye).await;
    }

    /// The code a close caused by this side's own finding deserves; nothing if the socket is of no use any more.
    fn goodbye(reason: &CloseReason) -> Option<CloseCode> {
        match reason {
            CloseReason::Local => Some(CloseCode::Normal),
            CloseReason::Protocol(_) => Some(CloseCode::Policy),
            CloseReason::Remote | CloseReason::Network(_) | CloseReason::TimedOut => None,
        }
    }
}

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Unpin + Send> FrameSink for WebSocketSink<S> {
    async fn send(&mut self, frame: BytesMut) -> Result<(), CloseReason> {
        self.closed.check()?;
        if frame.len() > MAX_TRANSPORT_FRAME {
            return Err(self.closed.set(CloseReason::Protocol("frame above the limit")));
        }
        tokio::select! {
            biased;
            fed = self.sink.feed(Message::Binary(frame.freeze())) => {
                fed.map_err(|error| self.closed.set(reason(&error)))
            }
            reason = self.closed.wait() => Err(reason),
        }
    }

    async fn flush(&mut self) -> Result<(), CloseReason> {
        self.closed.check()?;
        tokio::select! {
            biased;
            flushed = self.sink.flush() => flushed.map_err(|error| self.closed.set(reason(&error))),
            reason = self.closed.wait() => Err(reason),
        }
    }

    async fn close(&mut self) {
        if let Some(code) = Self::goodbye(&self.closed.set(CloseReason::Local)) {
            self.close_with(code).await;
        }
    }
}

struct WebSocketSource<S> {
    stream: SplitStream<WebSocketStream<S>>,
    closed: Closed,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> WebSocketSource<S> {
    /// The next frame. Everything else is answered by the protocol's own rules or ends the transport.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, CloseReason>> {
        self.closed.check()?;
        loop {
            let Poll::Ready(message) = Pin::new(&mut self.stream).poll_next(cx) else { return Poll::Pending };
            let end = match message {
                Some(Ok(Message::Binary(frame))) => return Poll::Ready(Ok(frame)),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Text(_))) => CloseReason::Protocol("a text message"),
                Some(Ok(Message::Close(_))) | None => CloseReason::Remote,
                Some(Err(error)) => reason(&error),
            };
            return Poll::Ready(Err(self.closed.set(end)));
        }
    }
}

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Unpin + Send> FrameSource for WebSocketSource<S> {
    async fn recv(&mut self) -> Result<Bytes, CloseReason> {
        let closed = self.closed.clone();
        tokio::select! {
            biased;
            frame = std::future::poll_fn(|cx| self.poll_frame(cx)) => frame,
            reason = closed.wait() => Err(reason),
        }
    }

    /// Polls once without a waker: the next `recv` polls again before it waits, so no wake-up is lost.
    fn try_recv(&mut self) -> Option<Bytes> {
        match self.poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(frame)) => Some(frame),
            Poll::Ready(Err(_)) | Poll::Pending => None,
        }
    }
}

/// The transport's error for an error of the library.
fn reason(error: &Error) -> CloseReason {
    match error {
        Error::Capacity(_) => CloseReason::Protocol("frame above the limit"),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            CloseReason::Network("ended without a close".into())
        }
        Error::Protocol(ProtocolError::SendAfterClosing) | Error::ConnectionClosed | Error::AlreadyClosed => {
            CloseReason::Remote
        }
        Error::Protocol(_) | Error::Utf8(_) => CloseReason::Protocol("not the WebSocket protocol"),
        Error::Io(error) => CloseReason::Network(error.kind().to_string()),
        other => CloseReason::Network(other.to_string()),
    }
}
