//! Injected time. Nothing in this crate reads a clock.
//!
//! [`Instant`] counts suspended time too (CLOCK_BOOTTIME, `mach_continuous_time`): `std::time::Instant` stops while
//! a phone sleeps, and every liveness rule would be wrong after it wakes.

use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use crate::timing::BEAT;

/// A point on a monotonic clock that keeps counting while the device sleeps. Microseconds since an arbitrary origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The origin of the clock.
    pub const ZERO: Self = Self(0);

    /// The instant `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The first multiple of [`BEAT`] that is not before this instant.
    #[must_use]
    pub fn next_beat(self) -> Self {
        self.next_multiple_of(BEAT)
    }

    /// The first multiple of `step`, which is not zero, that is not before this instant.
    #[must_use]
    pub fn next_multiple_of(self, step: Duration) -> Self {
        let step = step.as_micros().max(1) as u64;
        Self(self.0.div_ceil(step).saturating_mul(step))
    }

    /// Time since `earlier`; zero if `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, d: Duration) {
        *self = *self + d;
    }
}

impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.saturating_since(earlier)
    }
}

/// Wall-clock seconds since the Unix epoch. Used only for what is written into certificates and shown to people:
/// no protocol decision may depend on two devices agreeing about it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub struct UnixTime(pub u64);

/// The earlier of two optional deadlines.
pub fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
