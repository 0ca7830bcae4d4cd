//! The data path: binary messages between two devices that accept each other.
//!
//! A relayed connection begins with its first frame and ends with a close from either side, the departure of either device, the
//! end of their consent, or a full queue. Nothing is dropped in silence; what cannot be delivered closes it with a reason at
//! both ends. Frames of a connection that ended are discarded, since their sender has a message about it, or one on its way.

use bytes::Bytes;
use peers_proto::id::DeviceId;
use peers_proto::signaling::{ErrorCode, RelayCloseReason, RelayFrame, readdress};
use peers_proto::time::Instant;

use super::heaviest::heaviest;
use super::outbox::Link;
use super::{Broker, Outbound, SocketId};

impl Broker {
    /// Returns when to read on, if not now: beginning a connection counts as a message, whatever comes of it.
    pub(super) fn handle_binary(&mut self, id: SocketId, message: Bytes, now: Instant) -> Option<Instant> {
        let Some(from) = self.sockets.get(&id).and_then(|s| s.device) else {
            self.fault(id, ErrorCode::Unregistered, "register first", None);
            return None;
        };
        match RelayFrame::decode(&message) {
            Ok(RelayFrame::Data { peer, connection, .. }) => {
                let link = (peer, connection);
                let socket = self.sockets.get_mut(&id)?;
                let begins = !socket.relayed.contains_key(&link) && !socket.ended(link);
                let wait = if begins { socket.messages.take(1, now) } else { None };
                self.relay_data(id, from, link, message);
                return wait;
            }
            Ok(RelayFrame::Close { peer, connection, reason }) => {
                // Only its end matters at this side; the other hears it after the data before it.
                if self.end(id, (peer, connection))
                    && let Some(other) = self.devices.get(&peer).copied()
                    && self.end(other, (from, connection))
                {
                    self.tell_ended(other, (from, connection), reason);
                }
            }
            Err(error) => self.fault(id, ErrorCode::Malformed, &error.to_string(), None),
        }
        None
    }

    fn relay_data(&mut self, id: SocketId, from: DeviceId, link: Link, message: Bytes) {
        let Some(socket) = self.sockets.get(&id) else { return };
        let (peer, connection) = link;
        let (address, open) = (socket.address, socket.relayed.contains_key(&link));
        if !open && socket.ended(link) {
            return;
        }
        // A connection that is open has consent: it ends with it.
        let other = if open { self.devices.get(&peer).copied() } else { self.consenting(id, from, peer) };
        let Some(other) = other else { return self.refuse(id, link, RelayCloseReason::Absent) };
        let back = (from, connection);
        if !open {
            if !self.make_place(id, other, back) {
                return self.refuse(id, link, RelayCloseReason::TooMany);
            }
            let far = self.sockets.get(&other).map_or(address, |s| s.address);
            for (id, link, address) in [(id, link, far), (other, back, address)] {
                if let Some(socket) = self.sockets.get_mut(&id)
                    && socket.relayed.insert(link, address).is_none()
                {
                    self.relayed += 1;
                }
            }
        }
        self.counters.relay_frames += 1;
        self.counters.relay_bytes += message.len() as u64;
        self.outbox(other, |outbox| outbox.push_data(address, back, readdress(message, from)));
        self.wake(other);
        while let Some(socket) = self.sockets.get(&other)
            && socket.outbox.data_bytes() > self.limits.relay_queue_bytes
            && let Some((heaviest, _)) = heaviest(socket.outbox.links()).first()
        {
            self.overflow(other, *heaviest);
        }
    }

    /// True if both ends have room for one more connection. A device that others fill makes room: the address with
    /// most connections from strangers loses one, for a device that is named, or for an address with fewer.
    fn make_place(&mut self, id: SocketId, other: SocketId, back: Link) -> bool {
        let (Some(near), Some(far)) = (self.sockets.get(&id), self.sockets.get(&other)) else { return false };
        let max = self.limits.relay_connections;
        if near.places() >= max || far.places() < max {
            return near.places() < max;
        }
        let strangers = far.relayed.iter().filter(|((peer, _), _)| !far.consent.names(*peer));
        let own = far.relayed.values().filter(|address| **address == near.address).count();
        let needed = if far.consent.names(back.0) { 1 } else { own + 2 };
        let payers = heaviest(strangers.map(|(link, address)| (*address, *link, 1)));
        let (Some((payer, _)), Some(device)) =
            (payers.first().filter(|_| payers.len() >= needed), far.device)
        else {
            return false;
        };
        self.end_link(other, device, *payer, RelayCloseReason::TooMany);
        // Its end still takes the place until it is written: one more, for as long as that takes.
        self.sockets.get(&other).is_some_and(|far| far.relayed.len() < max && far.places() <= 2 * max)
    }

    /// Ends every relayed connection of a registration that ends.
    pub(super) fn end_relayed(&mut self, id: SocketId, device: DeviceId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let ended = std::mem::take(&mut socket.relayed);
        self.relayed -= ended.len();
        for (peer, connection) in ended.into_keys() {
            if let Some(other) = self.devices.get(&peer).copied()
                && self.end(other, (device, connection))
            {
                self.tell_ended(other, (device, connection), RelayCloseReason::Absent);
            }
        }
    }

    /// Ends a relayed connection of `device`, at `id`, and tells both ends.
    pub(super) fn end_link(&mut self, id: SocketId, device: DeviceId, link: Link, reason: RelayCloseReason) {
        let (peer, connection) = link;
        let other = self.devices.get(&peer).copied();
        for (id, link) in [(Some(id), link), (other, (device, connection))] {
            if let Some(id) = id
                && self.end(id, link)
            {
                self.outbox(id, |outbox| outbox.purge(link));
                self.tell_ended(id, link, reason);
            }
        }
    }

    /// The data that waits at `id` for a connection is too much: it goes, and the connection with it.
    pub(super) fn overflow(&mut self, id: SocketId, link: Link) {
        self.counters.relay_overflows += 1;
        let Some(device) = self.sockets.get(&id).and_then(|s| s.device) else {
            self.outbox(id, |outbox| outbox.purge(link));
            return;
        };
        let open = self.sockets.get(&id).is_some_and(|s| s.relayed.contains_key(&link));
        if open {
            self.end_link(id, device, link, RelayCloseReason::Overflow);
        } else {
            // Its sender closed it and is gone; the reader gets less than was sent, and hears so.
            self.outbox(id, |outbox| outbox.purge(link));
            self.tell_ended(id, link, RelayCloseReason::Overflow);
        }
    }

    /// Tells a sender that its connection does not begin.
    fn refuse(&mut self, id: SocketId, link: Link, reason: RelayCloseReason) {
        if !self.end(id, link)
            && let Some(socket) = self.sockets.get_mut(&id)
        {
            socket.remember(link);
        }
        let (peer, connection) = link;
        let close = RelayFrame::Close { peer, connection, reason }.encode();
        self.send(id, Outbound::Binary(close));
    }

    fn tell_ended(&mut self, id: SocketId, link: Link, reason: RelayCloseReason) {
        let Some(socket) = self.sockets.get(&id).filter(|s| !s.closing) else { return };
        let (address, (peer, connection)) = (socket.address, link);
        let close = RelayFrame::Close { peer, connection, reason }.encode();
        self.outbox(id, |outbox| outbox.push_end(address, link, close));
        self.wake(id);
    }

    /// False if it was not open.
    fn end(&mut self, id: SocketId, link: Link) -> bool {
        let ended = self.sockets.get_mut(&id).is_some_and(|socket| socket.end(link));
        self.relayed -= usize::from(ended);
        ended
    }
}
