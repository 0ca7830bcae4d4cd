//! One WebSocket: a reader and a writer around the broker.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use peers_proto::limits;
use peers_proto::signaling::{ClientMessage, ErrorCode, MessageError, NONCE_LEN, ServerMessage, close_code};
use tokio::sync::Notify;

use super::shared::Shared;
use crate::broker::{Inbound, Outbound, SocketId};

/// Bytes taken from the broker and written between two flushes: big enough to make system calls cheap, small enough
/// that signaling does not wait behind it.
const BATCH: usize = 256 * 1024;
/// A device that takes no byte for this long is gone or stuck.
const STALL: Duration = Duration::from_secs(30);
/// After our close frame: time for the device to read it before TCP goes.
const LINGER: Duration = Duration::from_secs(2);

pub(super) async fn run(shared: Arc<Shared>, socket: WebSocket, ip: IpAddr, host: Option<String>) {
    let (mut sink, stream) = socket.split();
    let mut nonce = [0; NONCE_LEN];
    if let Err(error) = getrandom::fill(&mut nonce) {
        tracing::error!(%error, "no randomness: sockets are refused");
        return;
    }
    let (id, wake) = match shared.open(ip, host.as_deref(), nonce) {
        Ok(open) => open,
        Err(refused) => {
            let text = refused.to_string();
            let error = ServerMessage::Error { code: ErrorCode::Full, text, about: None };
            let goodbye = async {
                write_one(&mut sink, Outbound::Text(error)).await?;
                write_one(&mut sink, Outbound::Close(close_code::TRY_LATER, "try later")).await?;
                sink.flush().await
            };
            // The device may be gone already; there is nobody else to tell.
            let _ = tokio::time::timeout(LINGER, goodbye).await;
            return;
        }
    };
    let open = Open { shared, id };
    tokio::select! {
        () = read(&open, stream) => {}
        () = write(&open, sink, &wake) => {}
    }
}

/// Tells the broker when the task ends, however it ends.
struct Open {
    shared: Arc<Shared>,
    id: SocketId,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.close(self.id);
    }
}

async fn read(open: &Open, mut stream: SplitStream<WebSocket>) {
    while let Some(Ok(message)) = stream.next().await {
        let inbound = match message {
            Message::Text(text) => Inbound::Text(ClientMessage::from_json(text.as_str())),
            Message::Binary(bytes) if bytes.len() > limits::MAX_SIGNALING => Inbound::TooLarge,
            Message::Binary(bytes) => Inbound::Binary(bytes),
            Message::Ping(_) | Message::Pong(_) => Inbound::Alive,
            Message::Close(_) => return,
        };
        let inbound = match inbound {
            Inbound::Text(Err(MessageError::TooLarge)) => Inbound::TooLarge,
            other => other,
        };
        if let Some(until) = open.shared.message(open.id, inbound) {
            tokio::time::sleep_until(open.shared.at(until)).await;
        }
    }
}

async fn write(open: &Open, mut sink: SplitSink<WebSocket, Message>, wake: &Notify) {
    let mut batch = Vec::new();
    loop {
        open.shared.take_output(open.id, BATCH, &mut batch);
        if batch.is_empty() {
            wake.notified().await;
            continue;
        }
        let closes = matches!(batch.last(), Some(Outbound::Close(..)));
        let written = async {
            for outbound in batch.drain(..) {
                write_one(&mut sink, outbound).await?;
            }
            sink.flush().await
        };
        match tokio::time::timeout(STALL, written).await {
            Ok(Ok(())) if closes => return tokio::time::sleep(LINGER).await,
            Ok(Ok(())) => {}
            Ok(Err(_)) => return, // the reader's error says more, and neither matters once the device is gone
            Err(_) => return open.shared.stalled(open.id),
        }
    }
}

async fn write_one(sink: &mut SplitSink<WebSocket, Message>, outbound: Outbound) -> Result<(), axum::Error> {
    match outbound {
        Outbound::Text(message) => match message.to_json() {
            Ok(text) => sink.feed(Message::Text(text.into())).await,
            Err(error) => {
                // Stamping adds a few bytes to what was within the limit; nothing else gets here.
                tracing::warn!(%error, "message not relayed");
                Ok(())
            }
        },
        Outbound::Binary(bytes) => sink.feed(Message::Binary(bytes)).await,
        Outbound::Close(code, reason) => {
            sink.feed(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await
        }
    }
}
