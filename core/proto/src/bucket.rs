//! A token bucket that returns the time to go on at instead of refusing.

use std::time::Duration;

use crate::time::Instant;

/// Lets `rate` units a second pass, and `burst` at once after a rest (GCRA, ITU-T I.371 annex A).
#[derive(Debug, Clone)]
pub struct Bucket {
    rate: u64,
    burst: Duration,
    /// The moment at which everything taken so far would have passed at exactly `rate`, since the clock's origin.
    paid: Duration,
}

impl Bucket {
    /// A full bucket. A rate of zero counts as one.
    pub fn new(rate: u64, burst: u64) -> Self {
        let rate = rate.max(1);
        Self { rate, burst: at_rate(burst, rate), paid: Duration::ZERO }
    }

    /// Takes `cost` units, even if they are not there yet. Returns when the next may be taken, if not now.
    pub fn take(&mut self, cost: u64, now: Instant) -> Option<Instant> {
        let now = Duration::from_micros(now.as_micros());
        self.paid = self.paid.max(now) + at_rate(cost, self.rate);
        let ready = self.paid.saturating_sub(self.burst);
        // Rounded up to the clock's resolution, or the caller would wait for nothing and come back too early.
        (ready > now)
            .then(|| Instant::from_micros(u64::try_from(ready.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX)))
    }

    /// Takes `cost` units if they are there. False costs nothing.
    #[must_use]
    pub fn try_take(&mut self, cost: u64, now: Instant) -> bool {
        let there = self.debt(now) + at_rate(cost, self.rate) <= self.burst;
        if there {
            self.take(cost, now);
        }
        there
    }

    /// Time until it is full.
    pub fn debt(&self, now: Instant) -> Duration {
        self.paid.saturating_sub(Duration::from_micros(now.as_micros()))
    }
}

fn at_rate(units: u64, rate: u64) -> Duration {
    let nanos = u128::from(units) * 1_000_000_000 / u128::from(rate);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let start = Instant::ZERO + Duration::from_secs(3600);
        let mut bucket = Bucket::new(10, 5);
        for _ in 0..5 {
            assert_eq!(bucket.take(1, start), None);
        }
        let mut now = start;
        for _ in 0..20 {
            now = bucket.take(1, now).unwrap();
        }
        assert_eq!(now - start, Duration::from_secs(2), "20 units beyond the burst at 10 a second");
    }

    #[test]
    fn a_refused_try_costs_nothing() {
        let mut bucket = Bucket::new(1, 10);
        assert!(bucket.try_take(5, Instant::ZERO) && bucket.try_take(5, Instant::ZERO));
        assert!(!bucket.try_take(5, Instant::ZERO));
        let later = Instant::ZERO + Duration::from_secs(5);
        assert!(bucket.try_take(5, later) && !bucket.try_take(1, later));
        assert_eq!(bucket.debt(later), Duration::from_secs(10));
    }

    #[test]
    fn rest_refills_no_more_than_the_burst() {
        let mut bucket = Bucket::new(10, 5);
        assert!(bucket.take(50, Instant::ZERO).is_some());
        let later = Instant::ZERO + Duration::from_secs(1_000_000);
        assert_eq!(bucket.take(5, later), None);
        assert!(bucket.take(1, later).is_some());
    }
}
