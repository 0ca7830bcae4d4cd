//! The data path of last resort: frames of relayed connections.
//!
//! A relayed connection begins with its first frame and belongs to both registrations: when one ends, so does it,
//! and the other device is told. Nothing of it is ever dropped in silence; what cannot be delivered closes it with a
//! reason at both ends. Frames of a connection that ended are discarded, since their sender has been told or is
//! being told.

use bytes::Bytes;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::signaling::{ErrorCode, RelayCloseReason, RelayFrame, readdress};
use peers_proto::time::Instant;

use super::{Broker, SocketId};

/// Ended connections remembered per device: more than can have frames under way at once.
const MAX_ENDED: usize = 256;

impl Broker {
    pub(super) fn handle_binary(&mut self, id: SocketId, message: Bytes, now: Instant) {
        let Some(from) = self.sockets.get(&id).and_then(|s| s.device) else {
            return self.fault(id, ErrorCode::Unregistered, "register first", None, now);
        };
        match RelayFrame::decode(&message) {
            Ok(RelayFrame::Data { peer, connection, .. }) => {
                self.relay_data(id, from, peer, connection, message);
            }
            Ok(RelayFrame::Close { peer, connection, reason }) => {
                // Only its end matters at this side; the other hears it after the data before it.
                if self.end(id, (peer, connection))
                    && let Some(other) = self.devices.get(&peer).copied()
                    && self.end(other, (from, connection))
                {
                    self.tell_closed(other, from, connection, reason);
                }
            }
            Err(error) => self.fault(id, ErrorCode::Malformed, &error.to_string(), None, now),
        }
    }

    fn relay_data(
        &mut self,
        id: SocketId,
        from: DeviceId,
        peer: DeviceId,
        connection: ConnectionId,
        message: Bytes,
    ) {
        let Some(socket) = self.sockets.get(&id) else { return };
        let key = (peer, connection);
        let open = socket.relayed.contains(&key);
        if !open && socket.ended.contains(&key) {
            return;
        }
        let Some(other) = self.devices.get(&peer).copied().filter(|_| peer != from) else {
            return self.refuse(id, peer, connection, RelayCloseReason::Absent);
        };
        if !open {
            let full = |id: SocketId| {
                self.sockets.get(&id).is_none_or(|s| s.relayed.len() >= self.limits.relay_connections)
            };
            if self.shutting_down || full(id) || full(other) {
                return self.refuse(id, peer, connection, RelayCloseReason::TooMany);
            }
            self.begin(id, key);
            self.begin(other, (from, connection));
        }
        let bytes = message.len();
        let Some(target) = self.sockets.get_mut(&other) else { return };
        if target.outbox.data_bytes() + bytes > self.limits.relay_queue_bytes
            || self.relay_queued + bytes > self.limits.relay_queue_total
        {
            return self.overflow(id, from, other, peer, connection);
        }
        self.counters.relay_frames += 1;
        self.counters.relay_bytes += bytes as u64;
        self.push_data(other, from, connection, readdress(message, from));
    }

    /// Ends every relayed connection of a registration that ends.
    pub(super) fn end_relayed(&mut self, id: SocketId, device: DeviceId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        for (peer, connection) in std::mem::take(&mut socket.relayed) {
            if let Some(other) = self.devices.get(&peer).copied()
                && self.end(other, (device, connection))
            {
                self.tell_closed(other, device, connection, RelayCloseReason::Absent);
            }
        }
    }

    fn overflow(
        &mut self,
        id: SocketId,
        from: DeviceId,
        other: SocketId,
        peer: DeviceId,
        connection: ConnectionId,
    ) {
        self.counters.relay_overflows += 1;
        for (socket, remote) in [(id, peer), (other, from)] {
            self.end(socket, (remote, connection));
            self.purge(socket, remote, connection);
            self.tell_closed(socket, remote, connection, RelayCloseReason::Overflow);
        }
    }

    /// Tells a sender that its connection does not begin.
    fn refuse(&mut self, id: SocketId, peer: DeviceId, connection: ConnectionId, reason: RelayCloseReason) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.relayed.remove(&(peer, connection));
            remember(&mut socket.ended, (peer, connection));
        }
        self.tell_closed(id, peer, connection, reason);
    }

    fn tell_closed(
        &mut self,
        id: SocketId,
        peer: DeviceId,
        connection: ConnectionId,
        reason: RelayCloseReason,
    ) {
        let message = RelayFrame::Close { peer, connection, reason }.encode();
        self.push_data(id, peer, connection, message);
    }

    fn push_data(&mut self, id: SocketId, peer: DeviceId, connection: ConnectionId, message: Bytes) {
        let Some(socket) = self.sockets.get_mut(&id).filter(|s| !s.closing) else { return };
        self.relay_queued += message.len();
        if socket.outbox.push_data(peer, connection, message) {
            self.wake(id);
        } else {
            self.slow.push(id);
        }
    }

    fn purge(&mut self, id: SocketId, peer: DeviceId, connection: ConnectionId) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            let before = socket.outbox.data_bytes();
            socket.outbox.purge(peer, connection);
            self.relay_queued -= before - socket.outbox.data_bytes();
        }
    }

    fn begin(&mut self, id: SocketId, key: (DeviceId, ConnectionId)) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.relayed.insert(key);
        }
    }

    /// False if it was not open.
    fn end(&mut self, id: SocketId, key: (DeviceId, ConnectionId)) -> bool {
        let Some(socket) = self.sockets.get_mut(&id) else { return false };
        let was_open = socket.relayed.remove(&key);
        if was_open {
            remember(&mut socket.ended, key);
        }
        was_open
    }
}

fn remember<T>(ended: &mut std::collections::VecDeque<T>, key: T) {
    ended.push_back(key);
    if ended.len() > MAX_ENDED {
        ended.pop_front();
    }
}
