//! Running worlds: one to look at, or thousands.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::failure::Failure;
use crate::plan::Fault;
use crate::random::Rng;
use crate::scenarios::Scenario;
use crate::timeline::Timeline;
use crate::world::{Tally, World};

/// What became of one world.
#[derive(Debug)]
pub struct Report {
    /// The first invariant that did not hold.
    pub failure: Option<Failure>,
    /// Everything that happened.
    pub timeline: Vec<String>,
}

/// What became of many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Worlds.
    pub seeds: u64,
    /// Events in all of them.
    pub events: u64,
    /// Objects sent in sessions that were there at the end.
    pub sent: u64,
    /// Objects received in them.
    pub received: u64,
    /// Sessions that were rightly lost.
    pub losses: u64,
    /// Most wake-ups of a device in an hour in which it was left alone; zero if none was.
    pub wakes: u64,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, events, sent, received, losses, wakes } = self;
        write!(
            f,
            "{seeds} seeds, {events} events, {sent} objects sent, {received} received, {losses} sessions lost for a reason"
        )?;
        if *wakes > 0 { write!(f, ", at most {wakes} wake-ups an hour") } else { Ok(()) }
    }
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.events += other.events;
        self.sent += other.sent;
        self.received += other.received;
        self.losses += other.losses;
        self.wakes = self.wakes.max(other.wakes);
    }
}

/// Runs one world and writes everything down.
pub fn replay(scenario: &Scenario, seed: u64, fault: Fault) -> Report {
    let mut world = world(scenario, seed, fault, Timeline::recording());
    let failure = world.run().err();
    Report { failure, timeline: world.timeline.into_lines() }
}

/// Runs a scenario with each of `seeds`, on `threads` threads; ends with the lowest seed that was seen to fail.
pub fn sweep(
    scenario: &Scenario,
    seeds: std::ops::Range<u64>,
    fault: Fault,
    threads: usize,
) -> Result<Totals, (u64, Failure)> {
    let next = AtomicU64::new(seeds.start);
    let found: Mutex<(Totals, Option<(u64, Failure)>)> = Mutex::default();
    let work = || {
        let mut totals = Totals::default();
        let mut failed = None;
        while failed.is_none() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            match world(scenario, seed, fault, Timeline::default()).run() {
                Ok(tally) => totals += Totals::from(tally),
                Err(failure) => {
                    next.store(seeds.end, Ordering::Relaxed);
                    failed = Some((seed, failure));
                }
            }
        }
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        found.0 += totals;
        if let Some(failed) = failed
            && found.1.as_ref().is_none_or(|(seed, _)| failed.0 < *seed)
        {
            found.1 = Some(failed);
        }
    };
    std::thread::scope(|scope| (0..threads.max(1)).for_each(|_| drop(scope.spawn(work))));
    let (totals, failed) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.map_or(Ok(totals), Err)
}

fn world(scenario: &Scenario, seed: u64, fault: Fault, timeline: Timeline) -> World {
    let mut rng = Rng::new(seed);
    let mut plan = (scenario.plan)(&mut rng);
    plan.fault = fault;
    World::new(plan, rng, timeline)
}

impl From<Tally> for Totals {
    fn from(tally: Tally) -> Self {
        let Tally { events, sent, received, losses, wakes } = tally;
        Self { seeds: 1, events, sent, received, losses, wakes }
    }
}
