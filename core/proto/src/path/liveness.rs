//! Whether a path is alive. Only authenticated frames count; what a transport says about itself does not.
//!
//! A path that is silent for too long is asked. How long that is depends on its [`Pace`]. Any frame from the peer is an
//! answer; only a pong measures the round trip. While no answer comes the path is *suspect* after a short patience, long
//! before [`PING_MISSES`] unanswered questions end it: another path may carry the session meanwhile.

use std::time::Duration;

use crate::time::Instant;
use crate::timing::{
    PATIENCE_MIN, PATIENCE_UNMEASURED, PING_ACTIVE, PING_IDLE, PING_MISSES, PING_OUTSTANDING, PING_PATIENCE,
};

/// How soon silence on a path makes this side ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Data waits for acknowledgement since then.
    Outstanding(Instant),
    /// The session was used a moment ago.
    Active,
    /// Nobody uses the session: asking keeps NATs awake and waits for the device's next beat, together with all others.
    Idle,
    /// A path in reserve: it is asked when it is needed.
    Standby,
}

/// The pings of one path.
#[derive(Debug)]
pub struct Liveness {
    heard: Instant,
    unanswered: Option<Unanswered>,
    asked: Option<(u64, Instant)>,
    next_ping: u64,
    wanted: bool,
    owed: Option<u64>,
    rtt: Option<Duration>,
}

/// Questions since the peer was heard last.
#[derive(Debug, Clone, Copy)]
struct Unanswered {
    since: Instant,
    last: Instant,
    misses: u32,
}

/// What a path must send for its own sake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// A ping with this number.
    Ping(u64),
    /// The answer to the peer's ping with this number.
    Pong(u64),
}

/// What the passing of time has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing new.
    Fine,
    /// A question stayed unanswered.
    Missed,
    /// Nothing was heard in time: the path is dead.
    Dead,
}

impl Liveness {
    /// A path that has just been established. Its first ping goes out at once: it measures the round trip and tells the
    /// peer that this side uses the path.
    pub fn new(now: Instant) -> Self {
        let mut liveness = Self {
            heard: now,
            unanswered: None,
            asked: None,
            next_ping: 0,
            wanted: false,
            owed: None,
            rtt: None,
        };
        liveness.probe(now);
        liveness
    }

