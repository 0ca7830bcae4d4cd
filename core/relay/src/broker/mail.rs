//! Messages between devices that the recipient has not read: it is away, or slow (S031, S046–S048).
//!
//! Policy: in order per sender, and senders take turns. While the recipient is away, a new offer replaces everything
//! the same sender has waiting, since its older attempts are over. Everything expires after [`timing::OFFER_TTL`].
//! Beyond a bound, the heaviest sender's oldest message goes.

use std::collections::HashMap;
use std::net::IpAddr;

use peers_proto::id::DeviceId;
use peers_proto::signaling::{Exchange, ExchangeKind, Knock, ServerMessage};
use peers_proto::time::Instant;
use peers_proto::timing;

use super::fair_queue::{FairQueue, Popped};
use super::heaviest::heaviest;
use super::memory::shrink;
use crate::config::Limits;

/// Knocks waiting for one recipient: a person decides on a few.
const MAX_KNOCKS: usize = 16;
/// Bytes of an entry beside its texts: itself, its places in maps and queues, its allocations.
const ENTRY: usize = 512;

/// A message from one device to another.
#[derive(Debug)]
pub(super) enum Letter {
    Exchange(ExchangeKind, Exchange),
    Knock(Knock),
}

#[derive(Debug, Default)]
pub(super) struct Mail {
    boxes: HashMap<DeviceId, Mailbox>,
    bytes: usize,
    messages: usize,
    /// Expired, replaced, not consented to, or beyond a bound.
    pub(super) dropped: u64,
    /// Of those, because their sender held most.
    pub(super) dropped_by_share: u64,
}

/// The messages that wait for one device.
#[derive(Debug, Default)]
struct Mailbox {
    letters: FairQueue<DeviceId, WaitingMail>,
    /// Knocks that wait for their turn to become letters.
    knocks: FairQueue<DeviceId, WaitingMail>,
}

#[derive(Debug)]
struct WaitingMail {
    letter: Letter,
    until: Instant,
}

impl Mail {
    /// Keeps an exchange for its recipient. `away` is whether that one will find it only when it comes.
    pub(super) fn push(
        &mut self,
        address: IpAddr,
        letter: (ExchangeKind, Exchange),
        away: bool,
        limits: &Limits,
        now: Instant,
    ) {
        let (kind, exchange) = letter;
        let (from, to) = (exchange.from_device_id, exchange.to_device_id);
        let letter = Letter::Exchange(kind, exchange);
        let cost = letter.cost();
        self.change(to, |mailbox, _| {
            let letters = &mut mailbox.letters;
            if away && kind == ExchangeKind::Offer {
                letters.remove(from);
            }
        });
        self.add(to, |mailbox| {
            mailbox.letters.push(address, from, WaitingMail { letter, until: now + timing::OFFER_TTL }, cost);
        });
        self.change(to, |mailbox, dropped_by_share| {
            let letters = &mut mailbox.letters;
            while away
                && letters.queue(from).count() > limits.queue_per_pair
                && letters.drop_oldest(from).is_some()
            {
                *dropped_by_share += 1;
            }
            while letters.bytes() > limits.message_bytes_per_device
                || away && letters.len() > limits.queue_per_device
            {
                let payer = heaviest(letters.queues()).first().map(|(payer, _)| *payer);
                if payer.and_then(|payer| letters.drop_oldest(payer)).is_none() {
                    break;
                }
                *dropped_by_share += 1;
            }
        });
    }

    /// Keeps a knock, the only one of its sender for this recipient.
    pub(super) fn push_knock(&mut self, address: IpAddr, knock: Knock, now: Instant) {
        let (from, to) = (knock.from_device_id, knock.to_device_id);
        let letter = Letter::Knock(knock);
        let cost = letter.cost();
        self.change(to, |mailbox, _| {
            mailbox.knocks.remove(from);
            if mailbox.letters.queue(from).any(|w| matches!(w.letter, Letter::Knock(_))) {
                mailbox.letters.retain(|k, w| k != from || !matches!(w.letter, Letter::Knock(_)));
            }
        });
        self.add(to, |mailbox| {
            mailbox.knocks.push(address, from, WaitingMail { letter, until: now + timing::OFFER_TTL }, cost);
        });
        self.change(to, |mailbox, dropped_by_share| {
            let knocks = &mut mailbox.knocks;
            while knocks.len() > MAX_KNOCKS {
                let payer = heaviest(knocks.queues()).first().map(|(payer, _)| *payer);
                if payer.and_then(|payer| knocks.drop_oldest(payer)).is_none() {
                    break;
                }
                *dropped_by_share += 1;
            }
        });
    }

    /// Makes knocks for `to` letters, as long as `allow` does. Returns how many.
    pub(super) fn release_knocks(&mut self, to: DeviceId, mut allow: impl FnMut() -> bool) -> usize {
        let Some(mailbox) = self.boxes.get_mut(&to) else { return 0 };
        let mut released = 0;
        while !mailbox.knocks.is_empty() && allow() {
            let Some(knock) = mailbox.knocks.pop() else { break };
            mailbox.letters.push(knock.address, knock.key, knock.item, knock.bytes);
            released += 1;
        }
        released
    }

