//! Facts of the operating system about the network and the app, and the changes that follow from them.
//!
//! Phones tell the same change in several pieces, and some of them twice. [`Monitor`] waits until they have settled and
//! says what has become of the network since: nothing, the same one again, another one, or none.

use core::net::IpAddr;

use crate::time::{Instant, earliest};
use crate::timing::{NETWORK_SETTLE, NETWORK_SETTLE_MAX};

/// The state of the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AppState {
    /// A person looks.
    #[default]
    Foreground,
    /// The app runs unseen: what there is is kept alive, nothing more.
    Background,
    /// The system is about to stop the app: peers are told, every connection closes, no timer runs.
    Suspended,
}

/// The kind of network that carries the default route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Medium {
    /// Wi-Fi.
    Wifi,
    /// A mobile network.
    Cellular,
    /// A cable.
    Wired,
    /// Something else, a VPN for example.
    Other,
}

/// The network as the operating system describes it at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSnapshot {
    /// True if there is a default route that the system lets this app use.
    pub online: bool,
    /// The system's own number for this connection to a network, where it has one: another number is another network, whatever
    /// its addresses are.
    pub network: Option<u64>,
    /// The kind of network that carries it.
    pub medium: Medium,
    /// True if its data costs money.
    pub metered: bool,
    /// True if the system has reached the Internet over it; behind a captive portal it has not.
    pub validated: bool,
    /// The device's own addresses on it.
    pub addresses: Vec<IpAddr>,
}

impl NetworkSnapshot {
    /// No network.
    pub const OFFLINE: Self = Self {
        online: false,
        network: None,
        medium: Medium::Other,
        metered: false,
        validated: false,
        addresses: Vec::new(),
    };

    /// Whether sockets made on `other` can go on here.
    fn continues(&self, other: &Self) -> bool {
        let mut addresses = self.addresses.clone();
        let mut others = other.addresses.clone();
        addresses.sort_unstable();
        others.sort_unstable();
        self.network == other.network && self.medium == other.medium && addresses == others
    }
}

/// A change of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkChange {
    /// There is none.
    Lost,
    /// It was away for a moment, or changed in a way that leaves addresses alone: what there is has to prove itself.
    Same,
    /// It is another one or has other addresses: nothing made before can be relied on.
    Another,
}