    /// An authenticated frame arrived.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.unanswered = None;
    }

    /// The peer asks.
    pub fn handle_ping(&mut self, number: u64) {
        self.owed = Some(number);
    }

    /// The peer answers. Returns the round trip, unless it is an answer to something else.
    pub fn handle_pong(&mut self, number: u64, now: Instant) -> Option<Duration> {
        let (_, at) = self.asked.take_if(|(asked, _)| *asked == number)?;
        self.rtt = Some(now - at);
        self.rtt
    }

    /// Asks at the next opportunity, whatever the pace says.
    pub fn probe(&mut self, now: Instant) {
        self.wanted = true;
        self.unanswered.get_or_insert(Unanswered { since: now, last: now, misses: 0 }).last = now;
    }

    /// When the peer was heard last.
    pub fn heard_at(&self) -> Instant {
        self.heard
    }

    /// Whether [`Liveness::poll_output`] has something.
    pub fn has_output(&self) -> bool {
        self.wanted || self.owed.is_some()
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

    /// From when on the path is suspect, if nothing is heard until then.
    pub fn suspect_at(&self) -> Option<Instant> {
        let patience = self.rtt.map_or(PATIENCE_UNMEASURED, |rtt| PATIENCE_MIN.max(3 * rtt));
        self.unanswered.map(|u| u.since + patience)
    }

    /// When [`Liveness::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self, pace: Pace) -> Option<Instant> {
        match (self.unanswered, pace) {
            (Some(unanswered), _) => Some(unanswered.last + PING_PATIENCE),
            (None, Pace::Outstanding(since)) => Some(self.heard.max(since) + PING_OUTSTANDING),
            (None, Pace::Active) => Some(self.heard + PING_ACTIVE),
            (None, Pace::Idle) => Some((self.heard + PING_IDLE).next_beat()),
            (None, Pace::Standby) => None,
        }
    }

    /// Asks, counts a miss, or gives up.
    pub fn handle_timeout(&mut self, pace: Pace, now: Instant) -> Verdict {
        if self.poll_timeout(pace).is_none_or(|at| now < at) {
            return Verdict::Fine;
        }
        let verdict = match &mut self.unanswered {
            None => Verdict::Fine,
            Some(unanswered) => {
                unanswered.misses += 1;
                if unanswered.misses >= PING_MISSES { Verdict::Dead } else { Verdict::Missed }
            }
        };
        self.probe(now);
        verdict
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
        assert_eq!(l.handle_pong(ping, now + SECOND), Some(SECOND));
        (l, now + SECOND)
    }

    // proves D14
    #[test]
    fn a_path_in_use_is_asked_after_fifteen_seconds_and_dies_after_two_misses() {
        let (mut l, start) = established();
        let mut now = start + PING_ACTIVE;
        assert_eq!(l.poll_timeout(Pace::Active), Some(now));
        assert_eq!(l.handle_timeout(Pace::Active, now), Verdict::Fine);
        asked(&mut l, now);
        now += PING_PATIENCE;
        assert_eq!(l.handle_timeout(Pace::Active, now), Verdict::Missed);
        asked(&mut l, now);
        now += PING_PATIENCE;
        assert_eq!(l.handle_timeout(Pace::Active, now), Verdict::Dead);
    }

    #[test]
    fn data_that_waits_makes_silence_suspect_within_two_seconds() {
        let (mut l, start) = established();
        l.rtt = Some(SECOND / 20);
        let asks = start + PING_OUTSTANDING;
        assert_eq!(l.poll_timeout(Pace::Outstanding(start)), Some(asks));
        assert_eq!(
            (l.handle_timeout(Pace::Outstanding(start), asks), l.suspect_at()),
            (Verdict::Fine, Some(asks + SECOND))
        );
        assert!(asks + SECOND <= start + 2 * SECOND);
        l.heard(asks + SECOND / 2);
        assert_eq!(l.suspect_at(), None);
    }

    #[test]
    fn a_slow_path_is_given_three_of_its_round_trips() {
        let (mut l, start) = established();
        l.probe(start);
        assert_eq!(l.suspect_at(), Some(start + 3 * SECOND));
    }

    // A writer that is stuck sends no ping: that is silence too.
    #[test]
    fn a_question_that_cannot_leave_counts_as_asked() {
        let (mut l, start) = established();
        let mut now = start + PING_ACTIVE;
        l.handle_timeout(Pace::Active, now);
        assert_eq!(l.poll_timeout(Pace::Active), Some(now + PING_PATIENCE));
        now += PING_PATIENCE;
        assert_eq!(l.handle_timeout(Pace::Active, now), Verdict::Missed);
        now += PING_PATIENCE;
        assert_eq!(l.handle_timeout(Pace::Active, now), Verdict::Dead);
    }

    #[test]
    fn idle_paths_wait_for_the_same_beat() {
        let at = |micros| {
            let (mut l, _) = established();
            l.heard(Instant::from_micros(micros));
            l.poll_timeout(Pace::Idle).unwrap()
        };
        assert_eq!(at(1_000_000), at(9_000_000));
        assert!(at(1_000_000) >= Instant::from_micros(1_000_000) + PING_IDLE);
    }

    #[test]
    fn a_path_in_reserve_is_never_asked_by_itself() {
        let (mut l, start) = established();
        assert_eq!(l.poll_timeout(Pace::Standby), None);
        assert_eq!(l.handle_timeout(Pace::Standby, start + 3600 * SECOND), Verdict::Fine);
        assert!(!l.has_output());
    }

    #[test]
    fn any_frame_forgives_a_miss() {
        let (mut l, start) = established();
        let mut now = start;
        for _ in 0..10 {
            now += PING_ACTIVE;
            assert_eq!(l.handle_timeout(Pace::Active, now), Verdict::Fine);
            asked(&mut l, now);
            now += PING_PATIENCE;
            assert_eq!(l.handle_timeout(Pace::Active, now), Verdict::Missed);
            asked(&mut l, now);
            now += SECOND;
            l.heard(now);
        }
    }

    #[test]
    fn a_pong_of_another_ping_measures_nothing() {
        let mut l = Liveness::new(Instant::ZERO);
        let ping = asked(&mut l, Instant::ZERO);
        assert_eq!(l.handle_pong(ping + 1, Instant::ZERO + SECOND), None);
        l.handle_ping(7);
        assert_eq!(l.poll_output(Instant::ZERO), Some(Beat::Pong(7)));
    }
}
