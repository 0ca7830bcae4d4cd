//! Places for what others begin: each kind of caller has its own, so that strangers cannot take those of known devices.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peers_proto::engine::Arrivals;
use peers_proto::id::DeviceId;
#[cfg(test)]
use peers_proto::limits::ARRIVAL_BURST;
use peers_proto::limits::{MAX_DECISIONS, MAX_HANDSHAKES, MAX_STRANGER_HANDSHAKES};
use peers_proto::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bounds what callers cost before and after they have proven an identity.
pub(crate) struct Admissions {
    known: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    /// Devices that wait for a decision of the app: at most [`MAX_DECISIONS`].
    asking: Arc<Mutex<BTreeSet<DeviceId>>>,
    arrivals: Mutex<Arrivals>,
}

impl Default for Admissions {
    fn default() -> Self {
        Self {
            known: Arc::new(Semaphore::new(MAX_HANDSHAKES)),
            strangers: Arc::new(Semaphore::new(MAX_STRANGER_HANDSHAKES)),
            asking: Arc::default(),
            arrivals: Mutex::default(),
        }
    }
}

impl Admissions {
    /// Waits for a place of a handshake. `known`: the carrier names a device that is let in without a question. A carrier
    /// that lies about it gains a place and no more.
    pub(crate) async fn place(&self, known: bool) -> Option<OwnedSemaphorePermit> {
        let places = if known { &self.known } else { &self.strangers };
        places.clone().acquire_owned().await.ok()
    }

    /// A place for a question to the app about this device; `None` if one is asked already, or too many are.
    pub(crate) fn question(&self, device: DeviceId) -> Option<Question> {
        let mut asking = lock(&self.asking);
        let room = asking.len() < MAX_DECISIONS;
        (room && asking.insert(device)).then(|| Question { device, asking: self.asking.clone() })
    }

    /// Counts a handshake that this device has passed. Returns the time before which it is not answered: a device that
    /// connects again and again waits longer and longer and costs no more.
    pub(crate) fn handle_arrival(&self, device: DeviceId, now: Instant) -> Option<Instant> {
        lock(&self.arrivals).take(device, now)
    }
}

/// A question to the app, while it waits for the answer.
pub(crate) struct Question {
    device: DeviceId,
    asking: Arc<Mutex<BTreeSet<DeviceId>>>,
}

impl Drop for Question {
    fn drop(&mut self) {
        lock(&self.asking).remove(&self.device);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(n: usize) -> DeviceId {
        DeviceId::derive(&n.to_be_bytes())
    }

    #[tokio::test]
    async fn strangers_leave_the_places_of_known_devices_alone() {
        let admissions = Admissions::default();
        let mut taken = Vec::new();
        for _ in 0..MAX_STRANGER_HANDSHAKES {
            taken.push(admissions.place(false).await.unwrap());
        }
        assert_eq!(admissions.strangers.available_permits(), 0);
        assert!(admissions.place(true).await.is_some());
    }

    #[test]
    fn questions_are_bounded_and_one_per_device() {
        let admissions = Admissions::default();
        let first = admissions.question(device(0)).unwrap();
        assert!(admissions.question(device(0)).is_none());
        let others: Vec<_> = (1..MAX_DECISIONS).map(|n| admissions.question(device(n)).unwrap()).collect();
        assert!(admissions.question(device(MAX_DECISIONS)).is_none());
        drop(first);
        assert!(admissions.question(device(MAX_DECISIONS)).is_some());
        drop(others);
    }

    #[test]
    fn a_device_that_arrives_again_and_again_waits() {
        let (admissions, now) = (Admissions::default(), Instant::from_micros(1_000_000));
        let delays = (0..2 * ARRIVAL_BURST).map(|_| admissions.handle_arrival(device(0), now));
        let waits = delays.flatten().count() as u64;
        assert_eq!(waits, ARRIVAL_BURST, "those beyond the burst");
        assert_eq!(admissions.handle_arrival(device(1), now), None, "another device");
    }
}
