//! Text messages: routing, knocks, questions.

use peers_proto::id::DeviceId;
use peers_proto::signaling::{ClientMessage, ErrorCode, Exchange, ExchangeKind, Knock, ServerMessage};
use peers_proto::time::{Instant, UnixTime};

use super::consent::Consent;
use super::{Broker, Outbound, SocketId};
use crate::ice;

impl Broker {
    pub(super) fn handle_text(&mut self, id: SocketId, message: ClientMessage, now: Instant, unix: UnixTime) {
        let Some(socket) = self.sockets.get(&id) else { return };
        let Some(from) = socket.device else {
            return self.fault(id, ErrorCode::Unregistered, "register first", None);
        };
        match message {
            ClientMessage::DeviceRegistered(_) => {
                self.fault(id, ErrorCode::Malformed, "registered already", None);
            }
            ClientMessage::Offer(e) => self.route(id, from, ExchangeKind::Offer, e, now),
            ClientMessage::Answer(e) => self.route(id, from, ExchangeKind::Answer, e, now),
            ClientMessage::IceCandidate(e) => self.route(id, from, ExchangeKind::IceCandidate, e, now),
            ClientMessage::Knock(knock) => self.knock(id, from, knock, now),
            ClientMessage::GetIceServers => {
                let list = ice::servers(&self.ice, from, unix);
                self.send(id, Outbound::Text(ServerMessage::IceServers(list)));
            }
            ClientMessage::GetCertificate { device_id } => {
                let certificate = self.certificate(device_id, from);
                self.send(id, Outbound::Text(ServerMessage::Certificate { device_id, certificate }));
            }
            ClientMessage::Watch { device_ids, open } => {
                self.watch(id, from, Consent::new(device_ids, open, from), now);
            }
        }
    }

    /// Stamps the sender and delivers, now or when the recipient comes (S029, S046). What the recipient does not
    /// accept is dropped: at once if it is here, else when it comes. The sender hears nothing in either case.
    fn route(&mut self, id: SocketId, from: DeviceId, kind: ExchangeKind, exchange: Exchange, now: Instant) {
        let to = exchange.to_device_id;
        let Some(sender) = self.sockets.get(&id) else { return };
        if to == from {
            let about = Some(exchange.message_id);
            return self.fault(id, ErrorCode::Malformed, "the recipient is the sender", about);
        }
        let address = sender.address;
        let recipient = self.devices.get(&to).copied();
        let reader = recipient.filter(|id| self.sockets.get(id).is_some_and(|s| s.declared));
        let consented = match reader {
            Some(_) => self.consenting(id, from, to).is_some(),
            None => sender.consent.accepts(to),
        };
        if !consented {
            self.counters.unconsented += 1;
            return;
        }
        let exchange = Exchange { from_device_id: from, queued: false, ..exchange };
        let away = reader.is_none();
        match away {
            true => self.counters.enqueued += 1,
            false => self.counters.relayed_messages += 1,
        }
        self.mail.push(address, (kind, exchange), away, &self.limits, now);
        if let Some(reader) = reader {
            self.wake(reader);
        }
    }

    /// A knock needs no consent, so its sender pays: in a rate, in one place per recipient, in its address's share of
    /// the recipient's few places.
    fn knock(&mut self, id: SocketId, from: DeviceId, knock: Knock, now: Instant) {
        let Some(sender) = self.sockets.get_mut(&id) else { return };
        if knock.to_device_id == from {
            let about = Some(knock.message_id);
            return self.fault(id, ErrorCode::Malformed, "the recipient is the sender", about);
        }
        if !sender.knocks.try_take(self.limits.knock_seconds, now) {
            self.counters.knocks_dropped += 1;
            return;
        }
        let (address, to) = (sender.address, knock.to_device_id);
        self.counters.knocks += 1;
        self.mail.push_knock(address, Knock { from_device_id: from, queued: false, ..knock }, now);
        self.release_knocks(to, now);
    }

    /// Lets as many knocks through to `device` as its rate allows; the others wait their turn.
    pub(super) fn release_knocks(&mut self, device: DeviceId, now: Instant) {
        let Some(id) = self.devices.get(&device).copied() else { return };
        let Some(socket) = self.sockets.get_mut(&id).filter(|s| s.declared) else { return };
        let knocked = &mut socket.knocked;
        if self.mail.release_knocks(device, || knocked.try_take(1, now)) > 0 {
            self.wake(id);
        }
    }

    /// The certificate of a device that is here and accepts the one that asks.
    fn certificate(&self, device: DeviceId, asker: DeviceId) -> Option<Vec<u8>> {
        let socket = self.sockets.get(self.devices.get(&device)?)?;
        (device == asker || socket.consent.accepts(asker)).then(|| socket.certificate.to_vec())
    }
}
