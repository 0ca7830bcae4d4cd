//! Apps and devices that sleep, crash, and close sessions.

use std::time::Duration;

use peers_proto::trust::TrustLevel;

use super::draw::{self, anywhere, pair, spread, windows};
use crate::plan::{Action, Nat, Plan};
use crate::random::Rng;

pub(super) fn sleep(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    let who = rng.below(2);
    windows(rng, &mut plan, 2, 1..45, Action::Sleep(who), Action::Wake(who));
    plan
}

pub(super) fn long_sleep(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 3);
    plan.heal = Duration::from_secs(700);
    plan.traffic.pace *= 4;
    let who = rng.below(3);
    windows(rng, &mut plan, 1, 120..600, Action::Sleep(who), Action::Wake(who));
    plan
}

pub(super) fn clock_jumps(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    for at in spread(rng, &plan, 4) {
        plan.actions.push((at, Action::Jump(rng.below(2), rng.millis(1..100_000))));
    }
    let who = rng.below(2);
    windows(rng, &mut plan, 1, 1..20, Action::Down(who), Action::Up(who));
    plan
}

pub(super) fn crash(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    for at in spread(rng, &plan, 1) {
        plan.actions.push((at, Action::Crash(rng.below(2))));
    }
    plan
}

pub(super) fn crash_loop(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    let mut at = rng.seconds(1..20);
    for _ in 0..rng.within(2..10) {
        plan.actions.push((at, Action::Crash(rng.below(2))));
        at += rng.millis(10..5000);
    }
    plan
}

pub(super) fn slow_reader(rng: &mut Rng) -> Plan {
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

pub(super) fn close(rng: &mut Rng) -> Plan {
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

pub(super) fn close_in_outage(rng: &mut Rng) -> Plan {
    let mut plan = close(rng);
    plan.calm = false;
    let who = rng.below(2);
    windows(rng, &mut plan, 2, 1..8, Action::Down(who), Action::Up(who));
    windows(rng, &mut plan, 2, 1..10, Action::Block(0, 1), Action::Unblock(0, 1));
    windows(rng, &mut plan, 1, 1..5, Action::RelayDown(0), Action::RelayUp(0));
    plan
}

pub(super) fn webrtc_glare(rng: &mut Rng) -> Plan {
    let mut plan = pair(rng, Nat::Open, Nat::Cone);
    (plan.calm, plan.both_dial, plan.relayed_paths) = (true, true, rng.chance(30));
    let mut at = rng.millis(500..8000);
    while at < plan.heal - Duration::from_secs(10) {
        let closes = rng.below(2);
        plan.actions.push((at, Action::Close(closes, 1 - closes)));
        at += rng.millis(0..2500);
        let late = if rng.chance(50) { Duration::ZERO } else { rng.millis(0..300) };
        plan.actions.extend([(at, Action::Request(0, 1)), (at + late, Action::Request(1, 0))]);
        at += rng.seconds(1..8);
    }
    plan
}

pub(super) fn lost_ready(rng: &mut Rng) -> Plan {
    let mut plan = if rng.chance(50) { close(rng) } else { anywhere(rng, 2) };
    plan.calm = false;
    windows(rng, &mut plan, 2, 1..8, Action::Block(0, 1), Action::Unblock(0, 1));
    windows(rng, &mut plan, 1, 1..5, Action::RelayDown(0), Action::RelayUp(0));
    plan.actions.push((Duration::ZERO, Action::LoseReady(0, 1)));
    for at in spread(rng, &plan, 4) {
        let from = rng.below(2);
        plan.actions.push((at, Action::LoseReady(from, 1 - from)));
    }
    plan
}

pub(super) fn consent(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    plan.heal = Duration::from_secs(150);
    // The app of the second device has no word about the first.
    (plan.levels[0], plan.accepts) = (TrustLevel::Unknown, 60);
    for at in spread(rng, &plan, 4) {
        plan.actions.push((at, Action::Request(0, 1)));
    }
    let who = rng.below(2);
    windows(rng, &mut plan, 1, 1..20, Action::Down(who), Action::Up(who));
    plan.actions.push((plan.heal, Action::Trust(1, 0, TrustLevel::Trusted)));
    plan
}

pub(super) fn trust_withdrawn(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 2);
    plan.both_dial = rng.chance(50);
    let mut at = rng.millis(0..8000);
    while at < plan.heal {
        let (who, asks) = (rng.below(2), rng.below(2));
        plan.actions.push((at, Action::Trust(who, 1 - who, TrustLevel::Untrusted)));
        // A request of either device is refused.
        plan.actions.push((at + rng.millis(0..2000), Action::Request(asks, 1 - asks)));
        at += rng.millis(50..15_000);
        plan.actions.push((at, Action::Trust(who, 1 - who, TrustLevel::Trusted)));
        plan.actions.push((at + rng.millis(0..2000), Action::Request(asks, 1 - asks)));
        at += rng.millis(50..15_000);
    }
    let who = rng.below(2);
    windows(rng, &mut plan, 1, 1..8, Action::Down(who), Action::Up(who));
    plan.actions.push((plan.heal, Action::Trust(0, 1, TrustLevel::Trusted)));
    plan.actions.push((plan.heal, Action::Trust(1, 0, TrustLevel::Trusted)));
    plan
}

pub(super) fn suspend(rng: &mut Rng) -> Plan {
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
