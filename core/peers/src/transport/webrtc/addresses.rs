//! The choice of the device's addresses that a connection binds. A machine with containers and VPNs has dozens, each of which
//! costs a socket, a candidate, and a check towards every candidate of the peer.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};

use peers_proto::limits;
use rtc::shared::ifaces::ifaces;

/// Places for one connection's sockets among those of the process, whose descriptors are few. They are given back when this is
/// dropped.
#[derive(Debug)]
pub(super) struct SocketPlaces(AtomicUsize);

static TAKEN: AtomicUsize = AtomicUsize::new(0);

impl SocketPlaces {
    /// As many as one connection may have while the others leave some, and never none.
    pub(super) fn take() -> Self {
        let places = |taken: usize| {
            let free = limits::MAX_ICE_SOCKETS.saturating_sub(taken);
            free.clamp(limits::MIN_HOST_CANDIDATES, limits::MAX_HOST_CANDIDATES)
        };
        let before =
            TAKEN.fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| Some(taken + places(taken)));
        Self(AtomicUsize::new(before.map_or(0, places)))
    }

    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Gives back all but `count`.
    pub(super) fn keep(&self, count: usize) {
        let before = self.0.fetch_min(count, Ordering::AcqRel);
        TAKEN.fetch_sub(before.saturating_sub(count), Ordering::AcqRel);
    }
}

impl Drop for SocketPlaces {
    fn drop(&mut self) {
        self.keep(0);
    }
}

/// At most `room` addresses to bind, the best first: those that lead to `peers`, then those of the default routes.
pub(super) fn choose(room: usize, peers: &[IpAddr]) -> Vec<IpAddr> {
    let found = ifaces().unwrap_or_default();
    let found: Vec<_> = found.iter().filter_map(|i| Some((i.name.as_str(), i.addr?.ip()))).collect();
    let routed: Vec<_> = peers.iter().chain(&ANYWHERE).filter_map(|ip| towards(*ip)).collect();
    rank(&found, &routed).into_iter().take(room).collect()
}

/// The address from which the system sends to `ip`; nothing is sent.
pub(super) fn towards(ip: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((ip, DISCARD)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// The usable ones among `found`, the addresses of each interface in the system's order. Those in `routed` come first, then
/// the first of each interface, then the second of each: the system numbers what is plugged in before containers and VPNs.
fn rank(found: &[(&str, IpAddr)], routed: &[IpAddr]) -> Vec<IpAddr> {
    let mut seen = BTreeMap::<(&str, bool), usize>::new();
    let mut ranked: Vec<_> = (found.iter())
        .filter(|(_, ip)| is_usable(*ip))
        .map(|(interface, ip)| {
            let nth = seen.entry((interface, ip.is_ipv4())).or_default();
            *nth += 1;
            let route = routed.iter().position(|routed| routed == ip);
            (route.unwrap_or(usize::MAX), *nth, *ip)
        })
        .collect();
    ranked.sort_by_key(|(route, nth, _)| (*route, *nth));
    let mut chosen = Vec::new();
    for (.., ip) in ranked {
        if !chosen.contains(&ip) {
            chosen.push(ip);
        }
    }
    chosen
}

/// An address that a peer can send to. A link-local one of IPv6 means nothing without its scope, which candidates lack.
fn is_usable(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !link_local && !ip.is_loopback() && !ip.is_unspecified()
}

/// Of networks for documentation (RFC 5737, RFC 3849): only a default route leads there.
const ANYWHERE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];
const DISCARD: u16 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn ranked(found: &[(&str, &str)], routed: &[&str]) -> Vec<String> {
        let found: Vec<_> = found.iter().map(|(name, ip)| (*name, ip.parse().unwrap())).collect();
        rank(&found, &ips(routed)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_default_route_comes_first_and_every_interface_has_its_turn() {
        let found = [
            ("lo", "127.0.0.1"),
            ("docker0", "172.17.0.1"),
            ("docker0", "172.18.0.1"),
            ("wlan0", "192.168.1.7"),
            ("wlan0", "2001:db8::7"),
            ("wlan0", "2001:db8::8"),
            ("wlan0", "fe80::1"),
            ("tun0", "10.8.0.2"),
            ("eth9", "169.254.1.1"),
        ];
        assert_eq!(
            ranked(&found, &["192.168.1.7", "2001:db8::8"]),
            ["192.168.1.7", "2001:db8::8", "172.17.0.1", "2001:db8::7", "10.8.0.2", "172.18.0.1"]
        );
    }

    #[test]
    fn an_address_is_bound_once() {
        assert_eq!(ranked(&[("lo", "::1"), ("a", "10.0.0.1"), ("b", "10.0.0.1")], &[]), ["10.0.0.1"]);
    }

    #[test]
    fn a_way_to_this_machine_is_found_without_sending() {
        assert_eq!(towards(Ipv4Addr::LOCALHOST.into()), Some(Ipv4Addr::LOCALHOST.into()));
    }

    #[test]
    fn places_run_low_but_never_out() {
        let taken: Vec<_> = std::iter::repeat_with(SocketPlaces::take).take(100).collect();
        assert!(
            taken
                .iter()
                .all(|p| (limits::MIN_HOST_CANDIDATES..=limits::MAX_HOST_CANDIDATES).contains(&p.count()))
        );
        let total: usize = taken.iter().map(SocketPlaces::count).sum();
        assert!(total <= limits::MAX_ICE_SOCKETS + 100 * limits::MIN_HOST_CANDIDATES, "{total}");
        drop(taken);
        let again = SocketPlaces::take();
        again.keep(1);
        assert_eq!(again.count(), 1);
    }

    #[test]
    fn no_more_are_chosen_than_there_is_room_for() {
        assert!(choose(1, &[]).len() <= 1 && choose(0, &[]).is_empty());
    }
}
