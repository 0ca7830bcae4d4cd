//! How long to wait before dialing again.

use std::time::Duration;

use super::Purpose;
use crate::network::AppState;
use crate::time::Instant;
use crate::timing::{RECONNECT_MAX, RECONNECT_MIN, REDIAL_UNSEEN, UPGRADE_MAX, UPGRADE_MIN};

/// Failures in a row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// When to dial next. Sessions that have to live with a detour try for better ones at the same time, so that thirty of
    /// them wake a phone as often as one.
    pub(super) fn failed(&mut self, purpose: Purpose, app: AppState, random: u32, now: Instant) -> Instant {
        self.failures = self.failures.saturating_add(1);
        let (min, max) = match (purpose, app) {
            (Purpose::Better, _) => (UPGRADE_MIN, UPGRADE_MAX),
            (Purpose::Path, AppState::Foreground) => (RECONNECT_MIN, RECONNECT_MAX),
            (Purpose::Path, _) => (RECONNECT_MIN, REDIAL_UNSEEN),
        };
        let at = now + full_jitter(min, max, self.failures, random);
        if purpose == Purpose::Better && self.failures > SOON { at.next_beat() } else { at }
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
