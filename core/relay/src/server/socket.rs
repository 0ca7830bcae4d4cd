//! One WebSocket: a reader and a writer around the broker.
//!
//! Their buffers exist while there is something to read or to write: a socket that is silent has none.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use peers_proto::limits;
use peers_proto::signaling::{
    Challenge, ClientMessage, ErrorCode, MessageError, NONCE_LEN, Registration, ServerMessage, close_code,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::App;
use super::connection::Upgraded;
use super::shared::ConnectionSignals;
use crate::broker::{Inbound, Outbound, Proof, SocketId};
use crate::websocket::{Decoder, InboundMessage, Opcode, encode, encode_close};

/// Bytes read at once: several relayed frames for one system call.
const READ: usize = 64 * 1024;
/// Bytes written at once: larger ones made relayed data no faster.
const WRITE: usize = 64 * 1024;
/// Bytes taken from the broker and written between two looks at what else waits: big enough to make system calls cheap,
/// small enough that signaling does not wait behind it.
const BATCH: usize = 256 * 1024;
/// The same for a device that takes longer than [`SLOW`] for one: what comes next is late by so much less.
const SMALL_BATCH: usize = 32 * 1024;
/// See [`SMALL_BATCH`].
const SLOW: Duration = Duration::from_millis(100);
/// A device that takes no byte for this long is gone or stuck.
const STALL: Duration = Duration::from_secs(30);
/// After our close frame: time for the device to read it and to answer with its own before TCP goes.
const LINGER: Duration = Duration::from_secs(2);

pub(super) async fn run(app: &App, id: SocketId, signals: &ConnectionSignals, upgraded: Upgraded) {
    let Upgraded { mut tcp, early, ip } = upgraded;
    // A connection that is gone has no address.
    let Ok(local) = tcp.local_addr() else { return };
    let mut nonce = [0; NONCE_LEN];
    if let Err(error) = getrandom::fill(&mut nonce) {
        tracing::error!(%error, "socket refused: no randomness");
        return;
    }
    let server_name = app.names.at(local).first().cloned().unwrap_or_default();
    let (reader, mut writer) = tcp.split();
    if let Err(refused) = app.shared.open(id, ip, Challenge { nonce, server_name }) {
        let text = refused.to_string();
        let error = ServerMessage::Error { code: ErrorCode::Full, text, about: None };
        let last = vec![Outbound::Text(error), Outbound::Close(close_code::TRY_LATER, "try later")];
        // The device may be gone already; there is no other to tell.
        let _ = tokio::time::timeout(LINGER, write_batch(&mut writer, last)).await;
        return;
    }
    let open = OpenSocket { app, id, local, closed: Notify::new() };
    tokio::select! {
        () = read(&open, reader, early) => {}
        () = write(&open, writer, &signals.wake) => {}
        () = cut(&signals.cut) => {}
    }
}

/// An open socket.
struct OpenSocket<'a> {
    app: &'a App,
    id: SocketId,
    /// The address it arrived at.
    local: SocketAddr,
    /// The device's close frame has come: once ours is written too, the server ends TCP (RFC 6455 section 7.1.1).
    closed: Notify,
}

/// The broker gave the device up: what it still takes within a moment are the last words.
async fn cut(cut: &Notify) {
    cut.notified().await;
    tokio::time::sleep(LINGER).await;
}

async fn read(open: &OpenSocket<'_>, mut tcp: ReadHalf<'_>, early: Vec<u8>) {
    // Twice the limit, so that a message a little above it gets an error. A larger one ends the connection.
    let mut decoder = Decoder::new(2 * limits::MAX_SIGNALING);
    let (mut input, mut closed) = (early, false);
    loop {
        let mut rest = &input[..];
        loop {
            match decoder.next(&mut rest) {
                Ok(Some(message)) => {
                    closed |= message == InboundMessage::Close;
                    take(open, message).await;
                }
                Ok(None) => break,
                Err(error) => return tracing::debug!(%error, "socket broken"),
            }
        }
        drop(input);
        input = match arrived(&mut tcp).await {
            Ok(bytes) if !bytes.is_empty() => bytes,
            // The end that follows a close frame: the writer says the last words and ends the socket.
            Ok(_) if closed => return std::future::pending().await,
            // The device is gone; an error says no more.
            Ok(_) | Err(_) => return,
        };
    }
}

