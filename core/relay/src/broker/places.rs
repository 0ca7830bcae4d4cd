//! Connections by address, from their first byte on.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};

use peers_proto::time::Instant;

use super::SocketId;
use super::heaviest::heaviest;
use crate::config::Limits;
use peers_proto::bucket::Bucket;

/// Counts sockets, connections that are no sockets yet, and attempts to register.
#[derive(Debug, Default)]
pub(super) struct Places {
    addresses: HashMap<IpAddr, Address>,
    /// Oldest first: ids grow.
    half_open: BTreeMap<SocketId, IpAddr>,
    sockets: usize,
}

#[derive(Debug)]
struct Address {
    sockets: usize,
    half_open: usize,
    registrations: Bucket,
}

impl Places {
    /// A connection was accepted. Returns the one that goes if there are too many: the oldest of the address that
    /// has most. `shared` is whether many devices come from this address, as from a proxy.
    pub(super) fn accept(
        &mut self,
        id: SocketId,
        address: IpAddr,
        shared: bool,
        limits: &Limits,
    ) -> Option<SocketId> {
        self.half_open.insert(id, address);
        let place = self.address(address, limits);
        place.half_open += 1;
        let payer = if !shared && place.half_open > limits.max_sockets_per_ip {
            Some(address)
        } else if self.half_open.len() > limits.max_half_open {
            let held = self.half_open.iter().map(|(id, address)| (*address, *id, 1));
            heaviest(held).first().and_then(|(id, _)| self.half_open.get(id)).copied()
        } else {
            None
        }?;
        let oldest = self.half_open.iter().find(|(_, address)| **address == payer).map(|(id, _)| *id)?;
        self.close_half_open(oldest);
        Some(oldest)
    }

    /// The connection became a socket, of a device at `address`. False if it was to be closed.
    pub(super) fn open(&mut self, id: SocketId, address: IpAddr, limits: &Limits) -> bool {
        let open = self.close_half_open(id);
        if open {
            self.address(address, limits).sockets += 1;
            self.sockets += 1;
        }
        open
    }

    /// False if it was not half open.
    pub(super) fn close_half_open(&mut self, id: SocketId) -> bool {
        let Some(address) = self.half_open.remove(&id) else { return false };
        if let Some(place) = self.addresses.get_mut(&address) {
            place.half_open -= 1;
        }
        true
    }

    pub(super) fn close(&mut self, address: IpAddr) {
        self.sockets -= 1;
        if let Some(place) = self.addresses.get_mut(&address) {
            place.sockets -= 1;
        }
    }

    /// An attempt to register from `address`: when it may be looked at, or nothing if that is too far off.
    pub(super) fn register(&mut self, address: IpAddr, limits: &Limits, now: Instant) -> Option<Instant> {
        let patience = peers_proto::timing::REGISTRATION_TIMEOUT;
        let bucket = &mut self.address(address, limits).registrations;
        let at = bucket.clone().take(1, now).unwrap_or(now);
        if at - now > patience {
            return None;
        }
        bucket.take(1, now);
        Some(at)
    }

    /// Forgets addresses of which nothing is left.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.addresses.retain(|_, place| {
            place.sockets + place.half_open > 0 || !place.registrations.debt(now).is_zero()
        });
    }

    pub(super) fn sockets(&self) -> usize {
        self.sockets
    }

    pub(super) fn sockets_at(&self, address: IpAddr) -> usize {
        self.addresses.get(&address).map_or(0, |place| place.sockets)
    }

    pub(super) fn half_open(&self) -> usize {
        self.half_open.len()
    }

    fn address(&mut self, address: IpAddr, limits: &Limits) -> &mut Address {
        self.addresses.entry(address).or_insert_with(|| Address {
            sockets: 0,
            half_open: 0,
            registrations: Bucket::new(limits.registrations_per_second, limits.registrations_burst),
        })
    }
}

/// What counts as one address: a subscriber has a whole IPv6 /64.
pub(super) fn subscriber(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}
