//! Drawing worlds from a seed.

use std::ops::Range;
use std::time::Duration;

use peers_proto::trust::TrustLevel;

use crate::pipe::Profile;
use crate::plan::{Action, Fault, Nat, Place, Plan, Traffic};
use crate::random::Rng;

/// Behind a NAT of its own.
pub(super) fn behind(nat: Nat) -> Place {
    Place { lan: None, nat }
}

/// In a local network.
pub(super) fn on_lan(lan: u8, nat: Nat) -> Place {
    Place { lan: Some(lan), nat }
}

/// Somewhere: one in three shares a local network with others.
pub(super) fn place(rng: &mut Rng) -> Place {
    let nat = rng.pick(&Nat::ALL);
    if rng.chance(33) { on_lan(rng.below(2) as u8, nat) } else { behind(nat) }
}

/// Two devices behind NATs of their own.
pub(super) fn pair(rng: &mut Rng, a: Nat, b: Nat) -> Plan {
    plan(rng, vec![behind(a), behind(b)])
}

/// Devices somewhere, everybody with everybody.
pub(super) fn anywhere(rng: &mut Rng, devices: usize) -> Plan {
    let places = (0..devices).map(|_| place(rng)).collect();
    plan(rng, places)
}

/// An ordinary world with devices in these places, everybody with everybody.
pub(super) fn plan(rng: &mut Rng, places: Vec<Place>) -> Plan {
    let devices = places.len();
    let pairs = (0..devices).flat_map(|a| (a + 1..devices).map(move |b| (a, b))).collect();
    Plan {
        levels: vec![TrustLevel::Trusted; devices],
        places,
        pairs,
        both_dial: rng.chance(30),
        relays: 1,
        turn: false,
        relayed_paths: true,
        accepts: 70,
        calm: false,
        lan: profile(rng, 1..5),
        direct: profile(rng, 5..80),
        relayed: profile(rng, 20..150),
        traffic: traffic(rng, 700),
        actions: Vec::new(),
        heal: rng.seconds(50..70),
        moves: u32::MAX,
        idle: Duration::ZERO,
        fault: Fault::None,
    }
}

/// A path with a delay from this range of milliseconds.
pub(super) fn profile(rng: &mut Rng, delay: Range<u64>) -> Profile {
    let delay = rng.millis(delay);
    let jitter = Duration::from_micros(rng.within(0..delay.as_micros() as u64 + 1));
    Profile { delay, jitter, loss: rng.within(0..3), rate: rng.within(100_000..5_000_000) }
}

/// Apps that do something about every `pace` milliseconds.
pub(super) fn traffic(rng: &mut Rng, pace: u64) -> Traffic {
    Traffic {
        pace: rng.millis(pace / 2..pace * 2),
        stream: rng.within(1..300_000),
        large: rng.within(0..20),
        slow_reader: rng.chance(10),
    }
}

/// Times while the apps talk.
pub(super) fn spread(rng: &mut Rng, plan: &Plan, count: usize) -> Vec<Duration> {
    let end = plan.heal.as_millis() as u64;
    (0..count).map(|_| rng.millis(500..end)).collect()
}

/// Times at which something is broken for some seconds.
pub(super) fn windows(
    rng: &mut Rng,
    plan: &mut Plan,
    count: usize,
    seconds: Range<u64>,
    begin: Action,
    end: Action,
) {
    for at in spread(rng, plan, count) {
        plan.actions.push((at, begin));
        plan.actions.push((at + rng.seconds(seconds.clone()), end));
    }
}
