//! The clock of everything above `peers-proto`: it counts the time a phone sleeps.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use peers_proto::time::{Instant, UnixTime};
use peers_proto::timing::BEAT;
use tokio::sync::watch;

/// A source of [`Instant`]s and of waits for them. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Nothing for the system's clock; a test's time otherwise, in microseconds.
    manual: Option<AtomicU64>,
    /// Changes when waits have to look at the time again.
    jumps: watch::Sender<u64>,
}

impl Clock {
    /// The device's own clock: CLOCK_BOOTTIME on Linux and Android, the continuous clock on Apple's systems. There is one:
    /// when the device wakes, every wait of the process looks at it again.
    pub fn system() -> Self {
        SYSTEM.clone()
    }

    /// A clock that stands still until [`Self::advance`].
    pub fn manual() -> Self {
        // An hour after the origin, so that whoever mixes it with another clock fails loudly.
        Self::new(Some(AtomicU64::new(3_600_000_000)))
    }

    fn new(manual: Option<AtomicU64>) -> Self {
        Self(Arc::new(Inner { manual, jumps: watch::Sender::new(0) }))
    }

    /// The present.
    pub fn now(&self) -> Instant {
        match &self.0.manual {
            None => system_now(),
            Some(micros) => Instant::from_micros(micros.load(Ordering::Acquire)),
        }
    }

    /// Wall-clock time, for what is written into certificates and shown to people.
    pub fn unix_now(&self) -> UnixTime {
        wall_clock()
    }

    /// Moves a manual clock and wakes who waits for the new present. The system's clock is not impressed.
    pub fn advance(&self, by: Duration) {
        if let Some(micros) = &self.0.manual {
            micros.fetch_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX), Ordering::AcqRel);
        }
        self.resumed();
    }

    /// To be called when the device wakes: timers of the operating system do not count its sleep, so every wait
    /// looks at this clock again.
    pub fn resumed(&self) {
        self.0.jumps.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Waits until `deadline`.
    pub async fn sleep_until(&self, deadline: Instant) {
        let mut jumps = self.0.jumps.subscribe();
        loop {
            // Marked as seen before the time is read: a jump in between is noticed below.
            jumps.mark_unchanged();
            let left = deadline.saturating_since(self.now());
            if left.is_zero() {
                return;
            }
            let timer = async {
                match self.0.manual {
                    None => operating_system_sleep(left).await,
                    Some(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                () = timer => {}
                _ = jumps.changed() => {}
            }
        }
    }

    /// Waits until `deadline`; without one, for ever.
    pub async fn sleep_until_any(&self, deadline: Option<Instant>) {
        match deadline {
            Some(deadline) => self.sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }

    /// Waits for `duration`.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now() + duration).await;
    }

    /// `future`, unless `duration` passes before it is done.
    pub async fn timeout<F: Future>(&self, duration: Duration, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            done = future => Some(done),
            () = self.sleep(duration) => None,
        }
    }
}

static SYSTEM: LazyLock<Clock> = LazyLock::new(|| Clock::new(None));

/// The present of the system's clock.
pub(crate) fn system_now() -> Instant {
    Instant::from_micros(system_micros() + *PHASE)
}

/// Stands still while the device sleeps, which is why nothing else may wait with it.
#[cfg_attr(not(test), expect(clippy::disallowed_methods, reason = "waits are made of it"))]
async fn operating_system_sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

fn wall_clock() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixTime(since.map_or(0, |d| d.as_secs()))
}

/// Microseconds between the clock and the system's: whole seconds, so that beats ([`BEAT`]) come when the wall clock, to the
/// second, shows a multiple of them. Devices then wake each other when they wake anyway; what is left of a second
/// keeps them from doing so all in the same moment.
static PHASE: LazyLock<u64> = LazyLock::new(|| phase(system_micros(), wall_clock()));

fn phase(micros: u64, wall: UnixTime) -> u64 {
    let beat = BEAT.as_secs();
    (wall.0 % beat + beat - micros / 1_000_000 % beat) % beat * 1_000_000
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;
/// On Apple's systems this one is `mach_continuous_time`.
#[cfg(target_vendor = "apple")]
const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC_RAW;

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn system_micros() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid timespec that the call may write to; the clock exists on every supported system, and
    // where it did not, `now` would stay as it is.
    unsafe { libc::clock_gettime(CLOCK, &mut now) };
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn system_micros() -> u64 {
    #[cfg_attr(not(test), expect(clippy::disallowed_methods, reason = "there is no clock that counts sleep"))]
    static ORIGIN: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);
    u64::try_from(ORIGIN.elapsed().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves S179: the peers' keep-alives wake no phone between its own.
    #[test]
    fn beats_come_when_the_wall_clock_shows_them() {
        for up in [0, 1, 29_999_999, 30_000_000, 123_456_789] {
            for wall in [0, 29, 30, 1_795_669_999] {
                let now = Instant::from_micros(up + phase(up, UnixTime(wall)));
                let to_beat = BEAT.as_secs() - wall % BEAT.as_secs();
                let beat = (now + Duration::from_micros(1)).next_beat();
                let wait = beat - now;
                assert!(wait <= Duration::from_secs(to_beat), "{wait:?} {to_beat}");
                assert!(wait > Duration::from_secs(to_beat - 1), "{wait:?} {to_beat}");
            }
        }
        let (now, wall) = (Clock::system().now(), Clock::system().unix_now());
        let apart = (now.as_micros() / 1_000_000 + 60 - wall.0 % 30) % 30;
        assert!(apart <= 1 || apart == 29, "{apart} s");
    }

    #[tokio::test]
    async fn waits_end_when_their_time_comes_and_not_before() {
        let clock = Clock::manual();
        let wait = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(3600)).await }
        });
        tokio::task::yield_now().await; // it waits now
        clock.advance(Duration::from_secs(3599));
        tokio::task::yield_now().await;
        assert!(!wait.is_finished());
        clock.advance(Duration::from_secs(2));
        wait.await.unwrap();
    }

    // Otherwise what a transport waits for would last longer by the time that the phone slept.
    #[tokio::test]
    async fn a_device_that_wakes_wakes_the_waits_of_every_part_of_it() {
        let (told, mut seen) = (Clock::system(), Clock::system().0.jumps.subscribe());
        seen.mark_unchanged();
        told.resumed();
        assert!(seen.has_changed().unwrap());
    }

    #[tokio::test]
    async fn the_system_clock_moves_and_its_waits_end() {
        let clock = Clock::system();
        let before = clock.now();
        clock.sleep(Duration::from_millis(5)).await;
        assert!(clock.now() - before >= Duration::from_millis(5));
        assert!(clock.timeout(Duration::from_millis(5), std::future::pending::<()>()).await.is_none());
        assert_eq!(clock.timeout(Duration::ZERO, async { 7 }).await, Some(7));
    }
}
