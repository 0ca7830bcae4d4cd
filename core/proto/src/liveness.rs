//! Whether a path is alive. Only authenticated frames count; what a transport says about itself does not.
//!
//! A path that is silent for [`PING_IDLE`], or for [`PING_OUTSTANDING`] while data waits for acknowledgement, is asked.
//! [`PING_MISSES`] unanswered questions in a row end it. Any frame from the peer is an answer; only a pong measures the
//! round trip.

use std::time::Duration;

use crate::time::Instant;
use crate::timing::{PING_IDLE, PING_MISSES, PING_OUTSTANDING};

/// The pings of one path.
#[derive(Debug)]
pub struct Liveness {
    heard: Instant,
    asked: Option<(u64, Instant)>,
    misses: u32,
    next_ping: u64,
    wanted: bool,
    owed: Option<u64>,
    rtt: Option<Duration>,
}

/// What a path must send for its own sake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// A ping with this number.
    Ping(u64),
    /// The answer to the peer's ping with this number.
    Pong(u64),
}

/// Nothing was heard in time: the path is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing heard in time")]
pub struct Silent;

impl Liveness {
    /// A path that has just been established. Its first ping goes out at once: it measures the round trip and tells the
    /// peer that this side uses the path.
    pub fn new(now: Instant) -> Self {
        Self { heard: now, asked: None, misses: 0, next_ping: 0, wanted: true, owed: None, rtt: None }
    }

    /// An authenticated frame arrived.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.misses = 0;
    }

    /// The peer asks.
    pub fn handle_ping(&mut self, number: u64) {
        self.owed = Some(number);
    }

    /// The peer answers.
    pub fn handle_pong(&mut self, number: u64, now: Instant) {
        if let Some((asked, at)) = self.asked
            && asked == number
        {
            self.asked = None;
            self.rtt = Some(now - at);
        }
    }

    /// The last measured round trip.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Asks at the next opportunity, whatever the clock says.
    pub fn probe(&mut self) {
        self.wanted = true;
    }

    /// What to send now.
    pub fn poll_output(&mut self, now: Instant) -> Option<Beat> {
        if let Some(number) = self.owed.take() {
            return Some(Beat::Pong(number));
        }
        std::mem::take(&mut self.wanted).then(|| {
            let number = self.next_ping;
            self.next_ping += 1;
            self.asked = Some((number, now));
            Beat::Ping(number)
        })
    }

    /// When [`Liveness::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self, outstanding: bool) -> Instant {
        let interval = if outstanding || self.misses > 0 { PING_OUTSTANDING } else { PING_IDLE };
        match self.asked {
            Some((_, at)) if at >= self.heard => at + PING_OUTSTANDING,
            _ => self.heard + interval,
        }
    }

    /// Asks, counts a miss, or gives up.
    pub fn handle_timeout(&mut self, outstanding: bool, now: Instant) -> Result<(), Silent> {
        if now < self.poll_timeout(outstanding) {
            return Ok(());
        }
        if self.asked.is_some_and(|(_, at)| at >= self.heard) {
            self.misses += 1;
            if self.misses >= PING_MISSES {
                return Err(Silent);
            }
        }
        self.wanted = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn asked(l: &mut Liveness, now: Instant) -> u64 {
        match l.poll_output(now) {
            Some(Beat::Ping(n)) => n,
            other => panic!("{other:?}"),
        }
    }

    fn established() -> (Liveness, Instant) {
        let now = Instant::from_micros(5);
        let mut l = Liveness::new(now);
        let ping = asked(&mut l, now);
        l.heard(now + SECOND);
        l.handle_pong(ping, now + SECOND);
        (l, now + SECOND)
    }

    // proves D14
    #[test]
    fn an_idle_path_is_asked_after_fifteen_seconds_and_dies_after_two_misses() {
        let (mut l, start) = established();
        assert_eq!(l.rtt(), Some(SECOND));
        let mut now = start + PING_IDLE;
        assert_eq!(l.poll_timeout(false), now);
        assert_eq!(l.handle_timeout(false, now), Ok(()));
        asked(&mut l, now);
        now += PING_OUTSTANDING;
        assert_eq!(l.handle_timeout(false, now), Ok(()));
        asked(&mut l, now);
        now += PING_OUTSTANDING;
        assert_eq!(l.handle_timeout(false, now), Err(Silent));
    }

    #[test]
    fn outstanding_data_asks_sooner() {
        let (l, start) = established();
        assert_eq!(l.poll_timeout(true), start + PING_OUTSTANDING);
    }

    #[test]
    fn any_frame_forgives_a_miss() {
        let (mut l, start) = established();
        let mut now = start;
        for _ in 0..10 {
            now += PING_IDLE;
            l.handle_timeout(false, now).unwrap();
            asked(&mut l, now);
            now += PING_OUTSTANDING;
            l.handle_timeout(false, now).unwrap();
            asked(&mut l, now);
            now += SECOND;
            l.heard(now);
        }
    }

    #[test]
    fn a_pong_of_another_ping_measures_nothing() {
        let mut l = Liveness::new(Instant::ZERO);
        let ping = asked(&mut l, Instant::ZERO);
        l.handle_pong(ping + 1, Instant::ZERO + SECOND);
        assert_eq!(l.rtt(), None);
        l.handle_ping(7);
        assert_eq!(l.poll_output(Instant::ZERO), Some(Beat::Pong(7)));
    }
}
