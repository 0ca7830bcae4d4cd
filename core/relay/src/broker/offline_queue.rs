//! What waits for devices that are not here (S031, S046–S048).
//!
//! Policy: in order per recipient; a new offer replaces everything the same sender has waiting (its older attempts
//! are over); everything expires after [`timing::OFFER_TTL`], since nobody waits longer for an answer. Beyond a
//! recipient's bound the sender with the most messages loses its oldest, so a flood pushes out only itself; beyond
//! the total, new messages are dropped.

use std::collections::{HashMap, VecDeque};

use peers_proto::id::DeviceId;
use peers_proto::signaling::{Exchange, ExchangeKind};
use peers_proto::time::Instant;
use peers_proto::timing;

use crate::config::Limits;

#[derive(Debug, Default)]
pub(super) struct OfflineQueue {
    waiting: HashMap<DeviceId, VecDeque<Waiting>>,
    pub(super) messages: usize,
    pub(super) bytes: usize,
    pub(super) dropped: u64,
}

#[derive(Debug)]
struct Waiting {
    kind: ExchangeKind,
    exchange: Exchange,
    bytes: usize,
    until: Instant,
}

impl OfflineQueue {
    /// Keeps a message for its recipient.
    pub(super) fn push(&mut self, kind: ExchangeKind, exchange: Exchange, limits: &Limits, now: Instant) {
        let (from, to) = (exchange.from_device_id, exchange.to_device_id);
        let bytes = size(&exchange);
        self.retain(to, |w| {
            w.until > now && (kind != ExchangeKind::Offer || w.exchange.from_device_id != from)
        });
        if self.count(to, from) >= limits.queue_per_pair {
            self.drop_oldest(to, from);
        }
        if self.waiting.get(&to).map_or(0, VecDeque::len) >= limits.queue_per_device {
            let heaviest = self.heaviest_sender(to).unwrap_or(from);
            self.drop_oldest(to, heaviest);
        }
        if self.bytes + bytes > limits.queue_total_bytes
            || limits.queue_per_pair.min(limits.queue_per_device) == 0
        {
            self.dropped += 1;
            return;
        }
        self.messages += 1;
        self.bytes += bytes;
        let waiting = Waiting { kind, exchange, bytes, until: now + timing::OFFER_TTL };
        self.waiting.entry(to).or_default().push_back(waiting);
    }

    /// Takes all that waits for `to`, oldest first.
    pub(super) fn take(
        &mut self,
        to: DeviceId,
        now: Instant,
    ) -> impl Iterator<Item = (ExchangeKind, Exchange)> + use<> {
        self.retain(to, |w| w.until > now);
        let waiting = self.waiting.remove(&to).unwrap_or_default();
        self.messages -= waiting.len();
        self.bytes -= waiting.iter().map(|w| w.bytes).sum::<usize>();
        waiting.into_iter().map(|w| (w.kind, w.exchange))
    }

    /// Drops what expired.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        // Oldest first and one lifetime for all: the front tells whether there is anything to do.
        let due = |q: &VecDeque<Waiting>| q.front().is_some_and(|w| w.until <= now);
        let due: Vec<_> = self.waiting.iter().filter(|(_, q)| due(q)).map(|(to, _)| *to).collect();
        for to in due {
            self.retain(to, |w| w.until > now);
        }
    }

    fn count(&self, to: DeviceId, from: DeviceId) -> usize {
        self.waiting.get(&to).map_or(0, |q| q.iter().filter(|w| w.exchange.from_device_id == from).count())
    }

    fn heaviest_sender(&self, to: DeviceId) -> Option<DeviceId> {
        let mut counts = HashMap::<DeviceId, usize>::new();
        for waiting in self.waiting.get(&to)? {
            *counts.entry(waiting.exchange.from_device_id).or_default() += 1;
        }
        // Ties by id, so that the same input always gives the same result.
        counts.into_iter().max_by_key(|&(from, n)| (n, from)).map(|(from, _)| from)
    }

    fn drop_oldest(&mut self, to: DeviceId, from: DeviceId) {
        let mut found = false;
        self.retain(to, |w| {
            let first = !found && w.exchange.from_device_id == from;
            found |= first;
            !first
        });
    }

    fn retain(&mut self, to: DeviceId, mut keep: impl FnMut(&Waiting) -> bool) {
        let Some(queue) = self.waiting.get_mut(&to) else { return };
        let (messages, bytes, dropped) = (&mut self.messages, &mut self.bytes, &mut self.dropped);
        queue.retain(|w| {
            let keep = keep(w);
            if !keep {
                *messages -= 1;
                *bytes -= w.bytes;
                *dropped += 1;
            }
            keep
        });
        if queue.is_empty() {
            self.waiting.remove(&to);
        }
    }
}

/// Bytes a message takes while it waits, its bookkeeping included.
pub(super) fn size(exchange: &Exchange) -> usize {
    256 + exchange.envelopes().map(|e| e.len() + 32).sum::<usize>()
}
