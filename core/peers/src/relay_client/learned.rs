//! Lessons about the network the client is on; another network is learned anew.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peers_proto::timing::PING_BEATS;

/// Behind a lock, since the task that registers and the keep-alive both learn.
#[derive(Default)]
pub(super) struct Learned(Mutex<Lesson>);

#[derive(Default)]
struct Lesson {
    /// Counts networks, see [`super::RelayShared::network`].
    network: u64,
    /// The address of the relay that last took a registration.
    address: Option<SocketAddr>,
    /// Index into [`PING_BEATS`].
    beat: usize,
    /// A connection broke after this silence. If the relay was there all along, something between closes idle connections.
    suspected: Option<Duration>,
}

impl Learned {
    /// Forgets everything if this is another network.
    pub(super) fn arrive(&self, network: u64) {
        let mut lesson = self.lock();
        if lesson.network != network {
            *lesson = Lesson { network, ..Lesson::default() };
        }
    }

    /// The address to try first.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.lock().address
    }

    /// The relay took a registration at the first try since the last one ended.
    pub(super) fn handle_registered(&self, address: SocketAddr) {
        let mut lesson = self.lock();
        lesson.address = Some(address);
        if let Some(silence) = lesson.suspected.take() {
            lesson.beat = next_beat(lesson.beat, silence);
            tracing::debug!(?silence, every = ?PING_BEATS[lesson.beat], "idle connection lost");
        }
    }

    /// A try to register failed: the relay, or the network, was away.
    pub(super) fn handle_failed(&self) {
        self.lock().suspected = None;
    }

    /// The connection broke, without a word, after this silence of the relay's. Silence that no ping would have ended is not
    /// the reason.
    pub(super) fn handle_broken(&self, silence: Duration) {
        self.lock().suspected = (silence >= PING_BEATS[PING_BEATS.len() - 1]).then_some(silence);
    }

    /// Pings go out at multiples of this.
    pub(super) fn ping_every(&self) -> Duration {
        PING_BEATS[self.lock().beat]
    }

    fn lock(&self) -> MutexGuard<'_, Lesson> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Silence after which a relay that is pinged at multiples of `every` gets the next ping, at the next of them.
/// As [`PING_IDLE`](peers_proto::timing::PING_IDLE) is to [`BEAT`](peers_proto::timing::BEAT).
pub(super) fn quiet(every: Duration) -> Duration {
    every * 2 / 3
}

/// The longest of the shorter beats whose silence stays a tenth below what was too long; the shortest if there is none.
fn next_beat(beat: usize, silence: Duration) -> usize {
    let last = PING_BEATS.len() - 1;
    let fits = |n: &usize| (quiet(PING_BEATS[*n]) + PING_BEATS[*n]) * 11 / 10 <= silence;
    (beat + 1..=last).find(fits).unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use peers_proto::timing::{BEAT, PING_IDLE};

    use super::*;

    const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn pings_come_before_the_silence_that_was_too_long_and_never_more_often_than_is_sane() {
        for (silence, every) in [(300, 15), (60, 15), (30, 15), (25, 10), (20, 10), (10, 10)] {
            let learned = Learned::default();
            assert_eq!(learned.ping_every(), BEAT);
            learned.handle_broken(secs(silence));
            assert_eq!(learned.ping_every(), BEAT, "not before the relay is known to be there");
            learned.handle_registered(ADDRESS);
            assert_eq!(learned.ping_every(), secs(every), "{silence}");
            for _ in 0..3 {
                learned.handle_broken(secs(silence));
                learned.handle_registered(ADDRESS);
            }
            assert_eq!(learned.ping_every(), secs(10), "it was not enough");
        }
    }

    #[test]
    fn a_relay_that_was_away_or_broke_in_the_middle_of_talk_teaches_nothing() {
        assert_eq!(quiet(BEAT), PING_IDLE);
        let learned = Learned::default();
        learned.handle_broken(secs(9));
        learned.handle_registered(ADDRESS);
        assert_eq!(learned.ping_every(), BEAT);
        learned.handle_broken(secs(30));
        learned.handle_failed();
        learned.handle_registered(ADDRESS);
        assert_eq!((learned.ping_every(), learned.address()), (BEAT, Some(ADDRESS)));
    }

    #[test]
    fn another_network_is_learned_anew() {
        let learned = Learned::default();
        learned.handle_broken(secs(30));
        learned.handle_registered(ADDRESS);
        learned.arrive(0);
        assert_eq!((learned.ping_every(), learned.address()), (secs(15), Some(ADDRESS)));
        learned.arrive(1);
        assert_eq!((learned.ping_every(), learned.address()), (BEAT, None));
    }
}
