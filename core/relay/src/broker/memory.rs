//! The relay's memory as a whole: who pays when what waits in all is too much.

use std::collections::HashMap;
use std::hash::Hash;

use peers_proto::id::DeviceId;
use peers_proto::signaling::close_code;

use super::heaviest::heaviest;
use super::outbox::Link;
use super::{Broker, SocketId};

/// Beyond a total, this part of it is freed at once: looking for who pays takes a look at everything.
const FREED: usize = 16;

/// A map that was four times as large lets go of half: the next who come do not make it grow at once.
pub(crate) fn shrink<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if map.capacity() > 4 * map.len() {
        map.shrink_to(2 * map.len());
    }
}

/// The device that made messages wait: the sender, or one that does not read the relay's own messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Writer {
    Device(DeviceId),
    Socket(SocketId),
}

/// The place where relayed data waits: a connection to a device, or that device's writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Holder {
    Link(SocketId, Link),
    Socket(SocketId),
}

impl Broker {
    /// After every input: closes devices that are too slow and makes the heaviest pay, until everything fits. One after
    /// the other, since a device that leaves is news to others.
    pub(super) fn settle(&mut self) {
        loop {
            while let Some(id) = self.slow.pop() {
                self.close_slow(id);
            }
            self.fit_messages();
            self.fit_data();
            if self.slow.is_empty() {
                return;
            }
        }
    }

    /// Frees what fewer and quieter devices do not need.
    pub(super) fn give_back(&mut self) {
        self.sockets.values_mut().for_each(|socket| socket.give_back());
        shrink(&mut self.sockets);
        shrink(&mut self.devices);
        self.places.give_back();
        self.mail.give_back();
        for queue in [&mut self.ready, &mut self.cut] {
            queue.shrink_to(2 * queue.len());
        }
    }

    /// Bytes of messages held for all devices.
    pub(super) fn messages_total(&self) -> usize {
        self.mail.bytes() + self.messages_held
    }

    fn fit_messages(&mut self) {
        let limit = self.limits.message_memory_total;
        if self.messages_total() <= limit {
            return;
        }
        let target = limit - limit / FREED;
        while self.messages_total() > target {
            let mail = self.mail.held().map(|(address, device, n)| (address, Writer::Device(device), n));
            let open = self.sockets.iter().filter(|(_, s)| !s.closing);
            let own = open.map(|(id, s)| (s.address, Writer::Socket(*id), s.outbox.messages_held()));
            let payers = heaviest(mail.chain(own));
            if payers.is_empty() {
                return;
            }
            for (payer, _) in payers {
                let excess = self.messages_total().saturating_sub(target);
                match payer {
                    _ if excess == 0 => return,
                    Writer::Device(device) => self.mail.drop_oldest_of(device, excess),
                    Writer::Socket(id) => self.close_slow(id),
                }
            }
        }
    }

    fn fit_data(&mut self) {
        let limit = self.limits.relay_queue_total;
        if self.data_held <= limit {
            return;
        }
        let target = limit - limit / FREED;
        while self.data_held > target {
            let links = self.sockets.iter().flat_map(|(id, socket)| {
                socket.outbox.links().map(|(address, link, n)| (address, Holder::Link(*id, link), n))
            });
            let open = self.sockets.iter().filter(|(_, s)| !s.closing);
            let writing = open.map(|(id, s)| (s.address, Holder::Socket(*id), s.outbox.data_writing()));
            let payers = heaviest(links.chain(writing));
            if payers.is_empty() {
                return;
            }
            for (payer, _) in payers {
                match payer {
                    _ if self.data_held <= target => return,
                    Holder::Link(id, link) => self.overflow(id, link),
                    Holder::Socket(id) => self.close_slow(id),
                }
            }
        }
    }

    /// Closes a device that does not read; its connection does not outlive this by much.
    fn close_slow(&mut self, id: SocketId) {
        if self.sockets.get(&id).is_some_and(|s| !s.closing) {
            self.counters.too_slow += 1;
            self.close(id, None, close_code::POLICY, "too slow");
            self.cut.push_back(id);
        }
    }
}
