//! Refusals in the log: each kind is seen by the operator, however often strangers cause it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use peers_proto::id::DeviceId;
use peers_proto::signaling::RegistrationError;
use peers_proto::time::Instant;

use crate::broker::Refused;

/// Between two lines of one kind.
const EVERY: Duration = Duration::from_secs(60);

/// A refusal, with what the operator needs to change it.
#[derive(Debug)]
pub(super) enum Refusal<'a> {
    Socket(&'a Refused),
    Registration(&'a RegistrationError),
    NotAdmitted(DeviceId),
}

/// Writes the first refusal of each kind, and at most one a minute after that.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<[RefusalCount; KINDS]>);

const KINDS: usize = 7;

#[derive(Debug, Default, Clone, Copy)]
struct RefusalCount {
    /// The time of the next line.
    next: Instant,
    /// Refusals since the last line that have none.
    unlogged: u64,
}

impl Refusals {
    pub(super) fn handle(&self, refusal: &Refusal<'_>, now: Instant) {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = &mut kinds[refusal.kind()];
        if now < kind.next {
            kind.unlogged += 1;
            return;
        }
        let unlogged = std::mem::take(&mut kind.unlogged);
        kind.next = now + EVERY;
        drop(kinds);
        refusal.log(unlogged);
    }
}

impl Refusal<'_> {
    fn kind(&self) -> usize {
        match self {
            Self::Socket(Refused::Full) => 0,
            Self::Socket(Refused::Address) => 1,
            Self::Socket(Refused::Registrations) => 2,
            Self::Socket(Refused::ShuttingDown | Refused::Closing) => 3,
            Self::Registration(RegistrationError::WrongName { .. }) => 4,
            Self::Registration(_) => 5,
            Self::NotAdmitted(_) => 6,
        }
    }

    fn log(&self, unlogged: u64) {
        match self {
            // Nothing to change: the relay ends, or the device has broken a rule before.
            Self::Socket(reason @ (Refused::ShuttingDown | Refused::Closing)) => {
                tracing::debug!(%reason, unlogged, "socket refused");
            }
            Self::Socket(reason) => tracing::warn!(%reason, unlogged, "socket refused"),
            Self::Registration(RegistrationError::WrongName { dialed, names }) => {
                tracing::warn!(
                    dialed,
                    names,
                    unlogged,
                    "registration refused: `names` lacks what the device dialed"
                );
            }
            Self::Registration(reason) => tracing::warn!(%reason, unlogged, "registration refused"),
            Self::NotAdmitted(device) => {
                tracing::warn!(%device, unlogged, "registration refused: `access` does not admit the device");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_logged_at_once_and_then_once_a_minute_with_the_count_of_the_others() {
        let refusals = Refusals::default();
        let unlogged = |n: usize| refusals.0.lock().unwrap()[n].unlogged;
        let (mut now, full) = (Instant::ZERO, Refusal::Socket(&Refused::Full));
        for _ in 0..10 {
            refusals.handle(&full, now);
            now += Duration::from_secs(1);
        }
        refusals.handle(&Refusal::NotAdmitted(DeviceId::derive(b"a")), now);
        assert_eq!((unlogged(full.kind()), unlogged(6)), (9, 0));
        refusals.handle(&full, Instant::ZERO + EVERY);
        assert_eq!(unlogged(full.kind()), 0);
    }
}
