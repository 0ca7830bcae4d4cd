//! One WebSocket: a reader and a writer around the broker.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use peers_proto::limits;
use peers_proto::signaling::{
    ClientMessage, ErrorCode, MessageError, NONCE_LEN, Registration, ServerMessage, close_code,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::connection::Place;
use super::shared::Shared;
use crate::broker::{Inbound, Outbound, Proof, SocketId};

/// Bytes taken from the broker and written between two flushes: big enough to make system calls cheap, small enough
/// that signaling does not wait behind it.
const BATCH: usize = 256 * 1024;
/// The same for a device that takes longer than [`SLOW`] for one: what comes next is late by so much less.
const SMALL_BATCH: usize = 32 * 1024;
/// See [`SMALL_BATCH`].
const SLOW: Duration = Duration::from_millis(100);
/// A device that takes no byte for this long is gone or stuck.
const STALL: Duration = Duration::from_secs(30);
/// After our close frame: time for the device to read it before TCP goes.
const LINGER: Duration = Duration::from_secs(2);

/// `ip` is the device's own, wherever the connection comes from.
pub(super) async fn run(
    shared: Arc<Shared>,
    place: Arc<Place>,
    socket: WebSocket,
    ip: IpAddr,
    host: Option<String>,
) {
    let (mut sink, stream) = socket.split();
    let mut nonce = [0; NONCE_LEN];
    if let Err(error) = getrandom::fill(&mut nonce) {
        tracing::error!(%error, "no randomness: sockets are refused");
        return;
    }
    if let Err(refused) = shared.open(place.id, ip, host.as_deref(), nonce) {
        let text = refused.to_string();
        let error = ServerMessage::Error { code: ErrorCode::Full, text, about: None };
        let last = async {
            write_one(&mut sink, Outbound::Text(error)).await?;
            write_one(&mut sink, Outbound::Close(close_code::TRY_LATER, "try later")).await?;
            sink.flush().await
        };
        // The device may be gone already; there is no other to tell.
        let _ = tokio::time::timeout(LINGER, last).await;
        return;
    }
    let open = Open { shared, id: place.id };
    tokio::select! {
        () = read(&open, stream) => {}
        () = write(&open, sink, &place.signals.wake) => {}
        () = cut(&place.signals.cut) => {}
    }
}

/// An open socket.
struct Open {
    shared: Arc<Shared>,
    id: SocketId,
}

/// The broker gave the device up: what it still takes within a moment are the last words.
async fn cut(cut: &Notify) {
    cut.notified().await;
    tokio::time::sleep(LINGER).await;
}

async fn read(open: &Open, mut stream: SplitStream<WebSocket>) {
    while let Some(Ok(message)) = stream.next().await {
        let inbound = match message {
            Message::Text(text) => match ClientMessage::from_json(text.as_str()) {
                Ok(ClientMessage::DeviceRegistered(registration)) => {
                    register(open, registration).await;
                    continue;
                }
                Err(MessageError::TooLarge) => Inbound::TooLarge,
                message => Inbound::Text { len: text.len(), message },
            },
            Message::Binary(bytes) if bytes.len() > limits::MAX_SIGNALING => Inbound::TooLarge,
            Message::Binary(bytes) => Inbound::Binary(bytes),
            Message::Ping(_) | Message::Pong(_) => Inbound::Alive,
            Message::Close(_) => return,
        };
        // One read brings many messages, and tokio counts only reads: other sockets wait for this one no longer than that.
        tokio::task::coop::consume_budget().await;
        if let Some(until) = open.shared.message(open.id, inbound) {
            tokio::time::sleep_until(open.shared.at(until)).await;
        }
    }
}

/// Verifies outside the broker's lock, and only so many at once.
async fn register(open: &Open, registration: Registration) {
    let Some((challenge, at)) = open.shared.registering(open.id) else { return };
    tokio::time::sleep_until(open.shared.at(at)).await;
    let Ok(permit) = open.shared.verifications.acquire().await else { return };
    let proof = tokio::task::spawn_blocking(move || Proof::verify(&challenge, registration)).await;
    drop(permit);
    match proof {
        Ok(proof) => open.shared.registered(open.id, proof),
        Err(error) => tracing::error!(%error, "registration not verified"),
    }
}

async fn write(open: &Open, mut sink: SplitSink<WebSocket, Message>, wake: &Notify) {
    let mut batch = Vec::new();
    let mut size = BATCH;
    loop {
        open.shared.take_output(open.id, size, &mut batch);
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
        let began = Instant::now();
        let written = tokio::time::timeout(STALL, written).await;
        size = if began.elapsed() > SLOW { SMALL_BATCH } else { BATCH };
        match written {
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
