//! The wait before a device is dialed again.

use std::time::Duration;

use super::Purpose;
use crate::network::AppState;
use crate::time::Instant;
use crate::timing::{
    RECONNECT_MAX, RECONNECT_MIN, REDIAL_UNSEEN, UPGRADE_MAX, UPGRADE_MIN, UPGRADE_TOGETHER,
};

/// Failures in a row, of each purpose by itself: a path that is found at once may be a detour that nothing better replaces.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backoff {
    path: u32,
    better: u32,
}

impl Backoff {
    /// Forgets all failures: their reason is gone.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// A dial for this led to something, or its failures have another reason now.
    pub(super) fn forgive(&mut self, purpose: Purpose) {
        *self.failures(purpose) = 0;
    }

    pub(super) fn failed(&mut self, purpose: Purpose) {
        let failures = self.failures(purpose);
        *failures = failures.saturating_add(1);
    }

    fn failures(&mut self, purpose: Purpose) -> &mut u32 {
        match purpose {
            Purpose::Path => &mut self.path,
            Purpose::Better => &mut self.better,
        }
    }

    /// The time of the next dial. Sessions that have to live with a detour try for better ones at the same time, so that thirty of
    /// them wake a phone as often as one.
    pub(super) fn next(self, purpose: Purpose, app: AppState, random: u32, now: Instant) -> Instant {
        let wait = |min, max, failures| now + full_jitter(min, max, failures, random);
        match (purpose, app) {
            (Purpose::Better, _) => {
                let failures = self.better.saturating_add(1);
                if self.better < SOON {
                    wait(UPGRADE_MIN, UPGRADE_MAX, failures)
                } else {
                    let longest = UPGRADE_MAX.saturating_sub(UPGRADE_TOGETHER);
                    wait(UPGRADE_MIN, longest, failures).next_multiple_of(UPGRADE_TOGETHER)
                }
            }
            (Purpose::Path, AppState::Foreground) => wait(RECONNECT_MIN, RECONNECT_MAX, self.path),
            (Purpose::Path, _) => wait(RECONNECT_MIN, REDIAL_UNSEEN, self.path),
        }
    }
}

/// The first attempts at a better path do not wait for others.
const SOON: u32 = 2;

/// The wait after `failures`: anything between `min` and a ceiling that doubles with each failure up to `max`, so that a
/// crowd spreads out. `random` is a fresh random number.
pub fn full_jitter(min: Duration, max: Duration, failures: u32, random: u32) -> Duration {
    let ceiling = min.saturating_mul(2_u32.saturating_pow(failures.max(1))).min(max);
    let spread = ceiling.saturating_sub(min);
    min + spread.mul_f64(f64::from(random) / f64::from(u32::MAX))
}
