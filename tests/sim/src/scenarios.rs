//! The worlds by name. Each is drawn anew from every seed.

mod draw;

use std::time::Duration;

use peers_proto::trust::TrustLevel;

use crate::plan::{Action, Nat, Plan};
use crate::random::Rng;
use draw::{anywhere, behind, on_lan, pair, profile, spread, traffic, windows};

/// A kind of world.
#[derive(Debug)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens in it.
    pub about: &'static str,
    pub(crate) plan: fn(&mut Rng) -> Plan,
}

/// Bytes that a narrow path carries at once: a full SCTP packet of the WebRTC stack has more.
const WIDTH: usize = 1100;

/// The scenario called `name`.
pub fn scenario(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

macro_rules! scenarios {
    ($($name:literal $plan:ident $about:literal;)*) => {
        /// All of them.
        pub const SCENARIOS: &[Scenario] = &[$(Scenario { name: $name, about: $about, plan: $plan }),*];
    };
}

scenarios! {
    "quiet" quiet "two devices, relay first, then direct";
    "bulk-upgrade" bulk_upgrade "streams are under way while better paths take over";
    "fallback-and-return" fallback_and_return "the direct path dies in silence and comes back";
    "flapping" flapping "the direct path comes and goes every few seconds";
    "network-switch" network_switch "Wi-Fi to cellular and back, each with another NAT";
    "same-address-outage" same_address_outage "no network for up to 20 s, then the same address";
    "long-outage" long_outage "no network for most of the resume window";
    "beyond-the-window" beyond_the_window "no network for longer than the resume window";
    "relay-outage" relay_outage "the relay is away for a minute while devices are connected directly";
    "relay-only-outage" relay_only_outage "the only path is the relay, and it is away";
    "relay-restarts" relay_restarts "the relay is restarted again and again under six devices";
    "second-relay" second_relay "of two relays one or the other is away";
    "symmetric-nats" symmetric_nats "no direct path between the NATs";
    "udp-blocked" udp_blocked "a firewall lets no UDP through";
    "turn-only" turn_only "TURN is the only way for UDP, and dies";
    "hybrid-of-three" hybrid_of_three "two on a LAN, one beyond a NAT";
    "lan-lost" lan_lost "a LAN path is lost, the internet takes over";
    "lossy" lossy "up to 30 % loss on every path";
    "far-away" far_away "up to 800 ms each way, with as much jitter";
    "reordering-paths" reordering_paths "a fast and a slow path, switched often";
    "one-way" one_way "paths go deaf in one direction";
    "narrow" narrow "a direct path carries small datagrams and loses large ones, from the start or later";
    "sleep" sleep "a device is suspended for less than the window";
    "long-sleep" long_sleep "a device is suspended for minutes";
    "clock-jumps" clock_jumps "clocks leap forward";
    "crash" crash "an app is killed and started again";
    "crash-loop" crash_loop "an app is killed again and again, in the middle of handshakes too";
    "glare" glare "both dial at once, always";
    "slow-reader" slow_reader "an app that takes its time with large objects";
    "mesh" mesh "eight devices, all with all, anywhere";
    "star" star "one device with fifteen others, and its network changes";
    "crowd" crowd "forty devices want one that keeps thirty, and its network changes";
    "idle" idle "nobody uses thirty sessions for an hour";
    "close" close "apps close their sessions and ask for others, one end or both";
    "close-in-outage" close_in_outage "apps close sessions and ask for others while paths die";
    "suspend" suspend "an app is suspended, which its peer knows, and comes back elsewhere or on a metered network";
    "chaos" chaos "everything at once";
}

fn quiet(rng: &mut Rng) -> Plan {
    pair(rng, Nat::Open, Nat::Cone)
}

fn bulk_upgrade(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    plan.traffic.stream = 800_000;
    plan.traffic.pace = Duration::from_millis(2500);
    plan.relayed.rate = rng.within(150_000..600_000);
    plan.direct.rate = rng.within(300_000..2_000_000);
    plan
}

fn fallback_and_return(rng: &mut Rng) -> Plan {
    let mut plan = pair(rng, Nat::Open, Nat::PortRestricted);
    windows(rng, &mut plan, 2, 3..25, Action::Block(0, 1), Action::Unblock(0, 1));
    plan
}

fn flapping(rng: &mut Rng) -> Plan {
    let mut plan = pair(rng, Nat::Open, Nat::Cone);
    windows(rng, &mut plan, 12, 1..6, Action::Block(0, 1), Action::Unblock(0, 1));
    plan
}

fn network_switch(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    for at in spread(rng, &plan, 4) {
        let who = rng.below(2);
        let place = draw::place(rng);
        // Some phones keep both networks for a moment, some lose the old one first.
        if rng.chance(50) {
            plan.actions.push((at, Action::Down(who)));
            plan.actions.push((at + rng.millis(100..5000), Action::Up(who)));
        }
        plan.actions.push((at, Action::Move(who, place)));
    }
    plan
}

fn same_address_outage(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    let who = rng.below(2);
    windows(rng, &mut plan, 2, 2..20, Action::Down(who), Action::Up(who));
    plan
}

fn long_outage(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    let who = rng.below(2);
    windows(rng, &mut plan, 1, 20..50, Action::Down(who), Action::Up(who));
    plan
}

fn beyond_the_window(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    plan.heal = Duration::from_secs(240);
    let who = rng.below(2);
    windows(rng, &mut plan, 1, 70..180, Action::Down(who), Action::Up(who));
    plan
}

fn relay_outage(rng: &mut Rng) -> Plan {
    let mut plan = pair(rng, Nat::Open, Nat::Cone);
    plan.heal = Duration::from_secs(100);
    windows(rng, &mut plan, 1, 55..65, Action::RelayDown(0), Action::RelayUp(0));
    plan
}

fn relay_only_outage(rng: &mut Rng) -> Plan {
    let mut plan = pair(rng, Nat::UdpBlocked, Nat::Open);
    windows(rng, &mut plan, 2, 3..45, Action::RelayDown(0), Action::RelayUp(0));
    plan
}

fn relay_restarts(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 6);
    plan.traffic.pace *= 3;
    windows(rng, &mut plan, 6, 1..5, Action::RelayDown(0), Action::RelayUp(0));
    plan
}

