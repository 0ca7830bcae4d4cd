//! Randomness of a seed.

use std::time::Duration;

use peers_proto::random::SplitMix;

pub(crate) struct Random(SplitMix);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SplitMix::new(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.next()
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn percent(&mut self, p: u64) -> bool {
        self.below(100) < p
    }

    /// Mostly short, sometimes as long as it gets: that is what makes messages overtake each other.
    pub(crate) fn delay(&mut self, max: Duration) -> Duration {
        let max = if self.percent(50) { max / 20 } else { max };
        Duration::from_micros(self.below(max.as_micros() as u64 + 1))
    }
}
