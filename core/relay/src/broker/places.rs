//! Connections by address, from their first byte on.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};

use peers_proto::time::Instant;

use super::SocketId;
use super::memory::shrink;
use crate::config::Limits;
use peers_proto::bucket::Bucket;

/// Counts sockets, connections that are no sockets yet, and attempts to register.
#[derive(Debug, Default)]
pub(super) struct AddressPlaces {
    addresses: HashMap<IpAddr, Address>,
    half_open: HashMap<SocketId, IpAddr>,
    /// Addresses by their half-open connections, the one with most last: what is full is full at every accept, so the
    /// payer is found without a look at all of them.
    ranks: BTreeSet<(usize, IpAddr)>,
    sockets: usize,
}

#[derive(Debug)]
struct Address {
    sockets: usize,
    /// Oldest first: ids grow.
    half_open: BTreeSet<SocketId>,
    registrations: Bucket,
}

impl AddressPlaces {
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
        place.half_open.insert(id);
        let count = place.half_open.len();
        self.rank(address, count - 1, count);
        let payer = if !shared && count > limits.max_sockets_per_ip {
            Some(address)
        } else if self.half_open.len() > limits.max_half_open {
            self.ranks.last().map(|(_, address)| *address)
        } else {
            None
        }?;
        let oldest = *self.addresses.get(&payer)?.half_open.first()?;
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
            place.half_open.remove(&id);
            let count = place.half_open.len();
            self.rank(address, count + 1, count);
        }
        true
    }

    /// The address has another number of half-open connections.
    fn rank(&mut self, address: IpAddr, before: usize, now: usize) {
        self.ranks.remove(&(before, address));
        if now > 0 {
            self.ranks.insert((now, address));
        }
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
            place.sockets + place.half_open.len() > 0 || !place.registrations.debt(now).is_zero()
        });
    }

    /// Frees what fewer connections do not need.
    pub(super) fn give_back(&mut self) {
        shrink(&mut self.addresses);
        shrink(&mut self.half_open);
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
            half_open: BTreeSet::new(),
            registrations: Bucket::new(limits.registrations_per_second, limits.registrations_burst),
        })
    }
}

/// The part of an address that counts as one: a subscriber has a whole IPv6 /64.
pub(super) fn subscriber(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    proptest! {
        #[test]
        fn the_oldest_of_the_address_with_most_is_cut(
            steps in prop::collection::vec((0..4u8, any::<prop::sample::Index>(), any::<bool>()), 0..200),
        ) {
            let limits = Limits { max_half_open: 8, max_sockets_per_ip: 5, ..Limits::default() };
            let mut places = AddressPlaces::default();
            let mut model = Vec::<(SocketId, IpAddr)>::new();
            for (n, (from, at, closes)) in (0..).zip(steps) {
                if closes && !model.is_empty() {
                    let (id, _) = model.remove(at.index(model.len()));
                    prop_assert!(places.close_half_open(id) && !places.close_half_open(id));
                    continue;
                }
                let (id, from) = (SocketId(n), address(from));
                model.push((id, from));
                let count = |address| model.iter().filter(|(_, a)| *a == address).count();
                let most = (0..4).map(address).max_by_key(|a| (count(*a), *a)).filter(|_| model.len() > 8);
                let payer = if count(from) > 5 { Some(from) } else { most };
                let cut = model.iter().position(|(_, address)| Some(*address) == payer);
                let cut = cut.map(|at| model.remove(at).0);
                prop_assert_eq!(places.accept(id, from, false, &limits), cut);
                prop_assert_eq!(places.half_open(), model.len());
                prop_assert_eq!(places.ranks.iter().map(|(count, _)| count).sum::<usize>(), model.len());
            }
        }
    }

    #[test]
    fn an_accept_beyond_the_limit_does_not_look_at_all_connections() {
        let limits = Limits { max_half_open: 50_000, ..Limits::default() };
        let mut places = AddressPlaces::default();
        let began = std::time::Instant::now();
        for n in 0..100_000 {
            let cut = places.accept(SocketId(n), address(1), true, &limits);
            assert_eq!(cut, n.checked_sub(50_000).map(SocketId));
        }
        // A look at fifty thousand takes a millisecond, so that all together take a minute.
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    }
}