fn second_relay(rng: &mut Rng) -> Plan {
    let mut plan = pair(rng, Nat::Symmetric, Nat::Symmetric);
    plan.relays = 2;
    for relay in 0..2 {
        windows(rng, &mut plan, 2, 2..20, Action::RelayDown(relay), Action::RelayUp(relay));
    }
    plan
}

fn symmetric_nats(rng: &mut Rng) -> Plan {
    let other = rng.pick(&[Nat::Symmetric, Nat::PortRestricted]);
    let mut plan = pair(rng, Nat::Symmetric, other);
    windows(rng, &mut plan, 2, 2..20, Action::Down(0), Action::Up(0));
    plan
}

fn udp_blocked(rng: &mut Rng) -> Plan {
    let other = rng.pick(&Nat::ALL);
    let mut plan = pair(rng, Nat::UdpBlocked, other);
    windows(rng, &mut plan, 2, 1..30, Action::Down(0), Action::Up(0));
    plan
}

fn turn_only(rng: &mut Rng) -> Plan {
    let mut plan = pair(rng, Nat::Symmetric, Nat::Symmetric);
    plan.turn = true;
    windows(rng, &mut plan, 2, 5..30, Action::TurnDown, Action::TurnUp);
    plan
}

fn hybrid_of_three(rng: &mut Rng) -> Plan {
    let places = vec![on_lan(0, Nat::Cone), on_lan(0, Nat::Cone), behind(rng.pick(&Nat::ALL))];
    let mut plan = draw::plan(rng, places);
    let who = rng.below(3);
    windows(rng, &mut plan, 1, 2..20, Action::Down(who), Action::Up(who));
    plan
}

fn lan_lost(rng: &mut Rng) -> Plan {
    let places = vec![on_lan(0, Nat::Cone), on_lan(0, Nat::Cone)];
    let mut plan = draw::plan(rng, places);
    for (n, at) in spread(rng, &plan, 3).into_iter().enumerate() {
        let place = if n % 2 == 0 { behind(rng.pick(&Nat::ALL)) } else { on_lan(0, Nat::Cone) };
        plan.actions.push((at, Action::Move(0, place)));
    }
    plan
}

