//! One number from 0 to 100 and three levels, for people and for the choice of another path.

use std::time::Duration;

use super::metrics::Metrics;

/// A level is left only when the score is this far beyond its edge: what swings around the edge stays where it is.
const HYSTERESIS: u8 = 5;
/// A path that scores this much more than an equal one replaces it.
const MARGIN: u8 = 20;
/// Scores from here on are good.
const GOOD: u8 = 70;
/// Scores below this are bad: something else should be tried.
const BAD: u8 = 30;

/// Quality of a path in three levels, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Hardly usable (S092).
    Bad,
    /// Noticeably slow.
    Fair,
    /// Nothing to notice.
    Good,
}

/// The quality of one path (S160).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quality {
    score: u8,
    level: Level,
}

impl Quality {
    /// The quality before anything was measured.
    pub const UNMEASURED: Self = Self { score: 50, level: Level::Fair };

    /// 0 is useless, 100 perfect.
    pub fn score(self) -> u8 {
        self.score
    }

    /// The level the score is in, with hysteresis.
    pub fn level(self) -> Level {
        self.level
    }

    /// Whether it is worth changing paths for: by more than what measuring again would show.
    pub fn clearly_beats(self, other: Self) -> bool {
        self.score >= other.score.saturating_add(MARGIN)
    }

    /// Takes new measurements; returns the level if it has changed.
    pub fn update(&mut self, metrics: &Metrics) -> Option<Level> {
        self.score = score(metrics)?;
        let up = |edge: u8| self.score >= edge + HYSTERESIS;
        let down = |edge: u8| self.score + HYSTERESIS < edge;
        let level = match self.level {
            Level::Good if down(BAD) => Level::Bad,
            Level::Good if down(GOOD) => Level::Fair,
            Level::Fair if up(GOOD) => Level::Good,
            Level::Fair if down(BAD) => Level::Bad,
            Level::Bad if up(GOOD) => Level::Good,
            Level::Bad if up(BAD) => Level::Fair,
            same => same,
        };
        let changed = level != self.level;
        self.level = level;
        changed.then_some(level)
    }
}

/// Each flaw takes its share: a second of round trip 50 points, half a second of jitter 25, every lost ping of ten 10.
fn score(metrics: &Metrics) -> Option<u8> {
    if metrics.rtt().is_none() && metrics.loss() == 0 {
        return None;
    }
    let share = |value: Duration, full: Duration, points: u128| {
        (value.as_millis() * points / full.as_millis()).min(points) as u8
    };
    let slow = share(metrics.rtt().unwrap_or_default(), Duration::from_secs(1), 50);
    let uneven = share(metrics.jitter(), Duration::from_millis(500), 25);
    Some(100_u8.saturating_sub(slow).saturating_sub(uneven).saturating_sub(metrics.loss()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::Instant;

    fn measured(rtt: u64, missed: usize) -> Metrics {
        let mut m = Metrics::new(Instant::ZERO);
        m.answered(Duration::from_millis(rtt));
        (0..missed).for_each(|_| m.missed());
        m
    }

    #[test]
    fn every_flaw_costs_and_what_is_not_measured_is_not_judged() {
        let mut quality = Quality::UNMEASURED;
        assert_eq!(quality.update(&Metrics::new(Instant::ZERO)), None);
        assert_eq!(quality, Quality::UNMEASURED);
        assert_eq!(quality.update(&measured(20, 0)), Some(Level::Good));
        assert_eq!(quality.score(), 99);
        assert_eq!(quality.update(&measured(1000, 0)), Some(Level::Fair));
        assert_eq!(quality.score(), 50);
        assert_eq!(quality.update(&measured(1000, 4)), Some(Level::Bad));
        assert_eq!(quality.update(&measured(20, 0)), Some(Level::Good));
    }

    #[test]
    fn what_swings_around_an_edge_changes_the_level_once() {
        let mut quality = Quality::UNMEASURED;
        quality.update(&measured(20, 0));
        let swings = [620, 580, 640, 560, 690, 590];
        assert!(swings.iter().all(|rtt| quality.update(&measured(*rtt, 0)).is_none()));
        assert_eq!(quality.update(&measured(800, 0)), Some(Level::Fair));
        assert!(swings.iter().all(|rtt| quality.update(&measured(*rtt, 0)).is_none()));
    }

    proptest! {
        #[test]
        fn worse_never_scores_higher(rtt in 0..5000_u64, more in 0..5000_u64, missed in 0..9_usize) {
            let score = |rtt, missed| score(&measured(rtt, missed)).unwrap();
            prop_assert!(score(rtt + more, missed) <= score(rtt, missed));
            prop_assert!(score(rtt, missed + 1) <= score(rtt, missed));
            prop_assert!(score(rtt, missed) <= 100);
        }
    }
}
