//! Paths that die, and networks that change.

use std::time::Duration;

use super::draw::{self, anywhere, behind, on_lan, pair, profile, spread, windows};
use crate::plan::{Action, Nat, Plan};
use crate::random::Rng;

/// Bytes that a narrow path carries at once: a full SCTP packet of the WebRTC stack has more.
const WIDTH: usize = 1100;

pub(super) fn quiet(rng: &mut Rng) -> Plan {
    pair(rng, Nat::Open, Nat::Cone)
}

pub(super) fn bulk_upgrade(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    plan.traffic.stream = 800_000;
    plan.traffic.pace = Duration::from_millis(2500);
    plan.relayed.rate = rng.within(150_000..600_000);
    plan.direct.rate = rng.within(300_000..2_000_000);
    plan
}

pub(super) fn fallback_and_return(rng: &mut Rng) -> Plan {
    let mut plan = pair(rng, Nat::Open, Nat::PortRestricted);
    windows(rng, &mut plan, 2, 3..25, Action::Block(0, 1), Action::Unblock(0, 1));
    plan
}

pub(super) fn flapping(rng: &mut Rng) -> Plan {
    let mut plan = pair(rng, Nat::Open, Nat::Cone);
    windows(rng, &mut plan, 12, 1..6, Action::Block(0, 1), Action::Unblock(0, 1));
    plan
}

pub(super) fn network_switch(rng: &mut Rng) -> Plan {
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

pub(super) fn same_address_outage(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    let who = rng.below(2);
    windows(rng, &mut plan, 2, 2..20, Action::Down(who), Action::Up(who));
    plan
}

pub(super) fn long_outage(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    let who = rng.below(2);
    windows(rng, &mut plan, 1, 20..50, Action::Down(who), Action::Up(who));
    plan
}

pub(super) fn beyond_the_window(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    plan.heal = Duration::from_secs(240);
    let who = rng.below(2);
    windows(rng, &mut plan, 1, 70..180, Action::Down(who), Action::Up(who));
    plan
}

pub(super) fn relay_outage(rng: &mut Rng) -> Plan {
    let mut plan = pair(rng, Nat::Open, Nat::Cone);
    plan.heal = Duration::from_secs(100);
    windows(rng, &mut plan, 1, 55..65, Action::RelayDown(0), Action::RelayUp(0));
    plan
}

pub(super) fn relay_only_outage(rng: &mut Rng) -> Plan {
    let mut plan = pair(rng, Nat::UdpBlocked, Nat::Open);
    windows(rng, &mut plan, 2, 3..45, Action::RelayDown(0), Action::RelayUp(0));
    plan
}

pub(super) fn relay_restarts(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 6);
    plan.traffic.pace *= 3;
    windows(rng, &mut plan, 6, 1..5, Action::RelayDown(0), Action::RelayUp(0));
    plan
}

pub(super) fn second_relay(rng: &mut Rng) -> Plan {
    let mut plan = pair(rng, Nat::Symmetric, Nat::Symmetric);
    plan.relays = 2;
    for relay in 0..2 {
        windows(rng, &mut plan, 2, 2..20, Action::RelayDown(relay), Action::RelayUp(relay));
    }
    plan
}

pub(super) fn symmetric_nats(rng: &mut Rng) -> Plan {
    let other = rng.pick(&[Nat::Symmetric, Nat::PortRestricted]);
    let mut plan = pair(rng, Nat::Symmetric, other);
    windows(rng, &mut plan, 2, 2..20, Action::Down(0), Action::Up(0));
    plan
}

pub(super) fn udp_blocked(rng: &mut Rng) -> Plan {
    let other = rng.pick(&Nat::ALL);
    let mut plan = pair(rng, Nat::UdpBlocked, other);
    windows(rng, &mut plan, 2, 1..30, Action::Down(0), Action::Up(0));
    plan
}

pub(super) fn turn_only(rng: &mut Rng) -> Plan {
    let mut plan = pair(rng, Nat::Symmetric, Nat::Symmetric);
    plan.turn = true;
    windows(rng, &mut plan, 2, 5..30, Action::TurnDown, Action::TurnUp);
    plan
}

pub(super) fn lan_lost(rng: &mut Rng) -> Plan {
    let places = vec![on_lan(0, Nat::Cone), on_lan(0, Nat::Cone)];
    let mut plan = draw::plan(rng, places);
    for (n, at) in spread(rng, &plan, 3).into_iter().enumerate() {
        let place = if n % 2 == 0 { behind(rng.pick(&Nat::ALL)) } else { on_lan(0, Nat::Cone) };
        plan.actions.push((at, Action::Move(0, place)));
    }
    plan
}

pub(super) fn lossy(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    for path in [&mut plan.lan, &mut plan.direct, &mut plan.relayed] {
        path.loss = rng.within(0..31);
    }
    plan
}

pub(super) fn far_away(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    plan.direct = profile(rng, 100..800);
    plan.relayed = profile(rng, 100..800);
    let who = rng.below(2);
    windows(rng, &mut plan, 1, 1..20, Action::Down(who), Action::Up(who));
    plan
}

pub(super) fn reordering_paths(rng: &mut Rng) -> Plan {
    let mut plan = pair(rng, Nat::Open, Nat::Open);
    plan.direct = profile(rng, 1..10);
    plan.relayed = profile(rng, 300..700);
    if rng.chance(50) {
        std::mem::swap(&mut plan.direct, &mut plan.relayed);
    }
    windows(rng, &mut plan, 5, 1..12, Action::Block(0, 1), Action::Unblock(0, 1));
    plan
}

pub(super) fn one_way(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    for at in spread(rng, &plan, 3) {
        let (from, to) = if rng.chance(50) { (0, 1) } else { (1, 0) };
        plan.actions.push((at, Action::OneWay(from, to)));
    }
    plan
}

pub(super) fn narrow(rng: &mut Rng) -> Plan {
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

pub(super) fn glare(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    plan.both_dial = true;
    windows(rng, &mut plan, 3, 1..10, Action::RelayDown(0), Action::RelayUp(0));
    windows(rng, &mut plan, 3, 1..15, Action::Block(0, 1), Action::Unblock(0, 1));
    plan
}
