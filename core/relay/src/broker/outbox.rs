//! What waits to be written to one socket.
//!
//! Policy: messages go before relayed data, so signaling never waits behind bulk. A device that lets more than
//! [`MAX_EVENTS`] messages or [`MAX_EVENT_BYTES`] of them pile up is too slow and loses its socket; relayed data beyond its bound
//! closes the relayed connection it belongs to.

use std::collections::VecDeque;

use bytes::Bytes;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::signaling::{Exchange, ExchangeKind, ServerMessage};

use super::offline_queue;

/// A reader that is alive takes a message in milliseconds; a full offline queue and full presence fit.
const MAX_EVENTS: usize = 4096;
/// See [`MAX_EVENTS`].
const MAX_EVENT_BYTES: usize = 8 << 20;
/// Relayed closes and the like that may wait: 38 bytes each.
const MAX_DATA_ITEMS: usize = 1 << 17;

/// One thing to write to a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outbound {
    /// A text message.
    Text(ServerMessage),
    /// A binary message.
    Binary(Bytes),
    /// Close the WebSocket with this code and reason, then the connection. Nothing follows.
    Close(u16, &'static str),
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    events: VecDeque<ServerMessage>,
    event_bytes: usize,
    data: VecDeque<Data>,
    data_bytes: usize,
    close: Option<(u16, &'static str)>,
}

#[derive(Debug)]
struct Data {
    peer: DeviceId,
    connection: ConnectionId,
    message: Bytes,
}

impl Outbox {
    /// False if there is no room: the device is too slow.
    #[must_use]
    pub(super) fn push_event(&mut self, message: ServerMessage) -> bool {
        self.event_bytes += weight(&message);
        self.events.push_back(message);
        self.events.len() <= MAX_EVENTS && self.event_bytes <= MAX_EVENT_BYTES
    }

    /// False if there is no room for more. Whether the bytes fit is the caller's to ask first.
    #[must_use]
    pub(super) fn push_data(&mut self, peer: DeviceId, connection: ConnectionId, message: Bytes) -> bool {
        self.data_bytes += message.len();
        self.data.push_back(Data { peer, connection, message });
        self.data.len() <= MAX_DATA_ITEMS
    }

    pub(super) fn data_bytes(&self) -> usize {
        self.data_bytes
    }

    /// Drops the frames of one relayed connection.
    pub(super) fn purge(&mut self, peer: DeviceId, connection: ConnectionId) {
        let bytes = &mut self.data_bytes;
        self.data.retain(|d| {
            let other = (d.peer, d.connection) != (peer, connection);
            if !other {
                *bytes -= d.message.len();
            }
            other
        });
    }

    /// Ends the socket after what already waits.
    pub(super) fn close(&mut self, code: u16, reason: &'static str) {
        self.close.get_or_insert((code, reason));
    }

    /// Drops relayed data and takes back the relayed messages nobody will read.
    pub(super) fn abandon(&mut self) -> Vec<(ExchangeKind, Exchange)> {
        self.data = VecDeque::new();
        self.data_bytes = 0;
        let (exchanges, rest) = std::mem::take(&mut self.events).into_iter().partition(|event| {
            matches!(
                event,
                ServerMessage::Offer(_) | ServerMessage::Answer(_) | ServerMessage::IceCandidate(_)
            )
        });
        self.events = rest;
        self.event_bytes = self.events.iter().map(weight).sum();
        let exchanges: VecDeque<_> = exchanges;
        exchanges
            .into_iter()
            .filter_map(|event| match event {
                ServerMessage::Offer(e) => Some((ExchangeKind::Offer, e)),
                ServerMessage::Answer(e) => Some((ExchangeKind::Answer, e)),
                ServerMessage::IceCandidate(e) => Some((ExchangeKind::IceCandidate, e)),
                _ => None,
            })
            .collect()
    }

    /// Moves what is next into `batch`, until that holds about `bytes`.
    pub(super) fn take(&mut self, bytes: usize, batch: &mut Vec<Outbound>) {
        let mut taken = 0;
        while taken < bytes
            && let Some(event) = self.events.pop_front()
        {
            let weight = weight(&event);
            self.event_bytes -= weight;
            taken += weight;
            batch.push(Outbound::Text(event));
        }
        while taken < bytes
            && let Some(data) = self.data.pop_front()
        {
            self.data_bytes -= data.message.len();
            taken += data.message.len();
            batch.push(Outbound::Binary(data.message));
        }
        if self.events.is_empty()
            && self.data.is_empty()
            && let Some((code, reason)) = self.close.take()
        {
            batch.push(Outbound::Close(code, reason));
        }
    }
}

fn weight(message: &ServerMessage) -> usize {
    match message {
        ServerMessage::Offer(e) | ServerMessage::Answer(e) | ServerMessage::IceCandidate(e) => {
            offline_queue::size(e)
        }
        _ => 512,
    }
}
