//! One open WebSocket, registered or not.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use peers_proto::id::DeviceId;
use peers_proto::signaling::Challenge;
use peers_proto::time::Instant;

use super::consent::Consent;
use super::outbox::{Link, SocketOutbox};
use crate::config::Limits;
use peers_proto::bucket::Bucket;

/// Relayed connections that ended lately, remembered per device: more than can have frames under way at once.
const MAX_ENDED: usize = 128;

/// One connection of a device to the relay, from its first byte on. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub(super) u64);

#[derive(Debug)]
pub(super) struct Socket {
    /// As [`super::places::subscriber`] makes it.
    pub(super) address: IpAddr,
    /// The challenge that the device has to answer; `None` after its answer.
    pub(super) challenge: Option<Box<Challenge>>,
    pub(super) device: Option<DeviceId>,
    /// The device's certificate, as it travels.
    pub(super) certificate: Box<[u8]>,
    pub(super) opened: Instant,
    pub(super) heard: Instant,
    pub(super) messages: Bucket,
    pub(super) bytes: Bucket,
    /// Knocks it may send.
    pub(super) knocks: Bucket,
    /// Knocks it may get.
    pub(super) knocked: Bucket,
    pub(super) consent: Consent,
    /// It said what it watches: mail can be delivered.
    pub(super) declared: bool,
    /// Relayed connections, and the addresses of their other ends.
    pub(super) relayed: HashMap<Link, IpAddr>,
    /// Relayed connections that ended lately: frames of them may still be under way.
    ended: VecDeque<Link>,
    pub(super) outbox: SocketOutbox,
    /// In [`super::Broker::ready`].
    pub(super) ready: bool,
    /// Nothing from it counts any more; what waits is still written.
    pub(super) closing: bool,
}

impl Socket {
    pub(super) fn new(address: IpAddr, challenge: Challenge, limits: &Limits, now: Instant) -> Self {
        Self {
            address,
            challenge: Some(Box::new(challenge)),
            device: None,
            certificate: Box::default(),
            opened: now,
            heard: now,
            messages: Bucket::new(limits.messages_per_second, limits.messages_burst),
            bytes: Bucket::new(limits.relay_bytes_per_second, limits.relay_burst),
            knocks: Bucket::new(1, limits.knock_burst.saturating_mul(limits.knock_seconds)),
            knocked: Bucket::new(limits.knocked_per_second, limits.knocked_burst),
            consent: Consent::default(),
            declared: false,
            relayed: HashMap::new(),
            ended: VecDeque::new(),
            outbox: SocketOutbox::default(),
            ready: false,
            closing: false,
        }
    }

    /// The device whose mail this socket reads.
    pub(super) fn reader(&self) -> Option<DeviceId> {
        self.device.filter(|_| self.declared)
    }

    /// Relayed connections, and those whose end has not been written.
    pub(super) fn places(&self) -> usize {
        self.relayed.len() + self.outbox.ends()
    }

    /// Ends a relayed connection here. False if it was not open.
    pub(super) fn end(&mut self, link: Link) -> bool {
        let was_open = self.relayed.remove(&link).is_some();
        if was_open {
            self.remember(link);
        }
        was_open
    }

    pub(super) fn remember(&mut self, link: Link) {
        self.ended.push_back(link);
        if self.ended.len() > MAX_ENDED {
            self.ended.pop_front();
        }
    }

    /// Frees what an idle socket has no use for.
    pub(super) fn give_back(&mut self) {
        self.outbox.give_back();
        if self.relayed.is_empty() {
            self.relayed = HashMap::new();
        }
    }

    pub(super) fn ended(&self, link: Link) -> bool {
        self.ended.contains(&link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_socket_is_small() {
        let size = size_of::<Socket>();
        assert!(size <= 640, "{size}");
    }
}