/// Returns the bytes that arrive next; empty at the end. There is no buffer before something is there.
async fn arrived(tcp: &mut ReadHalf<'_>) -> io::Result<Vec<u8>> {
    poll_fn(|cx| {
        let mut input = Vec::with_capacity(READ);
        let read = pin!(tcp.read_buf(&mut input)).poll(cx);
        read.map_ok(|_| input)
    })
    .await
}

async fn take(open: &OpenSocket<'_>, message: InboundMessage) {
    let inbound = match message {
        InboundMessage::Text(text) => match ClientMessage::from_json(&text) {
            // On the heap, like the request: it happens once.
            Ok(ClientMessage::DeviceRegistered(registration)) => {
                return Box::pin(register(open, registration)).await;
            }
            Err(MessageError::TooLarge) => Inbound::TooLarge,
            message => Inbound::Text { len: text.len(), message },
        },
        InboundMessage::Binary(bytes) if bytes.len() > limits::MAX_SIGNALING => Inbound::TooLarge,
        InboundMessage::Binary(bytes) => Inbound::Binary(bytes),
        InboundMessage::Ping(bytes) => Inbound::Ping(bytes),
        InboundMessage::Pong => Inbound::Pong,
        InboundMessage::Close => {
            open.closed.notify_one();
            Inbound::Close
        }
    };
    // One read brings many messages, and tokio counts only reads: other sockets wait for this one no longer than that.
    tokio::task::coop::consume_budget().await;
    let shared = &open.app.shared;
    if let Some(until) = shared.message(open.id, inbound) {
        tokio::time::sleep_until(shared.at(until)).await;
    }
}

/// Verifies outside the broker's lock, and only so many at once. On the worker's own thread: it takes a fifth of a
/// millisecond, and each thread of a pool for it would keep memory of its own.
async fn register(open: &OpenSocket<'_>, registration: Registration) {
    let App { shared, names, .. } = open.app;
    let Some((challenge, at)) = shared.registering(open.id) else { return };
    tokio::time::sleep_until(shared.at(at)).await;
    let Ok(permit) = shared.verifications.acquire().await else { return };
    let proof = Proof::verify(&challenge, &names.at(open.local), registration);
    drop(permit);
    shared.registered(open.id, proof);
}

async fn write(open: &OpenSocket<'_>, mut tcp: WriteHalf<'_>, wake: &Notify) {
    let shared = &open.app.shared;
    let mut size = BATCH;
    loop {
        let batch = shared.take_output(open.id, size);
        if batch.is_empty() {
            wake.notified().await;
            continue;
        }
        let closes = matches!(batch.last(), Some(Outbound::Close(..)));
        let began = Instant::now();
        let written = tokio::time::timeout(STALL, write_batch(&mut tcp, batch)).await;
        size = if began.elapsed() > SLOW { SMALL_BATCH } else { BATCH };
        match written {
            Ok(Ok(())) if closes => {
                // A device that does not answer is one that is gone.
                let _ = tokio::time::timeout(LINGER, open.closed.notified()).await;
                return;
            }
            Ok(Ok(())) => {}
            Ok(Err(_)) => return, // the reader's error says more, and neither matters once the device is gone
            Err(_) => return shared.stalled(open.id),
        }
    }
}

async fn write_batch(tcp: &mut WriteHalf<'_>, batch: Vec<Outbound>) -> io::Result<()> {
    let mut buffer = Vec::new();
    for outbound in batch {
        write_one(outbound, &mut buffer);
        if buffer.len() >= WRITE {
            tcp.write_all(&buffer).await?;
            buffer.clear();
        }
    }
    tcp.write_all(&buffer).await
}

fn write_one(outbound: Outbound, buffer: &mut Vec<u8>) {
    match outbound {
        Outbound::Text(message) => match message.to_json() {
            Ok(text) => encode(Opcode::Text, text.as_bytes(), buffer),
            // Stamping adds a few bytes to what was within the limit; nothing else gets here.
            Err(error) => tracing::warn!(%error, "message not relayed"),
        },
        Outbound::Binary(bytes) => encode(Opcode::Binary, &bytes, buffer),
        Outbound::Pong(bytes) => encode(Opcode::Pong, &bytes, buffer),
        Outbound::Close(code, reason) => encode_close(code, reason, buffer),
    }
}
