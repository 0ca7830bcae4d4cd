//! How long to wait before trying again: exponential, with full jitter, so that a crowd spreads out.

use std::time::Duration;

use peers_proto::dial;
use peers_proto::timing::{RECONNECT_MAX, RECONNECT_MIN};

/// The wait after `failures`, between [`RECONNECT_MIN`] and [`RECONNECT_MAX`]. `random` is a fresh random number.
pub fn full_jitter(failures: u32, random: u32) -> Duration {
    dial::full_jitter(RECONNECT_MIN, RECONNECT_MAX, failures, random)
}

/// Counts failures in a row.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Something failed: how long to wait now.
    pub fn failed(&mut self, random: u32) -> Duration {
        self.failures = self.failures.saturating_add(1);
        full_jitter(self.failures, random)
    }

    /// Something worked, or the reason of the failures is gone.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves S022
    #[test]
    fn waits_double_up_to_the_limit_and_spread_over_the_whole_range() {
        for failures in 1..200 {
            let ceiling = (RECONNECT_MIN * 2_u32.pow(failures.min(20))).min(RECONNECT_MAX);
            assert_eq!(full_jitter(failures, 0), RECONNECT_MIN);
            assert_eq!(full_jitter(failures, u32::MAX), ceiling);
            let middle = full_jitter(failures, u32::MAX / 2);
            assert!(middle > RECONNECT_MIN && middle < ceiling, "{middle:?}");
        }
    }

    #[test]
    fn success_starts_over() {
        let mut backoff = Backoff::default();
        let first = backoff.failed(u32::MAX);
        assert!(backoff.failed(u32::MAX) > first);
        backoff.reset();
        assert_eq!(backoff.failed(u32::MAX), first);
    }
}
