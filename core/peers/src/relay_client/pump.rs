//! A registered socket: reader, writer and keep-alive until one of them finds an end.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use peers_proto::signaling::{ErrorCode, RelayFrame, ServerMessage, close_code};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::keep_alive::Pulse;
use super::learned::Learned;
use super::register::{broken, not_text, parse};
use super::shared::{RelayShared, WriteBatch};
use super::state::Disconnect;
use crate::transport::websocket::Socket;

/// The end of the socket.
#[derive(Debug)]
pub(super) enum SocketEnd {
    Lost(Disconnect),
    Superseded,
    /// This side stops.
    Stopped,
}

pub(super) async fn pump(shared: &RelayShared, learned: &Learned, socket: Socket) -> SocketEnd {
    let (sink, stream) = socket.split();
    let pulse = Pulse::new(shared.clock());
    let closed = AtomicBool::new(false);
    let end = tokio::select! {
        end = read(shared, &pulse, stream) => end,
        end = write(shared, &pulse, sink, &closed) => end,
        lost = pulse.watch(shared, learned.ping_every()) => SocketEnd::Lost(lost),
        () = shared.keep_ice_fresh() => SocketEnd::Stopped,
    };
    // After this side's close frame any end is as good: nothing cut an idle socket.
    if matches!(end, SocketEnd::Lost(Disconnect::Broken(_))) && !closed.load(Ordering::Relaxed) {
        learned.handle_broken(pulse.silence(shared.clock()));
    }
    end
}

/// Waits for the socket only: messages that are not taken are dropped by the rules of their queue.
async fn read(shared: &RelayShared, pulse: &Pulse, mut stream: SplitStream<Socket>) -> SocketEnd {
    // Says more than the close that follows it. In between the relay writes what it still has.
    let mut refused = None;
    let lost = |why: Disconnect, refused: Option<ErrorCode>| {
        SocketEnd::Lost(refused.map_or(why, Disconnect::Refused))
    };
    loop {
        let message = match stream.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return lost(broken(&error), refused),
            None => return lost(Disconnect::Closed(close_code::NORMAL), refused),
        };
        pulse.heard(shared.clock());
        match message {
            Message::Text(text) => match parse(&text) {
                Ok(Some(ServerMessage::Superseded)) => return SocketEnd::Superseded,
                Ok(Some(ServerMessage::Error { code, .. })) if closes(code) => refused = Some(code),
                Ok(Some(message)) => shared.handle_message(message),
                Ok(None) => {}
                Err(lost) => return SocketEnd::Lost(lost),
            },
            Message::Binary(bytes) => match RelayFrame::decode(&bytes) {
                Ok(frame) => shared.handle_frame(&frame),
                Err(error) => return SocketEnd::Lost(Disconnect::Protocol(error.to_string())),
            },
            other => match not_text(&other) {
                Some(Disconnect::Closed(close_code::SUPERSEDED)) => return SocketEnd::Superseded,
                Some(why) => return lost(why, refused),
                None => {}
            },
        }
    }
}

/// True if the relay closes the socket after this error.
fn closes(code: ErrorCode) -> bool {
    !matches!(code, ErrorCode::UnknownEvent | ErrorCode::Other)
}

/// Writes in batches: pings, then signaling, then a fair share of every transport's frames.
async fn write(
    shared: &RelayShared,
    pulse: &Pulse,
    mut sink: SplitSink<Socket, Message>,
    closed: &AtomicBool,
) -> SocketEnd {
    let mut batch = WriteBatch::default();
    loop {
        shared.take_output(&mut batch);
        let ping = pulse.take_ping();
        let last = batch.last;
        if !ping && !last && batch.texts.is_empty() && batch.frames.is_empty() {
            shared.work_waiting().await;
            continue;
        }
        let written = async {
            if ping {
                sink.feed(Message::Ping(Default::default())).await?;
            }
            for text in batch.texts.drain(..) {
                sink.feed(Message::text(text)).await?;
            }
            for frame in batch.frames.drain(..) {
                sink.feed(Message::Binary(frame)).await?;
            }
            if last {
                closed.store(true, Ordering::Relaxed);
                let goodbye = CloseFrame { code: close_code::NORMAL.into(), reason: "".into() };
                sink.feed(Message::Close(Some(goodbye))).await?;
            }
            sink.flush().await
        };
        match written.await {
            // The reader takes what has come meanwhile until the relay closes too: a socket that is dropped over unread bytes
            // is reset, and the relay then loses what it has not read yet, be it the last frame of a session.
            Ok(()) if last => return std::future::pending().await,
            Ok(()) => {}
            // The reader may know more: it has what the relay said before it closed.
            Err(error) => {
                tracing::debug!(%error, "relay write failed");
                return std::future::pending().await;
            }
        }
    }
}
