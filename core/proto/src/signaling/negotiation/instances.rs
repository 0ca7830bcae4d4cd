//! The two ends of a negotiation by the instances they are now.

use super::super::recent::Recent;
use crate::bucket::Bucket;
use crate::id::ConnectionId;
use crate::limits;
use crate::time::Instant;

/// This device's instance, which nobody could name before it began, and the remote one as far as it is known. An offer that
/// names this instance was made for it, whatever clocks say; any other may be a replay.
#[derive(Debug)]
pub(super) struct Instances {
    own: u64,
    remote: Option<u64>,
    /// Offers that their sender was asked to make again.
    retried: Recent<ConnectionId, { limits::MAX_RETRIED_OFFERS }>,
    retries: Bucket,
}

impl Instances {
    pub(super) fn new(own: u64) -> Self {
        Self { own, remote: None, retried: Recent::default(), retries: Bucket::new(1, limits::RETRY_BURST) }
    }

    pub(super) fn own(&self) -> u64 {
        self.own
    }

    pub(super) fn remote(&self) -> Option<u64> {
        self.remote
    }

    /// The remote device is this instance: it says so in an answer to something of this instance.
    pub(super) fn learn(&mut self, remote: u64) {
        self.remote = Some(remote);
    }

    /// Whether the sender of an offer for another instance is asked to make it again: once per offer, and not more often
    /// than a device dials.
    pub(super) fn retry(&mut self, offer: ConnectionId, now: Instant) -> bool {
        let mut retries = self.retries.clone();
        let allowed = !self.retried.contains(&offer) && retries.take(1, now).is_none();
        if allowed {
            self.retries = retries;
            self.retried.insert(offer);
        }
        allowed
    }
}