fn lossy(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    for path in [&mut plan.lan, &mut plan.direct, &mut plan.relayed] {
        path.loss = rng.within(0..31);
    }
    plan
}

fn far_away(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    plan.direct = profile(rng, 100..800);
    plan.relayed = profile(rng, 100..800);
    let who = rng.below(2);
    windows(rng, &mut plan, 1, 1..20, Action::Down(who), Action::Up(who));
    plan
}

fn reordering_paths(rng: &mut Rng) -> Plan {
    let mut plan = pair(rng, Nat::Open, Nat::Open);
    plan.direct = profile(rng, 1..10);
    plan.relayed = profile(rng, 300..700);
    if rng.chance(50) {
        std::mem::swap(&mut plan.direct, &mut plan.relayed);
    }
    windows(rng, &mut plan, 5, 1..12, Action::Block(0, 1), Action::Unblock(0, 1));
    plan
}

fn one_way(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    for at in spread(rng, &plan, 3) {
        let (from, to) = if rng.chance(50) { (0, 1) } else { (1, 0) };
        plan.actions.push((at, Action::OneWay(from, to)));
    }
    plan
}

fn narrow(rng: &mut Rng) -> Plan {
    let mut plan = pair(rng, Nat::Open, Nat::Cone);
    let who = rng.below(2);
    let at = if rng.chance(50) { Duration::ZERO } else { rng.seconds(5..30) };
    plan.actions.push((at, Action::Narrow(who, WIDTH)));
    if rng.chance(50) {
        plan.actions.push((at, Action::Narrow(1 - who, WIDTH)));
    }
    plan.traffic.large = 20;
    plan.both_dial = false;
    // Up as paths are found, down when it is narrow, and some that are equal when the world has healed. A session that
    // finds no rest gets a path every few seconds.
    plan.moves = 8;
    plan
}

fn sleep(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    let who = rng.below(2);
    windows(rng, &mut plan, 2, 1..45, Action::Sleep(who), Action::Wake(who));
    plan
}

fn long_sleep(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 3);
    plan.heal = Duration::from_secs(700);
    plan.traffic.pace *= 4;
    let who = rng.below(3);
    windows(rng, &mut plan, 1, 120..600, Action::Sleep(who), Action::Wake(who));
    plan
}

fn clock_jumps(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    for at in spread(rng, &plan, 4) {
        plan.actions.push((at, Action::Jump(rng.below(2), rng.millis(1..100_000))));
    }
    let who = rng.below(2);
    windows(rng, &mut plan, 1, 1..20, Action::Down(who), Action::Up(who));
    plan
}

fn crash(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    for at in spread(rng, &plan, 1) {
        plan.actions.push((at, Action::Crash(rng.below(2))));
    }
    plan
}

fn crash_loop(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    let mut at = rng.seconds(1..20);
    for _ in 0..rng.within(2..10) {
        plan.actions.push((at, Action::Crash(rng.below(2))));
        at += rng.millis(10..5000);
    }
    plan
}

fn glare(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    plan.both_dial = true;
    windows(rng, &mut plan, 3, 1..10, Action::RelayDown(0), Action::RelayUp(0));
    windows(rng, &mut plan, 3, 1..15, Action::Block(0, 1), Action::Unblock(0, 1));
    plan
}

fn slow_reader(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    plan.traffic.slow_reader = true;
    plan.traffic.large = 40;
    plan.traffic.stream = 600_000;
    plan.traffic.pace = rng.millis(1500..3000);
    plan.relayed.rate = rng.within(200_000..600_000);
    plan.direct.rate = rng.within(300_000..2_000_000);
    let who = rng.below(2);
    windows(rng, &mut plan, 2, 1..20, Action::Down(who), Action::Up(who));
    plan
}

fn mesh(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 8);
    plan.heal = Duration::from_secs(40);
    plan.traffic = traffic(rng, 4000);
    for who in 0..8 {
        windows(rng, &mut plan, 1, 1..20, Action::Down(who), Action::Up(who));
    }
    plan
}

fn star(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 16);
    plan.heal = Duration::from_secs(40);
    plan.traffic = traffic(rng, 4000);
    plan.pairs = (1..16).map(|other| (0, other)).collect();
    for at in spread(rng, &plan, 2) {
        let place = draw::place(rng);
        plan.actions.push((at, Action::Move(0, place)));
    }
    plan
}

