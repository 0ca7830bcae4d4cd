//! Routes of paths, their tiers and the preference among them.

use crate::transport_kind::TransportKind;

/// The route of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Route {
    /// The kind of transport that carries the frames.
    pub kind: TransportKind,
    /// A TURN server forwards them.
    pub relayed: bool,
}

impl Route {
    /// Nobody forwards the frames, except where the kind says so.
    pub const fn new(kind: TransportKind) -> Self {
        Self { kind, relayed: false }
    }

    /// The tier of the route.
    pub const fn tier(self) -> Tier {
        match self.kind {
            TransportKind::Lan => Tier::Lan,
            TransportKind::WebRtc if self.relayed => Tier::Forwarded,
            TransportKind::WebRtc => Tier::Direct,
            TransportKind::Internet => Tier::Forwarded,
            TransportKind::Relay => Tier::Relay,
            TransportKind::Custom => Tier::Custom,
        }
    }
}

impl From<TransportKind> for Route {
    fn from(kind: TransportKind) -> Self {
        Self::new(kind)
    }
}

/// Kinds of route (S093). [`Tier::ALL`] has their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// WebSocket in the local network.
    Lan,
    /// WebRTC, and no server in between.
    Direct,
    /// WebRTC through a TURN server, or WebSocket over TLS to a device that listens publicly: a detour.
    Forwarded,
    /// Through the relay, which others share.
    Relay,
    /// Supplied by the app, which knows better whether it comes first.
    Custom,
}

impl Tier {
    /// All of them, best first: the order that an app changes by [`Preference::first`].
    pub const ALL: [Self; 5] = [Self::Lan, Self::Direct, Self::Forwarded, Self::Relay, Self::Custom];
}

/// The order of tiers that an app prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preference([Tier; 5]);

impl Default for Preference {
    fn default() -> Self {
        Self(Tier::ALL)
    }
}

impl Preference {
    /// These first, in this order; the others follow as they usually do.
    pub fn first(tiers: impl IntoIterator<Item = Tier>) -> Self {
        let mut order = Tier::ALL;
        let mut next = 0;
        for tier in tiers {
            if let Some(at) = order.iter().position(|t| *t == tier)
                && at >= next
            {
                order[next..=at].rotate_right(1);
                next += 1;
            }
        }
        Self(order)
    }

    /// The place of a tier: 0 is the best.
    pub fn rank(&self, tier: Tier) -> u8 {
        self.0.iter().position(|t| *t == tier).map_or(u8::MAX, |at| at as u8)
    }
}
