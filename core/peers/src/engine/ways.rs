//! The ways to a device: which of them the settings allow, and what each leads to at best.
//!
//! One answer serves every question. A dial takes the ways that lead to something better than there is. A session that none
//! of them improves is not dialed for ([`Standing::improvable`]), and no offer is answered that improves nothing. The app's
//! [`Preference`] says which of two is better, as it does for the choice between paths and for eviction.
//!
//! [`Standing::improvable`]: peers_proto::dial::Standing::improvable
//! [`Preference`]: peers_proto::path::Preference

use peers_proto::id::DeviceId;
use peers_proto::path::{Status, Tier};

use super::Engine;
use crate::builder::{Settings, Transports};
use crate::error::Error;
use crate::transport::websocket::Endpoint;

/// A way to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// A WebSocket to where it listens.
    Address(String),
    /// A peer connection.
    WebRtc,
    /// The relay's own pipes.
    Relay,
}

impl Settings {
    /// The ways to a device, and the tier that each leads to at best. `turn`: whether a TURN server is known.
    fn ways(&self, device: DeviceId, turn: bool) -> Vec<(Way, Tier)> {
        let Transports { webrtc, relay } = self.transports;
        let mut ways = Vec::new();
        // What listens there learns where this device is.
        if !self.relay_only {
            let addresses = self.addresses.get(&device).into_iter().flatten();
            ways.extend(addresses.map(|url| (Way::Address(url.clone()), tier_of(url))));
        }
        if webrtc && !self.relay_only {
            // ICE takes a pair through TURN only where it finds no direct one.
            ways.push((Way::WebRtc, Tier::Direct));
        } else if webrtc && turn {
            ways.push((Way::WebRtc, Tier::Forwarded));
        }
        if relay {
            ways.push((Way::Relay, Tier::Relay));
        }
        ways
    }

    /// Whether the app prefers one tier to another.
    fn prefers(&self, tier: Tier, to: Tier) -> bool {
        self.preference.rank(tier) < self.preference.rank(to)
    }
}

fn tier_of(url: &str) -> Tier {
    if Endpoint::parse(url).is_ok_and(|endpoint| endpoint.is_local()) { Tier::Lan } else { Tier::Forwarded }
}

impl Engine {
    /// The ways to a device that lead to something better `than` there is, or all of them.
    pub(crate) fn ways(&self, device: DeviceId, than: Option<Tier>) -> Vec<(Way, Tier)> {
        let mut ways = self.settings.ways(device, self.settings.relay_only && self.knows_turn());
        ways.retain(|(_, tier)| than.is_none_or(|than| self.settings.prefers(*tier, than)));
        ways
    }

    /// The ways to dial at once, and those to dial when they have failed: nothing connects sooner than a relay, so what the
    /// app prefers less can wait for it.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if there is none.
    pub(crate) fn ways_to_dial(
        &self,
        device: DeviceId,
        than: Option<Tier>,
    ) -> Result<[Vec<(Way, Tier)>; 2], Error> {
        let ways = self.ways(device, than);
        if ways.is_empty() {
            let needs_turn = self.settings.relay_only && self.settings.transports.webrtc && than.is_none();
            let why =
                if needs_turn { "relay-only, and no TURN server is known" } else { "no way leads to it" };
            return Err(Error::Unreachable(why.into()));
        }
        let relay = ways.iter().find(|(way, _)| *way == Way::Relay).map(|(_, tier)| *tier);
        let can_wait = |tier: Tier| relay.is_some_and(|relay| self.settings.prefers(relay, tier));
        let (later, now) = ways.into_iter().partition(|(_, tier)| can_wait(*tier));
        Ok([now, later])
    }

    /// Whether an offer of this device is worth an answer: not while the session works through a relay and WebRTC leads to
    /// nothing better. Of any other path the peer may have found out first that it is gone.
    pub(crate) fn takes_offers(&self, device: DeviceId) -> bool {
        let through_relay = self.registry.get(device).is_some_and(|session| {
            let tier = session.shared.route().map(|route| route.tier());
            session.status() == Status::Usable && tier == Some(Tier::Relay)
        });
        let than = through_relay.then_some(Tier::Relay);
        self.settings.transports.webrtc && self.ways(device, than).iter().any(|(way, _)| *way == Way::WebRtc)
    }

    fn knows_turn(&self) -> bool {
        let named = self.settings.ice_servers.iter().cloned().chain(self.relays.ice_servers());
        named.into_iter().any(|server| server.urls.iter().any(|url| url.starts_with("turn")))
    }
}

#[cfg(test)]
mod tests {
    use peers_proto::path::Preference;

    use super::*;
    use crate::builder::ClientBuilder;

    const PEER: DeviceId = DeviceId::from_bytes([7; 20]);

    fn settings(set: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Settings {
        set(ClientBuilder::new()).settings
    }

    fn better(settings: &Settings, turn: bool, than: Tier) -> Vec<Way> {
        let ways = settings.ways(PEER, turn).into_iter();
        ways.filter(|(_, tier)| settings.prefers(*tier, than)).map(|(way, _)| way).collect()
    }

    // proves S093
    #[test]
    fn a_session_on_what_the_app_prefers_cannot_be_improved() {
        for tier in [Tier::Relay, Tier::Direct] {
            let settings = settings(|b| b.prefer([tier]));
            assert_eq!(better(&settings, true, tier), []);
        }
        assert_eq!(better(&settings(|b| b), false, Tier::Relay), [Way::WebRtc]);
        assert_eq!(better(&settings(|b| b), false, Tier::Forwarded), [Way::WebRtc]);
        assert_eq!(better(&settings(|b| b), false, Tier::Direct), []);
    }

    // proves S136
    #[test]
    fn a_device_that_hides_its_addresses_has_turn_or_nothing_better_than_the_relay() {
        let url = "ws://192.168.1.2:7000";
        let settings = settings(|b| b.relay_only(true).address(PEER, url));
        assert_eq!(better(&settings, false, Tier::Relay), []);
        assert_eq!(better(&settings, true, Tier::Relay), [Way::WebRtc]);
        assert_eq!(better(&settings, true, Tier::Forwarded), [], "a direct path would show the address");
    }

    // proves S088
    #[test]
    fn an_address_on_the_local_network_improves_on_everything_else() {
        let local = ["ws://192.168.1.2:7000", "wss://[fe80::1]:7000", "ws://desk.local"];
        for (urls, tier) in [(&local[..], Tier::Lan), (&["wss://desk.example"], Tier::Forwarded)] {
            for url in urls {
                let ways = settings(|b| b.address(PEER, *url)).ways(PEER, false);
                assert_eq!(ways[0], (Way::Address((*url).to_owned()), tier), "{url}");
            }
        }
        let settings = settings(|b| b.address(PEER, local[0]));
        assert_eq!(better(&settings, false, Tier::Direct), [Way::Address(local[0].into())]);
        assert_eq!(settings.preference, Preference::default());
    }
}
