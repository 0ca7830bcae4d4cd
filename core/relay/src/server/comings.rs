//! Devices that come and go in the log, however many they are.

use std::sync::{Mutex, PoisonError};

use peers_proto::bucket::Bucket;
use peers_proto::id::DeviceId;
use peers_proto::time::Instant;

/// Lines a second, so that devices that come and go without end do not fill a disk.
const RATE: u64 = 10;
/// Lines at once: a relay that starts anew gets its devices back within a moment.
const BURST: u64 = 200;

/// A change at the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coming {
    Registered,
    Left,
    /// The device has registered at another socket, and has left this one.
    Superseded,
}

/// Writes a line for each change, as far as the rate allows.
#[derive(Debug)]
pub(super) struct ComingsLog(Mutex<Lines>);

#[derive(Debug)]
struct Lines {
    bucket: Bucket,
    /// Changes since the last line that have none.
    unlogged: u64,
}

impl Default for ComingsLog {
    fn default() -> Self {
        Self(Mutex::new(Lines { bucket: Bucket::new(RATE, BURST), unlogged: 0 }))
    }
}

impl ComingsLog {
    pub(super) fn handle(&self, device: DeviceId, coming: Coming, now: Instant) {
        let Some(unlogged) = self.take(now) else { return };
        match coming {
            Coming::Registered => tracing::info!(%device, unlogged, "device registered"),
            Coming::Left => tracing::info!(%device, unlogged, "device left"),
            Coming::Superseded => tracing::info!(%device, unlogged, "registration superseded"),
        }
    }

    /// The changes without a line so far, if there may be a line now.
    fn take(&self, now: Instant) -> Option<u64> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.bucket.try_take(1, now) {
            return Some(std::mem::take(&mut lines.unlogged));
        }
        lines.unlogged += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_crowd_has_a_burst_of_lines_and_the_next_one_counts_the_others() {
        let (log, now) = (ComingsLog::default(), Instant::ZERO + Duration::from_secs(60));
        let lines = (0..2 * BURST).filter(|_| log.take(now).is_some()).count();
        assert_eq!(lines as u64, BURST);
        assert_eq!(log.take(now + Duration::from_secs(1)), Some(BURST));
    }
}
