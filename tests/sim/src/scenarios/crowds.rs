//! More than two devices.

use std::time::Duration;

use peers_proto::trust::TrustLevel;

use super::draw::{self, anywhere, behind, on_lan, spread, traffic, windows};
use crate::plan::{Action, Nat, Plan};
use crate::random::Rng;

pub(super) fn hybrid_of_three(rng: &mut Rng) -> Plan {
    let places = vec![on_lan(0, Nat::Cone), on_lan(0, Nat::Cone), behind(rng.pick(&Nat::ALL))];
    let mut plan = draw::plan(rng, places);
    let who = rng.below(3);
    windows(rng, &mut plan, 1, 2..20, Action::Down(who), Action::Up(who));
    plan
}

pub(super) fn mesh(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 8);
    plan.heal = Duration::from_secs(40);
    plan.traffic = traffic(rng, 4000);
    for who in 0..8 {
        windows(rng, &mut plan, 1, 1..20, Action::Down(who), Action::Up(who));
    }
    plan
}

pub(super) fn star(rng: &mut Rng) -> Plan {
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

pub(super) fn crowd(rng: &mut Rng) -> Plan {
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

pub(super) fn idle(rng: &mut Rng) -> Plan {
    let mut plan = anywhere(rng, 31);
    plan.heal = Duration::from_secs(20);
    plan.idle = Duration::from_secs(3600);
    plan.traffic = traffic(rng, 8000);
    plan.pairs = (1..31).map(|other| (0, other)).collect();
    plan
}

pub(super) fn chaos(rng: &mut Rng) -> Plan {
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
