//! Consent and presence: the devices that accept and see each other.

use peers_proto::id::DeviceId;
use peers_proto::signaling::RelayCloseReason;
use peers_proto::time::Instant;

use super::consent::Consent;
use super::{Broker, SocketId};

impl Broker {
    /// Replaces what `device` accepts, tells both sides what changed (S025, S030), and delivers what waited for it.
    pub(super) fn watch(&mut self, id: SocketId, device: DeviceId, consent: Consent, now: Instant) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let first = !std::mem::replace(&mut socket.declared, true);
        let before = std::mem::replace(&mut socket.consent, consent.clone());
        for other in before.named().iter().filter(|other| !consent.names(**other)) {
            if let Some(socket) = self.watcher(*other, device) {
                self.send_presence(socket, device, false);
            }
        }
        for other in consent.named() {
            let Some(socket) = self.watcher(*other, device) else { continue };
            self.send_presence(id, *other, true);
            if !before.names(*other) {
                self.send_presence(socket, device, true);
            }
        }
        self.end_unconsented(id, device);
        let waiting = self.mail.handle_consent(device, first, |from| consent.accepts(from), now);
        if first {
            self.counters.dequeued += waiting as u64;
        }
        self.release_knocks(device, now);
        if waiting > 0 {
            self.wake(id);
        }
    }

    /// Ends the relayed connections with devices that do not accept each other any more.
    fn end_unconsented(&mut self, id: SocketId, device: DeviceId) {
        let Some(socket) = self.sockets.get(&id) else { return };
        let peers = socket.relayed.keys().map(|(peer, _)| *peer);
        let unconsented: Vec<_> = peers.filter(|peer| self.consenting(id, device, *peer).is_none()).collect();
        for link in
            socket.relayed.keys().filter(|(peer, _)| unconsented.contains(peer)).copied().collect::<Vec<_>>()
        {
            self.end_link(id, device, link, RelayCloseReason::Absent);
        }
    }

    /// The socket of `other`, if it is here and names `device`.
    pub(super) fn watcher(&self, other: DeviceId, device: DeviceId) -> Option<SocketId> {
        let id = self.devices.get(&other)?;
        self.sockets.get(id).is_some_and(|s| s.consent.names(device)).then_some(*id)
    }

    /// The socket of `other`, if it is here and it and `device`, at `id`, accept each other.
    pub(super) fn consenting(&self, id: SocketId, device: DeviceId, other: DeviceId) -> Option<SocketId> {
        let own = self.sockets.get(&id).is_some_and(|s| s.consent.accepts(other));
        let there = self.devices.get(&other).copied();
        let theirs = there.and_then(|id| self.sockets.get(&id)).is_some_and(|s| s.consent.accepts(device));
        // Both are looked at in any case: an absent device costs what an unwilling one does.
        there.filter(|_| own && theirs && other != device)
    }
}