fn crowd(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 41);
    plan.heal = rng.seconds(60..120);
    plan.traffic = traffic(rng, 8000);
    plan.both_dial = true;
    plan.pairs = (1..41).map(|other| (other, 0)).collect();
    plan.levels =
        (0..41).map(|_| rng.pick(&[TrustLevel::Known, TrustLevel::Trusted, TrustLevel::Own])).collect();
    for at in spread(rng, &plan, 1) {
        let place = draw::place(rng);
        plan.actions.push((at, Action::Move(0, place)));
    }
    let who = rng.within(1..41) as usize;
    windows(rng, &mut plan, 1, 2..20, Action::Down(who), Action::Up(who));
    plan
}

fn idle(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 31);
    plan.heal = Duration::from_secs(20);
    plan.idle = Duration::from_secs(3600);
    plan.traffic = traffic(rng, 8000);
    plan.pairs = (1..31).map(|other| (0, other)).collect();
    plan
}

fn close(rng: &mut Rng) -> Plan {
    let relayed = rng.chance(70);
    let mut plan = if relayed { anywhere(rng, 2) } else { pair(rng, Nat::Open, Nat::Cone) };
    (plan.calm, plan.relayed_paths) = (true, relayed);
    plan.both_dial = rng.chance(50);
    for _ in 0..rng.within(1..8) {
        let (who, at) = (rng.below(2), rng.millis(500..45_000));
        plan.actions.push((at, Action::Close(who, 1 - who)));
        // At once, before the peer knows, or while the session still closes its paths.
        for _ in 0..rng.within(0..3) {
            let asks = rng.below(2);
            plan.actions.push((at + rng.millis(0..1500), Action::Request(asks, 1 - asks)));
        }
    }
    plan
}

fn close_in_outage(rng: &mut Rng) -> Plan {
    let mut plan = close(rng);
    plan.calm = false;
    let who = rng.below(2);
    windows(rng, &mut plan, 2, 1..8, Action::Down(who), Action::Up(who));
    windows(rng, &mut plan, 2, 1..10, Action::Block(0, 1), Action::Unblock(0, 1));
    windows(rng, &mut plan, 1, 1..5, Action::RelayDown(0), Action::RelayUp(0));
    plan
}

fn suspend(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    plan.heal = Duration::from_secs(150);
    let who = rng.below(2);
    let place = draw::place(rng);
    windows(rng, &mut plan, 2, 1..60, Action::Suspend(who), Action::Resume(who));
    windows(rng, &mut plan, 1, 1..20, Action::Down(1 - who), Action::Up(1 - who));
    if rng.chance(50) {
        plan.actions.push((rng.seconds(1..140), Action::Move(who, place)));
    }
    if rng.chance(50) {
        windows(rng, &mut plan, 2, 1..60, Action::Metered(who, true), Action::Metered(who, false));
    }
    plan.actions.push((plan.heal, Action::Resume(who)));
    plan
}

fn chaos(rng: &mut Rng) -> Plan {
    let devices = 2 + rng.below(3);
    let mut plan = anywhere(rng, devices);
    plan.both_dial = rng.chance(50);
    plan.turn = rng.chance(30);
    plan.relays = 1 + rng.below(2);
    plan.heal = Duration::from_secs(120);
    plan.direct.loss = rng.within(0..20);
    plan.relayed.loss = rng.within(0..10);
    for _ in 0..rng.within(3..10) {
        let (a, b) = (rng.below(devices), rng.below(devices));
        let relay = rng.below(plan.relays);
        let (begin, end) = match rng.below(8) {
            0 => (Action::Down(a), Action::Up(a)),
            1 => (Action::Block(a, b), Action::Unblock(a, b)),
            2 => (Action::RelayDown(relay), Action::RelayUp(relay)),
            3 => (Action::TurnDown, Action::TurnUp),
            4 => (Action::Sleep(a), Action::Wake(a)),
            5 => (Action::Move(a, draw::place(rng)), Action::Move(a, draw::place(rng))),
            6 => (Action::OneWay(a, b), Action::Jump(a, rng.millis(1..90_000))),
            _ => (Action::Crash(a), Action::Crash(b)),
        };
        windows(rng, &mut plan, 1, 1..70, begin, end);
    }
    plan
}
