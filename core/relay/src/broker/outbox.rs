//! Bytes that wait to be written to one socket, messages of other devices apart (see [`super::mail`]).
//!
//! Policy: the relay's own messages go first. A device that lets more than [`MAX_OWN`] bytes of them pile up is too slow and
//! loses its socket: nothing but its own requests makes them. Relayed data waits in one queue per connection. Bytes that the
//! writer has taken count until it asks for more.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use bytes::Bytes;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::signaling::ServerMessage;

use super::fair_queue::FairQueue;

/// Answers to all the requests a device may make at once by default.
const MAX_OWN: usize = 512 << 10;
/// Bytes of a piece of relayed data beside its own: its places in queues, its allocation.
const DATA_COST: usize = 128;
/// One entry of [`SocketOutbox::presence`], and its place.
const PRESENCE_COST: usize = 256;

/// A relayed connection, from one of its ends: the other device and the connection's id.
pub(super) type Link = (DeviceId, ConnectionId);

/// One thing to write to a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outbound {
    /// A text message.
    Text(ServerMessage),
    /// A binary message.
    Binary(Bytes),
    /// A WebSocket pong with these bytes.
    Pong(Bytes),
    /// Close the WebSocket with this code and reason, then the connection. Nothing follows.
    Close(u16, &'static str),
}

#[derive(Debug, Default)]
pub(super) struct SocketOutbox {
    own: VecDeque<Own>,
    own_bytes: usize,
    /// The newest of each device that has a place in `own`; bounded by what the device watches.
    presence: BTreeMap<DeviceId, bool>,
    data: FairQueue<Link, Data>,
    /// Ends of connections that wait in `data`. They cost nothing there: they are bounded with the connections.
    ends: usize,
    /// Bytes of messages and of data that the writer has and may still be writing.
    writing: (usize, usize),
    last: Option<Box<LastWords>>,
}

#[derive(Debug)]
enum Own {
    Answer(Outbound),
    /// See [`SocketOutbox::presence`].
    Presence(DeviceId),
}

#[derive(Debug)]
struct Data {
    message: Bytes,
    /// It ends its connection.
    end: bool,
}

#[derive(Debug)]
struct LastWords {
    message: Option<ServerMessage>,
    code: u16,
    reason: &'static str,
}

impl SocketOutbox {
    /// An answer of the relay. False if there is no room: the device is too slow.
    #[must_use]
    pub(super) fn push_own(&mut self, outbound: Outbound) -> bool {
        self.own_bytes += cost(&outbound);
        self.own.push_back(Own::Answer(outbound));
        self.own_bytes <= MAX_OWN
    }

    pub(super) fn push_presence(&mut self, device: DeviceId, online: bool) {
        if self.presence.insert(device, online).is_none() {
            self.own.push_back(Own::Presence(device));
        }
    }

    /// Relayed data, sent from `address`.
    pub(super) fn push_data(&mut self, address: IpAddr, link: Link, message: Bytes) {
        let bytes = message.len() + DATA_COST;
        self.data.push(address, link, Data { message, end: false }, bytes);
    }

    /// The end of a connection, after its data.
    pub(super) fn push_end(&mut self, address: IpAddr, link: Link, message: Bytes) {
        self.ends += 1;
        self.data.push(address, link, Data { message, end: true }, 0);
    }

    /// Drops the data of one relayed connection.
    pub(super) fn purge(&mut self, link: Link) {
        self.ends -= self.data.queue(link).filter(|data| data.end).count();
        self.data.remove(link);
    }

    /// Address, connection and bytes of the data that waits.
    pub(super) fn links(&self) -> impl Iterator<Item = (IpAddr, Link, usize)> {
        self.data.queues()
    }

    /// Connections that ended, while their device has no message about it yet.
    pub(super) fn ends(&self) -> usize {
        self.ends
    }

    /// Ends the socket after what already waits, with `message` as the last one.
    pub(super) fn close(&mut self, message: Option<ServerMessage>, code: u16, reason: &'static str) {
        self.last.get_or_insert_with(|| Box::new(LastWords { message, code, reason }));
    }

