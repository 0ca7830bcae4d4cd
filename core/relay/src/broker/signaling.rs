//! Text messages: registration, routing, presence, questions.

use std::collections::HashSet;

use peers_proto::id::DeviceId;
use peers_proto::signaling::{
    ClientMessage, ErrorCode, Exchange, ExchangeKind, Registration, ServerMessage, close_code,
};
use peers_proto::time::{Instant, UnixTime};

use super::{Broker, SocketId};
use crate::ice;

impl Broker {
    pub(super) fn handle_text(&mut self, id: SocketId, message: ClientMessage, now: Instant, unix: UnixTime) {
        let Some(socket) = self.sockets.get(&id) else { return };
        match (socket.device, message) {
            (None, ClientMessage::DeviceRegistered(registration)) => {
                self.register(id, registration, now, unix)
            }
            (None, _) => self.fault(id, ErrorCode::Unregistered, "register first", None, now),
            (Some(_), ClientMessage::DeviceRegistered(_)) => {
                self.fault(id, ErrorCode::Malformed, "registered already", None, now);
            }
            (Some(from), ClientMessage::Offer(e)) => self.route(id, from, ExchangeKind::Offer, e, now),
            (Some(from), ClientMessage::Answer(e)) => self.route(id, from, ExchangeKind::Answer, e, now),
            (Some(from), ClientMessage::IceCandidate(e)) => {
                self.route(id, from, ExchangeKind::IceCandidate, e, now);
            }
            (Some(_), ClientMessage::Knock(_)) => {}
            (Some(device), ClientMessage::GetIceServers) => {
                let list = ice::servers(&self.ice, device, unix);
                self.send(id, ServerMessage::IceServers(list));
            }
            (Some(_), ClientMessage::GetCertificate { device_id }) => {
                let certificate = self.certificates.get(device_id).map(|c| c.as_bytes().to_vec());
                self.send(id, ServerMessage::Certificate { device_id, certificate });
            }
            (Some(device), ClientMessage::Watch { device_ids, .. }) => {
                self.watch(id, device, device_ids.into_iter().filter(|d| *d != device).collect());
            }
        }
    }

    fn register(&mut self, id: SocketId, registration: Registration, now: Instant, unix: UnixTime) {
        let Some(socket) = self.sockets.get(&id) else { return };
        let certificate = match socket.challenge.verify(&registration) {
            Ok(certificate) => certificate,
            Err(error) => {
                self.counters.registrations_denied += 1;
                return self.fault(id, ErrorCode::Denied, &error.to_string(), None, now);
            }
        };
        let device = certificate.device_id();
        self.counters.registrations += 1;
        self.certificates.insert(certificate, self.limits.max_certificates, now);
        let watching = self.supersede(device, now);
        self.devices.insert(device, id);
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.device = Some(device);
            socket.watching = watching;
        }
        self.send(id, ServerMessage::Registered(ice::servers(&self.ice, device, unix)));
        for (kind, exchange) in self.queue.take(device, now) {
            self.counters.dequeued += 1;
            self.send(id, ServerMessage::exchange(kind, Exchange { queued: true, ..exchange }));
        }
    }

    /// Ends the registration a newer one replaces. Its consent carries over until the device says otherwise, so
    /// nobody sees it leave and come back.
    fn supersede(&mut self, device: DeviceId, now: Instant) -> HashSet<DeviceId> {
        let Some(old) = self.devices.remove(&device) else { return HashSet::new() };
        self.counters.superseded += 1;
        self.end_relayed(old, device);
        let watching = match self.sockets.get_mut(&old) {
            Some(socket) => {
                socket.device = None;
                std::mem::take(&mut socket.watching)
            }
            None => HashSet::new(),
        };
        self.send(old, ServerMessage::Superseded);
        self.close(old, close_code::SUPERSEDED, "superseded", now);
        watching
    }

    /// Ends the registration of a socket that closes.
    pub(super) fn leave(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let Some(device) = socket.device.take() else { return };
        let watching = std::mem::take(&mut socket.watching);
        self.devices.remove(&device);
        self.end_relayed(id, device);
        for other in watching {
            if let Some(other) = self.watcher(other, device) {
                self.send(other, ServerMessage::DeviceOffline { device_id: device });
            }
        }
    }

    /// Stamps the sender and delivers, now or when the recipient comes (S029, S046).
    fn route(&mut self, id: SocketId, from: DeviceId, kind: ExchangeKind, exchange: Exchange, now: Instant) {
        let to = exchange.to_device_id;
        if to == from {
            let about = Some(exchange.message_id);
            return self.fault(id, ErrorCode::Malformed, "the recipient is the sender", about, now);
        }
        let exchange = Exchange { from_device_id: from, queued: false, ..exchange };
        match self.devices.get(&to) {
            Some(&socket) if !self.shutting_down => {
                self.counters.relayed_messages += 1;
                self.send(socket, ServerMessage::exchange(kind, exchange));
            }
            _ => {
                self.counters.enqueued += 1;
                self.queue.push(kind, exchange, &self.limits, now);
            }
        }
    }

    /// Messages that a socket will not deliver any more go to the device's newest socket, or wait for it.
    pub(super) fn requeue(&mut self, undelivered: Vec<(ExchangeKind, Exchange)>, now: Instant) {
        for (kind, exchange) in undelivered {
            self.queue.push(kind, exchange, &self.limits, now);
        }
    }

    /// Replaces what `device` watches, and tells both sides what changed (S025, S030).
    fn watch(&mut self, id: SocketId, device: DeviceId, watching: HashSet<DeviceId>) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let before = std::mem::replace(&mut socket.watching, watching.clone());
        for other in before.difference(&watching) {
            if let Some(socket) = self.watcher(*other, device) {
                self.send(socket, ServerMessage::DeviceOffline { device_id: device });
            }
        }
        for other in &watching {
            let Some(socket) = self.watcher(*other, device) else { continue };
            self.send(id, ServerMessage::DeviceOnline { device_id: *other });
            if !before.contains(other) {
                self.send(socket, ServerMessage::DeviceOnline { device_id: device });
            }
        }
    }

    /// The socket of `other`, if it is here and wants to know about `device`.
    fn watcher(&self, other: DeviceId, device: DeviceId) -> Option<SocketId> {
        let id = self.devices.get(&other)?;
        self.sockets.get(id).is_some_and(|s| s.watching.contains(&device)).then_some(*id)
    }
}
