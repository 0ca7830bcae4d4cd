//! The worlds by name. Each is drawn anew from every seed.

mod apps;
mod crowds;
mod draw;
mod networks;

use crate::plan::Plan;
use crate::random::Rng;

/// A kind of world.
#[derive(Debug)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens in it.
    pub about: &'static str,
    pub(crate) plan: fn(&mut Rng) -> Plan,
}

/// The scenario called `name`.
pub fn scenario(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

macro_rules! scenarios {
    ($($name:literal $plan:path, $about:literal;)*) => {
        /// All of them.
        pub const SCENARIOS: &[Scenario] = &[$(Scenario { name: $name, about: $about, plan: $plan }),*];
    };
}

scenarios! {
    "quiet" networks::quiet, "two devices, relay first, then direct";
    "bulk-upgrade" networks::bulk_upgrade, "streams are under way while better paths take over";
    "fallback-and-return" networks::fallback_and_return, "the direct path dies in silence and comes back";
    "flapping" networks::flapping, "the direct path comes and goes every few seconds";
    "network-switch" networks::network_switch, "Wi-Fi to cellular and back, each with another NAT";
    "same-address-outage" networks::same_address_outage, "no network for up to 20 s, then the same address";
    "long-outage" networks::long_outage, "no network for most of the resume window";
    "beyond-the-window" networks::beyond_the_window, "no network for longer than the resume window";
    "relay-outage" networks::relay_outage, "the relay is away for a minute while devices are connected directly";
    "relay-only-outage" networks::relay_only_outage, "the only path is the relay, and it is away";
    "relay-restarts" networks::relay_restarts, "the relay is restarted again and again under six devices";
    "second-relay" networks::second_relay, "of two relays one or the other is away";
    "symmetric-nats" networks::symmetric_nats, "no direct path between the NATs";
    "udp-blocked" networks::udp_blocked, "a firewall lets no UDP through";
    "turn-only" networks::turn_only, "TURN is the only way for UDP, and dies";
    "hybrid-of-three" crowds::hybrid_of_three, "two on a LAN, one beyond a NAT";
    "lan-lost" networks::lan_lost, "a LAN path is lost, the internet takes over";
    "lossy" networks::lossy, "up to 30 % loss on every path";
    "far-away" networks::far_away, "up to 800 ms each way, with as much jitter";
    "reordering-paths" networks::reordering_paths, "a fast and a slow path, switched often";
    "one-way" networks::one_way, "paths go deaf in one direction";
    "narrow" networks::narrow, "a direct path carries small datagrams and loses large ones, from the start or later";
    "sleep" apps::sleep, "a device is suspended for less than the window";
    "long-sleep" apps::long_sleep, "a device is suspended for minutes";
    "clock-jumps" apps::clock_jumps, "clocks leap forward";
    "crash" apps::crash, "an app is killed and started again";
    "crash-loop" apps::crash_loop, "an app is killed again and again, in the middle of handshakes too";
    "glare" networks::glare, "both dial at once, always";
    "slow-reader" apps::slow_reader, "an app that takes its time with large objects";
    "mesh" crowds::mesh, "eight devices, all with all, anywhere";
    "star" crowds::star, "one device with fifteen others, and its network changes";
    "crowd" crowds::crowd, "forty devices want one that keeps thirty, and its network changes";
    "idle" crowds::idle, "nobody uses thirty sessions for an hour";
    "close" apps::close, "apps close their sessions and ask for others, one end or both";
    "close-in-outage" apps::close_in_outage, "apps close sessions and ask for others while paths die";
    "webrtc-glare" apps::webrtc_glare, "both apps ask for a session at one moment, again and again, most often by WebRTC alone";
    "lost-ready" apps::lost_ready, "the last word of a handshake is lost, so one device has a session that the other never had";
    "consent" apps::consent, "an unknown device asks, and the app takes its time, refuses, or is too late";
    "trust-withdrawn" apps::trust_withdrawn, "an app does not trust a device any more, and trusts it again";
    "suspend" apps::suspend, "an app is suspended, which its peer knows, and comes back elsewhere or on a metered network";
    "chaos" crowds::chaos, "everything at once";
}