    /// Drops relayed data.
    pub(super) fn abandon_data(&mut self) {
        self.data = FairQueue::default();
        self.ends = 0;
    }

    /// Notes that the bytes taken before are written.
    pub(super) fn handle_written(&mut self) {
        self.writing = (0, 0);
    }

    /// Moves the relay's own messages into `batch`. Returns their bytes.
    pub(super) fn take_own(&mut self, batch: &mut Vec<Outbound>) -> usize {
        let bytes = self.own_bytes + self.presence.len() * PRESENCE_COST;
        batch.extend(std::mem::take(&mut self.own).into_iter().filter_map(|own| match own {
            Own::Answer(outbound) => Some(outbound),
            Own::Presence(device_id) => Some(Outbound::Text(match self.presence.remove(&device_id)? {
                true => ServerMessage::DeviceOnline { device_id },
                false => ServerMessage::DeviceOffline { device_id },
            })),
        }));
        self.own_bytes = 0;
        self.writing.0 += bytes;
        bytes
    }

    /// A message that was not kept here goes to the writer.
    pub(super) fn handle_taken(&mut self, bytes: usize) {
        self.writing.0 += bytes;
    }

    /// Moves about `bytes` of relayed data into `batch`.
    pub(super) fn take_data(&mut self, bytes: usize, batch: &mut Vec<Outbound>) {
        let mut taken = 0;
        while taken < bytes
            && let Some(next) = self.data.pop()
        {
            self.ends -= usize::from(next.item.end);
            taken += next.item.message.len();
            self.writing.1 += next.bytes;
            batch.push(Outbound::Binary(next.item.message));
        }
    }

    /// The last words, once nothing else waits here.
    pub(super) fn take_last(&mut self, batch: &mut Vec<Outbound>) {
        if self.own.is_empty()
            && self.data.is_empty()
            && let Some(last) = self.last.take()
        {
            let LastWords { message, code, reason } = *last;
            batch.extend(message.map(Outbound::Text));
            batch.push(Outbound::Close(code, reason));
        }
    }

    /// Frees what an outbox has no use for while nothing waits in it.
    pub(super) fn give_back(&mut self) {
        if self.data.is_empty() {
            self.data = FairQueue::default();
        }
    }

    pub(super) fn has_data(&self) -> bool {
        !self.data.is_empty()
    }

    /// Bytes of relayed data that wait.
    pub(super) fn data_bytes(&self) -> usize {
        self.data.bytes()
    }

    /// Bytes of messages held here or by the writer.
    pub(super) fn messages_held(&self) -> usize {
        self.own_bytes + self.presence.len() * PRESENCE_COST + self.writing.0
    }

    /// Bytes of relayed data held here or by the writer.
    pub(super) fn data_held(&self) -> usize {
        self.data.bytes() + self.writing.1
    }

    /// Of those, what the writer has.
    pub(super) fn data_writing(&self) -> usize {
        self.writing.1
    }
}

/// Bytes that one of the relay's own messages takes while it waits.
fn cost(outbound: &Outbound) -> usize {
    let heap = match outbound {
        Outbound::Text(ServerMessage::Registered(ice) | ServerMessage::IceServers(ice)) => {
            ice.ice_servers.iter().map(server_cost).sum()
        }
        Outbound::Text(ServerMessage::Certificate { certificate, .. }) => {
            certificate.as_ref().map_or(0, Vec::capacity)
        }
        Outbound::Text(ServerMessage::Error { text, .. }) => text.capacity(),
        Outbound::Text(ServerMessage::Challenge(challenge)) => challenge.server_name.capacity(),
        Outbound::Text(_) | Outbound::Close(..) => 0,
        Outbound::Binary(bytes) | Outbound::Pong(bytes) => bytes.len() + DATA_COST,
    };
    size_of::<Outbound>() + heap
}

fn server_cost(server: &peers_proto::signaling::IceServer) -> usize {
    let texts = server.urls.iter().chain(&server.username).chain(&server.credential);
    size_of_val(server) + texts.map(|text| size_of::<String>() + text.capacity()).sum::<usize>()
}