    /// `to` has said whom it accepts: what it does not accept goes, knocks apart. `first` is whether what is left
    /// waited for it to come. Returns how many messages it will get.
    pub(super) fn handle_consent(
        &mut self,
        to: DeviceId,
        first: bool,
        accepts: impl Fn(DeviceId) -> bool,
        now: Instant,
    ) -> usize {
        self.change(to, |mailbox, _| {
            mailbox.letters.retain(|from, waiting| {
                if first {
                    waiting.letter.mark_queued();
                }
                waiting.until > now && (matches!(waiting.letter, Letter::Knock(_)) || accepts(from))
            });
            mailbox.knocks.retain(|_, waiting| {
                if first {
                    waiting.letter.mark_queued();
                }
                waiting.until > now
            });
        });
        self.boxes.get(&to).map_or(0, |mailbox| mailbox.letters.len())
    }

    /// The next message for `to`, and its cost.
    pub(super) fn pop(&mut self, to: DeviceId) -> Option<(ServerMessage, usize)> {
        let mailbox = self.boxes.get_mut(&to)?;
        let Popped { item: waiting, bytes: cost, .. } = mailbox.letters.pop()?;
        self.bytes -= cost;
        self.messages -= 1;
        if mailbox.is_empty() {
            self.boxes.remove(&to);
        }
        Some((waiting.letter.into_message(), cost))
    }

    /// True if a message for `to` can be read now.
    pub(super) fn has_letters(&self, to: DeviceId) -> bool {
        self.boxes.get(&to).is_some_and(|mailbox| !mailbox.letters.is_empty())
    }

    /// Devices for which knocks wait.
    pub(super) fn knocked(&self) -> Vec<DeviceId> {
        self.boxes.iter().filter(|(_, mailbox)| !mailbox.knocks.is_empty()).map(|(to, _)| *to).collect()
    }

    /// Drops what expired.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        // Oldest first in every queue and one lifetime for all: the fronts tell whether there is anything to do.
        let due = |m: &Mailbox| m.letters.fronts().chain(m.knocks.fronts()).any(|w| w.until <= now);
        let due: Vec<_> = self.boxes.iter().filter(|(_, m)| due(m)).map(|(to, _)| *to).collect();
        for to in due {
            self.change(to, |mailbox, _| {
                mailbox.letters.retain(|_, waiting| waiting.until > now);
                mailbox.knocks.retain(|_, waiting| waiting.until > now);
            });
        }
    }

    /// Frees what fewer recipients do not need.
    pub(super) fn give_back(&mut self) {
        shrink(&mut self.boxes);
    }

    /// Address, sender and bytes of all that waits.
    pub(super) fn held(&self) -> impl Iterator<Item = (IpAddr, DeviceId, usize)> {
        self.boxes.values().flat_map(|mailbox| mailbox.letters.queues().chain(mailbox.knocks.queues()))
    }

    /// Drops the oldest messages of `from`, at least `bytes` of them if there are so many.
    pub(super) fn drop_oldest_of(&mut self, from: DeviceId, bytes: usize) {
        let mut oldest: Vec<(Instant, DeviceId)> = Vec::new();
        for (to, mailbox) in &self.boxes {
            oldest.extend(
                mailbox.letters.queue(from).chain(mailbox.knocks.queue(from)).map(|w| (w.until, *to)),
            );
        }
        oldest.sort_unstable();
        let before = self.bytes;
        for (_, to) in oldest {
            if before - self.bytes >= bytes {
                break;
            }
            self.change(to, |mailbox, dropped_by_share| {
                if mailbox.letters.drop_oldest(from).or_else(|| mailbox.knocks.drop_oldest(from)).is_some() {
                    *dropped_by_share += 1;
                }
            });
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    fn add(&mut self, to: DeviceId, add: impl FnOnce(&mut Mailbox)) {
        let mailbox = self.boxes.entry(to).or_default();
        let (bytes, len) = (mailbox.bytes(), mailbox.len());
        add(mailbox);
        self.bytes += mailbox.bytes() - bytes;
        self.messages += mailbox.len() - len;
    }

    /// Lets `drop` remove messages for `to`, and count those it removes because of a share.
    fn change(&mut self, to: DeviceId, drop: impl FnOnce(&mut Mailbox, &mut u64)) {
        let Some(mailbox) = self.boxes.get_mut(&to) else { return };
        let (bytes, len) = (mailbox.bytes(), mailbox.len());
        drop(mailbox, &mut self.dropped_by_share);
        self.bytes -= bytes - mailbox.bytes();
        self.messages -= len - mailbox.len();
        self.dropped += (len - mailbox.len()) as u64;
        if mailbox.is_empty() {
            self.boxes.remove(&to);
        }
    }
}

impl Mailbox {
    fn bytes(&self) -> usize {
        self.letters.bytes() + self.knocks.bytes()
    }

    fn len(&self) -> usize {
        self.letters.len() + self.knocks.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Letter {
    /// Bytes it takes while it waits.
    fn cost(&self) -> usize {
        ENTRY
            + match self {
                Self::Exchange(_, e) => {
                    e.ice_candidates.capacity() * size_of::<String>()
                        + e.sdi.iter().chain(&e.ice_candidates).map(String::capacity).sum::<usize>()
                }
                Self::Knock(knock) => knock.knock.capacity(),
            }
    }

    fn mark_queued(&mut self) {
        match self {
            Self::Exchange(_, exchange) => exchange.queued = true,
            Self::Knock(knock) => knock.queued = true,
        }
    }

    fn into_message(self) -> ServerMessage {
        match self {
            Self::Exchange(kind, exchange) => ServerMessage::exchange(kind, exchange),
            Self::Knock(knock) => ServerMessage::Knock(knock),
        }
    }
}