/// Waits until the facts have settled.
#[derive(Debug, Default)]
pub struct Monitor {
    /// The facts that the SDK acts on.
    acted: Option<NetworkSnapshot>,
    latest: Option<NetworkSnapshot>,
    /// The network was away since it was acted on.
    interrupted: bool,
    /// Whether data costs money on the network acted on, or on the last one while there is none.
    metered: bool,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Monitor {
    /// A fact arrived.
    pub fn handle(&mut self, snapshot: NetworkSnapshot, now: Instant) {
        if self.latest.as_ref() == Some(&snapshot) {
            return;
        }
        // The first fact tells what everything so far was made on.
        if self.acted.is_none() && snapshot.online {
            self.metered = snapshot.metered;
            self.acted = Some(snapshot.clone());
            self.latest = Some(snapshot);
            return;
        }
        self.interrupted |= !snapshot.online;
        self.latest = Some(snapshot);
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// The time of the next [`Monitor::poll_output`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.last.map(|at| at + NETWORK_SETTLE), self.first.map(|at| at + NETWORK_SETTLE_MAX))
    }

    /// The change, once it has settled.
    pub fn poll_output(&mut self, now: Instant) -> Option<NetworkChange> {
        if self.poll_timeout().is_none_or(|at| now < at) {
            return None;
        }
        (self.first, self.last) = (None, None);
        let latest = self.latest.clone()?;
        let interrupted = std::mem::take(&mut self.interrupted);
        let before = self.acted.replace(latest.clone());
        if latest.online {
            self.metered = latest.metered;
        }
        match before {
            None => (!latest.online).then_some(NetworkChange::Lost),
            Some(before) if !latest.online => before.online.then_some(NetworkChange::Lost),
            // Its sockets were told that the network is down, or their NAT has forgotten them.
            Some(before) if !before.online => Some(NetworkChange::Another),
            Some(before) if !latest.continues(&before) => Some(NetworkChange::Another),
            // What data costs is no reason to doubt a path.
            Some(before) => {
                let same = NetworkSnapshot { metered: latest.metered, ..before };
                (interrupted || latest != same).then_some(NetworkChange::Same)
            }
        }
    }

    /// Whether data costs money, by the last facts that have settled.
    pub fn is_metered(&self) -> bool {
        self.metered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIFI: [u8; 4] = [192, 168, 1, 7];
    const CELLULAR: [u8; 4] = [10, 64, 0, 3];

    fn on(medium: Medium, address: [u8; 4]) -> NetworkSnapshot {
        NetworkSnapshot {
            online: true,
            medium,
            addresses: vec![IpAddr::from(address)],
            ..NetworkSnapshot::OFFLINE
        }
    }

    /// What comes of these facts, each told `gap` ms after the one before; then all is quiet.
    fn outcome(facts: &[NetworkSnapshot], gap: u64) -> Vec<NetworkChange> {
        let mut monitor = Monitor::default();
        let mut now = Instant::from_micros(3_600_000_000);
        let mut changes = Vec::new();
        let mut run = |monitor: &mut Monitor, until: Instant| {
            while let Some(at) = monitor.poll_timeout().filter(|at| *at <= until) {
                changes.extend(monitor.poll_output(at));
            }
        };
        for fact in facts {
            monitor.handle(fact.clone(), now);
            now += std::time::Duration::from_millis(gap);
            run(&mut monitor, now);
        }
        run(&mut monitor, now + NETWORK_SETTLE_MAX);
        changes
    }

    // proves S096, S159
    #[test]
    fn another_network_is_told_once_however_many_facts_describe_it() {
        let mut half = on(Medium::Cellular, CELLULAR);
        half.addresses.clear();
        let facts = [on(Medium::Wifi, WIFI), NetworkSnapshot::OFFLINE, half, on(Medium::Cellular, CELLULAR)];
        assert_eq!(outcome(&facts[..1], 0), []);
        let settled = [&facts[..1], &facts[..1]].concat();
        assert_eq!(outcome(&settled, 600), []);
        let mut monitor = Monitor::default();
        let mut now = Instant::from_micros(1);
        monitor.handle(facts[0].clone(), now);
        assert_eq!(monitor.poll_timeout(), None);
        for fact in &facts[1..] {
            now += NETWORK_SETTLE / 5;
            monitor.handle(fact.clone(), now);
            assert_eq!(monitor.poll_output(now), None);
        }
        let at = monitor.poll_timeout().unwrap();
        assert_eq!(monitor.poll_output(at), Some(NetworkChange::Another));
        assert_eq!((monitor.poll_timeout(), monitor.poll_output(at)), (None, None));
    }

    #[test]
    fn lost_and_back_with_the_same_address_counts() {
        let facts = [on(Medium::Wifi, WIFI), NetworkSnapshot::OFFLINE, on(Medium::Wifi, WIFI)];
        assert_eq!(outcome(&facts, 600), [NetworkChange::Lost, NetworkChange::Another]);
        // So quick that nobody has acted on the loss.
        let mut monitor = Monitor::default();
        let now = Instant::from_micros(1);
        monitor.handle(facts[0].clone(), now);
        monitor.handle(facts[1].clone(), now);
        monitor.handle(facts[2].clone(), now);
        assert_eq!(monitor.poll_output(now + NETWORK_SETTLE), Some(NetworkChange::Same));
    }

    #[test]
    fn what_repeats_itself_is_no_change_and_the_order_of_addresses_none_either() {
        let mut two = on(Medium::Wifi, WIFI);
        two.addresses.push(IpAddr::from(CELLULAR));
        let mut swapped = two.clone();
        swapped.addresses.reverse();
        assert_eq!(outcome(&[two.clone(), two.clone(), swapped], 600), [NetworkChange::Same]);
        assert_eq!(outcome(&[two.clone(), two], 600), []);
    }

    #[test]
    fn another_network_with_the_same_address_counts() {
        let at = |network| NetworkSnapshot { network: Some(network), ..on(Medium::Wifi, WIFI) };
        assert_eq!(outcome(&[at(100), at(101)], 600), [NetworkChange::Another]);
        assert_eq!(outcome(&[at(100), at(100)], 600), []);
    }

    #[test]
    fn a_network_that_reaches_the_internet_or_no_longer_does_is_the_same_network() {
        let open = NetworkSnapshot { validated: true, ..on(Medium::Wifi, WIFI) };
        let facts = [on(Medium::Wifi, WIFI), open, on(Medium::Wifi, WIFI)];
        assert_eq!(outcome(&facts, 600), [NetworkChange::Same, NetworkChange::Same]);
    }

    #[test]
    fn facts_that_never_settle_are_acted_on_all_the_same() {
        let facts: Vec<_> = (0..40).map(|n| on(Medium::Wifi, [10, 0, 0, n])).collect();
        let changes = outcome(&facts, 100);
        assert!((5..=9).contains(&changes.len()), "{changes:?}");
    }

    #[test]
    fn what_data_costs_is_known_from_the_first_fact_on_and_makes_no_change() {
        let mut monitor = Monitor::default();
        let mut now = Instant::from_micros(1);
        let metered = |on: NetworkSnapshot| NetworkSnapshot { metered: true, ..on };
        let mut settled = |monitor: &mut Monitor, fact| {
            monitor.handle(fact, now);
            now += NETWORK_SETTLE;
            (monitor.poll_output(now), monitor.is_metered())
        };
        let cellular = on(Medium::Cellular, CELLULAR);
        assert_eq!(settled(&mut monitor, metered(cellular.clone())), (None, true));
        assert_eq!(settled(&mut monitor, cellular.clone()), (None, false));
        assert_eq!(settled(&mut monitor, metered(cellular.clone())), (None, true));
        // Where there is no network nothing changes.
        assert_eq!(settled(&mut monitor, NetworkSnapshot::OFFLINE), (Some(NetworkChange::Lost), true));
        assert_eq!(settled(&mut monitor, metered(cellular)), (Some(NetworkChange::Another), true));
        assert_eq!(settled(&mut monitor, on(Medium::Wifi, WIFI)), (Some(NetworkChange::Another), false));
    }

    #[test]
    fn a_device_that_begins_without_a_network_is_told_so() {
        assert_eq!(outcome(&[NetworkSnapshot::OFFLINE], 600), [NetworkChange::Lost]);
    }
}
