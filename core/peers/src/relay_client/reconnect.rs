//! Waits between attempts to reach the relay: exponential, with full jitter, so that a crowd spreads out.

use std::time::Duration;

use peers_proto::dial::full_jitter;
use peers_proto::timing::{RECONNECT_MAX, RECONNECT_MIN};

/// Failures in a row to reach the relay.
#[derive(Debug, Clone, Default)]
pub(super) struct Reconnect {
    failures: u32,
}

impl Reconnect {
    /// Counts a failure. Returns the wait before the next attempt, between [`RECONNECT_MIN`] and [`RECONNECT_MAX`].
    /// `random` is a fresh random number.
    pub(super) fn failed(&mut self, random: u32) -> Duration {
        self.failures = self.failures.saturating_add(1);
        full_jitter(RECONNECT_MIN, RECONNECT_MAX, self.failures, random)
    }

    /// Forgets the failures: an attempt worked, or their reason is gone.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves S022
    #[test]
    fn waits_double_up_to_the_limit_and_spread_over_the_whole_range() {
        let [mut lowest, mut middle, mut highest] = [(); 3].map(|()| Reconnect::default());
        for failures in 1..200_u32 {
            let ceiling = (RECONNECT_MIN * 2_u32.pow(failures.min(20))).min(RECONNECT_MAX);
            assert_eq!(lowest.failed(0), RECONNECT_MIN);
            assert_eq!(highest.failed(u32::MAX), ceiling);
            let between = middle.failed(u32::MAX / 2);
            assert!(between > RECONNECT_MIN && between < ceiling, "{between:?}");
        }
    }

    #[test]
    fn success_starts_over() {
        let mut reconnect = Reconnect::default();
        let first = reconnect.failed(u32::MAX);
        assert!(reconnect.failed(u32::MAX) > first);
        reconnect.reset();
        assert_eq!(reconnect.failed(u32::MAX), first);
    }
}
