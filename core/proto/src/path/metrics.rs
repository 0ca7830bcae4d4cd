//! Measurements of one path.

use std::time::Duration;

use crate::time::Instant;

/// Pings that loss is counted over (D14).
const WINDOW: u32 = 10;
/// Weight of a new round trip is one in this many (D14).
const RTT_SHARE: u32 = 10;
/// Weight of a new difference between round trips is one in this many (RFC 3550 section 6.4.1).
const JITTER_SHARE: u32 = 16;
/// Throughput is counted over at least this long: shorter than a person notices, longer than a burst.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// Round trips, loss and bytes of one path (S087). Pings are its samples, bytes count in both directions.
#[derive(Debug, Clone)]
pub struct Metrics {
    last_rtt: Option<Duration>,
    rtt: Option<Duration>,
    jitter: Duration,
    /// The last [`WINDOW`] pings, newest in the lowest bit; a set bit was missed.
    missed: u32,
    sent: u64,
    received: u64,
    rate: u64,
    rate_since: Instant,
    rate_bytes: u64,
}

impl Metrics {
    /// A path that has just been established.
    pub fn new(now: Instant) -> Self {
        Self {
            last_rtt: None,
            rtt: None,
            jitter: Duration::ZERO,
            missed: 0,
            sent: 0,
            received: 0,
            rate: 0,
            rate_since: now,
            rate_bytes: 0,
        }
    }

    /// A ping was answered after `rtt`.
    pub fn answered(&mut self, rtt: Duration) {
        self.count(false);
        if let Some(last) = self.last_rtt.replace(rtt) {
            self.jitter = blend(self.jitter, last.abs_diff(rtt), JITTER_SHARE);
        }
        self.rtt = Some(self.rtt.map_or(rtt, |mean| blend(mean, rtt, RTT_SHARE)));
    }

    /// A ping was not answered in time.
    pub fn missed(&mut self) {
        self.count(true);
    }

    fn count(&mut self, missed: bool) {
        self.missed = (self.missed << 1 | u32::from(missed)) & ((1 << WINDOW) - 1);
    }

    /// Bytes left for the peer.
    pub fn sent(&mut self, bytes: usize, now: Instant) {
        self.sent += bytes as u64;
        self.moved(bytes, now);
    }

    /// Bytes came from the peer.
    pub fn received(&mut self, bytes: usize, now: Instant) {
        self.received += bytes as u64;
        self.moved(bytes, now);
    }

    fn moved(&mut self, bytes: usize, now: Instant) {
        self.rate_bytes += bytes as u64;
        let elapsed = now - self.rate_since;
        if elapsed >= RATE_WINDOW {
            self.rate = per_second(self.rate_bytes, elapsed);
            (self.rate_since, self.rate_bytes) = (now, 0);
        }
    }

    /// Moving average of the round trip; nothing before the first answer.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// The mean difference of a round trip from the one before.
    pub fn jitter(&self) -> Duration {
        self.jitter
    }

    /// Percent of the last ten pings that were missed.
    pub fn loss(&self) -> u8 {
        (self.missed.count_ones() * 100 / WINDOW) as u8
    }

    /// Bytes in all, to the peer and from it.
    pub fn bytes(&self) -> (u64, u64) {
        (self.sent, self.received)
    }

    /// Bytes per second in both directions, over the last second or since traffic paused.
    pub fn throughput(&self, now: Instant) -> u64 {
        let elapsed = now - self.rate_since;
        if elapsed < RATE_WINDOW { self.rate } else { per_second(self.rate_bytes, elapsed) }
    }
}

fn blend(mean: Duration, sample: Duration, share: u32) -> Duration {
    (mean * (share - 1) + sample) / share
}

fn per_second(bytes: u64, elapsed: Duration) -> u64 {
    let micros = elapsed.as_micros().max(1);
    u64::try_from(u128::from(bytes) * 1_000_000 / micros).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    // proves D14
    #[test]
    fn one_slow_answer_moves_the_mean_by_a_tenth() {
        let mut m = Metrics::new(Instant::ZERO);
        assert_eq!(m.rtt(), None);
        m.answered(100 * MS);
        assert_eq!((m.rtt(), m.jitter()), (Some(100 * MS), Duration::ZERO));
        m.answered(200 * MS);
        assert_eq!((m.rtt(), m.jitter()), (Some(110 * MS), 100 * MS / 16));
        for _ in 0..200 {
            m.answered(50 * MS);
        }
        assert!(m.rtt().unwrap() < 51 * MS && m.jitter() < MS);
    }

    #[test]
    fn loss_counts_the_last_ten_pings() {
        let mut m = Metrics::new(Instant::ZERO);
        m.missed();
        assert_eq!(m.loss(), 10);
        (0..9).for_each(|_| m.answered(MS));
        assert_eq!(m.loss(), 10);
        m.answered(MS);
        assert_eq!(m.loss(), 0);
        (0..30).for_each(|_| m.missed());
        assert_eq!(m.loss(), 100);
    }

    #[test]
    fn throughput_follows_the_traffic_and_falls_in_silence() {
        let mut m = Metrics::new(Instant::ZERO);
        for tick in 1..=20_u32 {
            m.sent(60, Instant::ZERO + 100 * MS * tick);
            m.received(40, Instant::ZERO + 100 * MS * tick);
        }
        let end = Instant::ZERO + 2000 * MS;
        assert_eq!(m.bytes(), (1200, 800));
        assert!((900..=1100).contains(&m.throughput(end)), "{}", m.throughput(end));
        assert!(m.throughput(end + 10_000 * MS) < 100);
    }
}
