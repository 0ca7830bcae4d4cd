//! Levels of trust in a device, and the capabilities of each.

mod capability;
mod pins;

use std::time::Duration;

use crate::timing::NEW_DEVICE_AGE;

pub use capability::{Capability, allows};
pub use pins::{KeyChanged, KnownKeys, PinOutcome, PinnedKey, Pins};

/// The ladder, lowest first. Gaps between the numbers leave room for levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i8)]
pub enum TrustLevel {
    /// Known to do harm. Nothing outweighs this verdict.
    Malicious = -20,
    /// Explicitly not trusted.
    Untrusted = -10,
    /// Never seen.
    Unknown = 0,
    /// Of a user met for the first time.
    NewUser = 10,
    /// A new device of a known user.
    NewDevice = 20,
    /// Known for a while.
    Known = 30,
    /// Trusted by decision of this user.
    Trusted = 50,
    /// Another device of this user.
    Own = 100,
}

impl TrustLevel {
    /// The number of the level.
    pub const fn value(self) -> i8 {
        self as i8
    }

    /// For the coming people: the level after the device has been known for `age`. A new device becomes a known one after seven
    /// days. Time does nothing else: it neither redeems a device nor makes one trusted.
    #[must_use]
    pub fn aged(self, age: Duration) -> Self {
        if self == Self::NewDevice && age >= NEW_DEVICE_AGE { Self::Known } else { self }
    }

    /// For the coming people: the level of a device on which the app, its user and the record judge. The highest level counts,
    /// unless one of them is [`Self::Malicious`]. Groups are no judgement: membership never raises a level.
    #[must_use]
    pub fn combine(judgements: impl IntoIterator<Item = Self>) -> Self {
        judgements.into_iter().fold(Self::Unknown, |level, next| match (level, next) {
            (Self::Malicious, _) | (_, Self::Malicious) => Self::Malicious,
            (Self::Unknown, other) | (other, Self::Unknown) => other,
            (a, b) => a.max(b),
        })
    }
}

#[cfg(test)]
mod tests;
