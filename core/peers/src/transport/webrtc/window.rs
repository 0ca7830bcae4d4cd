//! The window of a data channel: bytes that may be under way at once.
//!
//! Bytes that the stack has taken and the peer has not acknowledged are on the path or wait in front of it. Too little leaves a
//! long path idle; too much makes every call wait behind a transfer. So the window follows the path. It is the bytes of a round
//! trip, a quarter more to find out whether the path carries more, and a fixed part that keeps both ends busy. It learns this
//! as BBR does (draft-ietf-ccwg-bbr), from the best recent delivery and the shortest round trip. It pauses for a moment when
//! the latter is too old to be trusted.

use std::time::Duration;

use peers_proto::limits;
use peers_proto::time::Instant;

#[derive(Debug)]
pub(super) struct Window {
    sent: u64,
    acknowledged: u64,
    bytes: usize,
    round: Option<Round>,
    /// The shortest round trip, and when it was measured.
    shortest: Option<(Duration, Instant)>,
    /// Bytes delivered in the shortest round trip: the best of the last rounds, fading.
    delivery: f64,
    /// Nothing is sent until all is acknowledged: what is sent then meets no queue of ours.
    draining: bool,
}

/// From the sending of some byte until it is acknowledged.
#[derive(Debug)]
struct Round {
    began: Instant,
    /// Ends when this many bytes are acknowledged.
    until: u64,
    acknowledged: u64,
    /// Nothing else was under way when it began.
    clean: bool,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            sent: 0,
            acknowledged: 0,
            bytes: limits::WEBRTC_MIN_WINDOW,
            round: None,
            shortest: None,
            delivery: 0.0,
            draining: false,
        }
    }

    /// True if a frame may be sent, with `outstanding` bytes not acknowledged yet.
    pub(super) fn admits(&mut self, now: Instant, outstanding: usize) -> bool {
        self.acknowledged = self.sent.saturating_sub(outstanding as u64);
        if self.round.as_ref().is_some_and(|round| self.acknowledged >= round.until) {
            self.end_round(now);
        }
        self.draining &= outstanding > 0;
        let admits = !self.draining && outstanding < self.bytes;
        self.draining |= !admits && self.is_stale(now);
        admits
    }

    /// A frame of `length` bytes was given to the stack.
    pub(super) fn sent(&mut self, now: Instant, length: usize) {
        let clean = self.acknowledged == self.sent;
        self.sent += length as u64;
        self.round.get_or_insert(Round {
            began: now,
            until: self.sent,
            acknowledged: self.acknowledged,
            clean,
        });
    }

    fn end_round(&mut self, now: Instant) {
        let Some(round) = self.round.take() else { return };
        let took = now.saturating_since(round.began);
        let replaced =
            (round.clean && self.is_stale(now)) || self.shortest.is_none_or(|(least, _)| took <= least);
        if replaced {
            self.shortest = Some((took, now));
        }
        let shortest = self.shortest.map_or(took, |(least, _)| least).max(Duration::from_micros(1));
        let round_trips = (took.as_secs_f64() / shortest.as_secs_f64()).max(1.0);
        let delivery = (self.acknowledged - round.acknowledged) as f64 / round_trips;
        self.delivery = delivery.max(self.delivery * FADING.powf(round_trips));
        self.bytes =
            (limits::WEBRTC_MIN_WINDOW + (GAIN * self.delivery) as usize).min(limits::WEBRTC_MAX_WINDOW);
    }

    fn is_stale(&self, now: Instant) -> bool {
        self.shortest.is_some_and(|(_, at)| now.saturating_since(at) > TRUSTED)
    }
}

/// Above one, so that the window finds a rate that rises. By little: bytes beyond the path's rate wait in its queues, and a
/// queue that overflows costs the stack a second.
const GAIN: f64 = 1.25;
/// The share of the best delivery that is left after each round trip.
const FADING: f64 = 0.9;
/// Time for which the shortest round trip counts.
const TRUSTED: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const FRAME: usize = 16 * 1024;
    const MB: f64 = 1e6;

    /// A path of a fixed rate behind a queue without limit, and a sender that always has something to send.
    struct Path {
        now: Instant,
        round_trip: Duration,
        bytes_per_second: f64,
        free: Instant,
        under_way: VecDeque<Instant>,
        window: Window,
    }

    impl Path {
        fn new(round_trip_ms: u64, bytes_per_second: f64) -> Self {
            let now = Instant::from_micros(3_600_000_000);
            Self {
                now,
                round_trip: Duration::from_millis(round_trip_ms),
                bytes_per_second,
                free: now,
                under_way: VecDeque::new(),
                window: Window::new(),
            }
        }

        /// Returns bytes delivered per second, and how long the last frame waited and travelled.
        fn run(&mut self, seconds: u64) -> (f64, Duration) {
            let (end, mut delivered) = (self.now + Duration::from_secs(seconds), 0);
            let mut took = Duration::ZERO;
            while self.now < end {
                while self.window.admits(self.now, self.under_way.len() * FRAME) {
                    let busy = Duration::from_secs_f64(FRAME as f64 / self.bytes_per_second);
                    self.free = self.free.max(self.now) + busy;
                    let arrival = self.free + self.round_trip;
                    took = arrival - self.now;
                    self.under_way.push_back(arrival);
                    self.window.sent(self.now, FRAME);
                }
                self.now = self.under_way.pop_front().unwrap();
                delivered += FRAME;
            }
            (delivered as f64 / seconds as f64, took)
        }
    }

    #[test]
    fn a_long_path_is_filled() {
        let mut path = Path::new(50, 60.0 * MB);
        path.run(2);
        let (rate, _) = path.run(60);
        assert!(rate > 57.0 * MB, "{rate}");
    }

    #[test]
    fn a_slow_path_gets_no_queue_that_grows() {
        let mut path = Path::new(50, MB);
        let (rate, _) = path.run(300);
        let (_, took) = path.run(1);
        assert!(rate > 0.95 * MB, "{rate}");
        let least = Duration::from_secs_f64(limits::WEBRTC_MIN_WINDOW as f64 / MB);
        assert!(took < least + Duration::from_millis(150), "{took:?}");
    }

    #[test]
    fn a_path_that_became_longer_is_filled_again() {
        let mut path = Path::new(2, 60.0 * MB);
        path.run(5);
        path.round_trip = Duration::from_millis(50);
        path.run(15);
        let (rate, _) = path.run(30);
        assert!(rate > 57.0 * MB, "{rate}");
    }

    #[test]
    fn a_rate_that_fell_shrinks_the_window() {
        let mut path = Path::new(50, 60.0 * MB);
        path.run(2);
        path.bytes_per_second = MB;
        path.run(30);
        let (_, took) = path.run(1);
        assert!(took < Duration::from_millis(500), "{took:?}");
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut path = Path::new(2000, 100.0 * MB);
        path.run(60);
        assert!(path.under_way.len() * FRAME < limits::WEBRTC_MAX_WINDOW + FRAME);
    }
}
