//! The ways to a device: those that the settings allow, and the tier that each leads to at best.
//!
//! One answer serves every question. A dial takes the ways that lead to something better than the path there is. A session
//! that none of them improves is not dialed for ([`Standing::improvable`]), and no offer is answered that improves nothing.
//! The app's [`Preference`] says which of two tiers is better, as it does for the choice between paths and for eviction.
//!
//! [`Standing::improvable`]: crate::dial::Standing::improvable

use std::collections::HashMap;

use crate::id::DeviceId;
use crate::path::{Preference, Tier};

/// A way to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// A WebSocket to an address of the device.
    Address(String),
    /// A peer connection.
    WebRtc,
    /// A pipe through a relay.
    Relay,
}

impl Way {
    /// True for an address of the device, which takes no relay.
    pub fn is_address(&self) -> bool {
        matches!(self, Self::Address(_))
    }

    /// Its name in errors and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::WebRtc => "webrtc",
            Self::Relay => "relay",
        }
    }
}

/// The ways that the settings allow.
#[derive(Debug, Clone, Default)]
pub struct Ways {
    /// Peer connections are allowed.
    pub webrtc: bool,
    /// Pipes through relays are allowed.
    pub relay: bool,
    /// Addresses of this device are hidden: peer connections go through TURN servers.
    pub relay_only: bool,
    /// A TURN server is known.
    pub turn: bool,
    /// Addresses of devices, and the tier that each leads to.
    pub addresses: HashMap<DeviceId, Vec<(String, Tier)>>,
    /// The order of tiers.
    pub preference: Preference,
}

impl Ways {
    /// The ways to a device that lead to a better tier than `than`, or all of them.
    pub fn better(&self, device: DeviceId, than: Option<Tier>) -> impl Iterator<Item = (Way, Tier)> {
        let preferred = move |tier: Tier| than.is_none_or(|than| self.prefers(tier, than));
        self.to(device).into_iter().filter(move |(_, tier)| preferred(*tier))
    }

    /// The ways to dial at once, and those to dial when these have failed. Nothing connects sooner than a relay, so a way that
    /// the app prefers less can wait for it.
    ///
    /// # Errors
    /// The reason for which there is none.
    pub fn to_dial(&self, device: DeviceId, than: Option<Tier>) -> Result<[Vec<Way>; 2], &'static str> {
        let ways: Vec<_> = self.better(device, than).collect();
        if ways.is_empty() {
            let needs_turn = self.relay_only && self.webrtc && than.is_none();
            return Err(match needs_turn {
                true => "relay-only, and no TURN server is known",
                false => "no way leads to it",
            });
        }
        let relay = ways.iter().find(|(way, _)| *way == Way::Relay).map(|(_, tier)| *tier);
        let can_wait = |tier: Tier| relay.is_some_and(|relay| self.prefers(relay, tier));
        let (later, now): (Vec<_>, Vec<_>) = ways.into_iter().partition(|(_, tier)| can_wait(*tier));
        Ok([now, later].map(|ways| ways.into_iter().map(|(way, _)| way).collect()))
    }

    fn to(&self, device: DeviceId) -> Vec<(Way, Tier)> {
        let mut ways = Vec::new();
        // A server at such an address learns the address of this device.
        if !self.relay_only {
            let addresses = self.addresses.get(&device).into_iter().flatten();
            ways.extend(addresses.map(|(url, tier)| (Way::Address(url.clone()), *tier)));
        }
        if self.webrtc && !self.relay_only {
            // ICE takes a pair through TURN only where it finds no direct one.
            ways.push((Way::WebRtc, Tier::Direct));
        } else if self.webrtc && self.turn {
            ways.push((Way::WebRtc, Tier::Forwarded));
        }
        if self.relay {
            ways.push((Way::Relay, Tier::Relay));
        }
        ways
    }

    fn prefers(&self, tier: Tier, to: Tier) -> bool {
        self.preference.rank(tier) < self.preference.rank(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: DeviceId = DeviceId::from_bytes([7; 20]);

    fn ways() -> Ways {
        Ways { webrtc: true, relay: true, ..Ways::default() }
    }

    fn better(ways: &Ways, than: Tier) -> Vec<Way> {
        ways.better(PEER, Some(than)).map(|(way, _)| way).collect()
    }

    // proves S093
    #[test]
    fn a_session_on_what_the_app_prefers_cannot_be_improved() {
        for tier in [Tier::Relay, Tier::Direct] {
            let ways = Ways { preference: Preference::first([tier]), turn: true, ..ways() };
            assert_eq!(better(&ways, tier), []);
        }
        assert_eq!(better(&ways(), Tier::Relay), [Way::WebRtc]);
        assert_eq!(better(&ways(), Tier::Forwarded), [Way::WebRtc]);
        assert_eq!(better(&ways(), Tier::Direct), []);
    }

    // proves S136
    #[test]
    fn a_device_that_hides_its_addresses_has_turn_or_nothing_better_than_the_relay() {
        let addresses = HashMap::from([(PEER, vec![("ws://192.168.1.2:7000".into(), Tier::Lan)])]);
        let hidden = Ways { relay_only: true, addresses, ..ways() };
        assert_eq!(better(&hidden, Tier::Relay), []);
        let turned = Ways { turn: true, ..hidden };
        assert_eq!(better(&turned, Tier::Relay), [Way::WebRtc]);
        assert_eq!(better(&turned, Tier::Forwarded), [], "a direct path would show the address");
    }

    // proves S088
    #[test]
    fn an_address_on_the_local_network_improves_on_everything_else() {
        let url = String::from("ws://192.168.1.2:7000");
        let addresses = HashMap::from([(PEER, vec![(url.clone(), Tier::Lan)])]);
        let ways = Ways { addresses, ..ways() };
        assert_eq!(better(&ways, Tier::Direct), [Way::Address(url)]);
    }

    // proves S093
    #[test]
    fn ways_that_the_app_prefers_less_than_the_relay_wait_for_it() {
        let at_once = [vec![Way::WebRtc, Way::Relay], vec![]];
        assert_eq!(ways().to_dial(PEER, None), Ok(at_once));
        let relay_first = Ways { preference: Preference::first([Tier::Relay]), ..ways() };
        assert_eq!(relay_first.to_dial(PEER, None), Ok([vec![Way::Relay], vec![Way::WebRtc]]));
        assert!(Ways::default().to_dial(PEER, None).is_err());
    }
}
