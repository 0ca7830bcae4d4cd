//! Liveness of a path. Only authenticated frames count; what a transport says about itself does not.
//!
//! A path that is silent for too long is asked. How long that is depends on its [`Pace`]; what counts as an answer depends
//! on the [`Question`]. Only a pong measures the round trip. While no answer comes the path is *suspect* after a short
//! patience, long before [`PING_MISSES`] unanswered questions end it: another path may carry the session meanwhile.
//!
//! A network may carry small datagrams and lose large ones, so that pings pass and data does not. A path *on trial* is asked
//! with pings that fill whole packets, and nothing but the answer to one of those ends the trial. Transports are ordered and
//! this side's full ping precedes its answer to the peer's, so an answered one says that both directions carry full packets.

use std::time::Duration;

use crate::limits::BULK;
use crate::time::Instant;
use crate::timing::{
    PATIENCE_MIN, PATIENCE_UNMEASURED, PING_ACTIVE, PING_BEHIND_BULK, PING_FRUGAL, PING_IDLE, PING_MISSES,
    PING_OUTSTANDING, PING_PATIENCE, PING_UNACKNOWLEDGED,
};

/// The silence on a path after which this side asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Data waits for acknowledgement, and nothing new was acknowledged since then.
    Outstanding(Instant),
    /// The session was used a moment ago.
    Active,
    /// Nobody uses the session: asking keeps NATs awake and waits for the device's next beat, together with all others.
    Idle,
    /// The same where data costs money: every second beat.
    Frugal,
    /// A path in reserve: it is asked when it is needed.
    Standby,
}

/// The pings of one path.
#[derive(Debug)]
pub struct Liveness {
    heard: Instant,
    /// The time at which the path was made, or a ping was answered last.
    answered: Instant,
    /// Bytes of the peer since something was answered or acknowledged.
    bytes: usize,
    unanswered: Option<Unanswered>,
    asked: Option<Asked>,
    next_ping: u64,
    wanted: bool,
    owed: Option<u64>,
    on_trial: bool,
    rtt: Option<Duration>,
}

/// The subject of a ping, and with it what counts as an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    /// Is the peer there? Any frame of it says so.
    Alive,
    /// Does anything reach the peer? A pong says so, and the acknowledgement of something new.
    Carries,
    /// Do full packets reach the peer? The pong of a full ping says so.
    Full,
}

/// Questions since the last answer.
#[derive(Debug, Clone, Copy)]
struct Unanswered {
    question: Question,
    since: Instant,
    last: Instant,
    misses: u32,
}

/// The last ping.
#[derive(Debug, Clone, Copy)]
struct Asked {
    number: u64,
    full: bool,
    at: Instant,
}

/// A frame that a path sends for its own sake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// A ping.
    Ping {
        /// Its pong repeats this.
        number: u64,
        /// It is padded to [`crate::limits::FULL_PING`].
        full: bool,
    },
    /// The answer to the peer's ping with this number.
    Pong(u64),
}

/// The result of a timeout.
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
            answered: now,
            bytes: 0,
            unanswered: None,
            asked: None,
            next_ping: 0,
            wanted: false,
            owed: None,
            on_trial: false,
            rtt: None,
        };
        liveness.probe(now);
        liveness
    }

    /// Asks with full pings from now on, until one is answered.
    pub fn begin_trial(&mut self, now: Instant) {
        self.on_trial = true;
        self.unanswered = None;
        self.probe(now);
    }

    /// From now on any frame answers again.
    pub fn end_trial(&mut self) {
        self.on_trial = false;
        if let Some(unanswered) = &mut self.unanswered {
            unanswered.question = Question::Alive;
        }
    }

    /// True until it was shown that full packets pass.
    pub fn is_on_trial(&self) -> bool {
        self.on_trial
    }

    /// An authenticated frame of this many bytes arrived.
    pub fn heard(&mut self, bytes: usize, now: Instant) {
        self.heard = now;
        self.bytes = self.bytes.saturating_add(bytes);
        self.answer(Question::Alive);
    }

    /// The peer has acknowledged something new that this path carries.
    pub fn progressed(&mut self) {
        self.bytes = 0;
        self.answer(Question::Carries);
    }

    /// True while a question waits for its answer.
    pub fn is_asking(&self) -> bool {
        self.unanswered.is_some()
    }

    /// The peer asks.
    pub fn handle_ping(&mut self, number: u64) {
        self.owed = Some(number);
    }

    /// The peer answers. Returns the round trip, unless it is an answer to something else.
    pub fn handle_pong(&mut self, number: u64, now: Instant) -> Option<Duration> {
        let asked = self.asked.take_if(|asked| asked.number == number)?;
        (self.answered, self.bytes) = (now, 0);
        if asked.full {
            self.on_trial = false;
        }
        self.answer(if asked.full { Question::Full } else { Question::Carries });
        self.rtt = Some(now - asked.at);
        self.rtt
    }

    /// Asks at the next opportunity, whatever the pace says.
    pub fn probe(&mut self, now: Instant) {
        self.ask(Question::Alive, now);
    }

    fn ask(&mut self, question: Question, now: Instant) {
        self.wanted = true;
        let question = if self.on_trial { Question::Full } else { question };
        let first = Unanswered { question, since: now, last: now, misses: 0 };
        let unanswered = self.unanswered.get_or_insert(first);
        unanswered.question = unanswered.question.max(question);
        unanswered.last = now;
    }

    /// Ends the wait for an answer, if this much counts as one.
    fn answer(&mut self, answer: Question) {
        self.unanswered.take_if(|unanswered| unanswered.question <= answer);
    }

    /// The time at which the peer was heard last.
    pub fn heard_at(&self) -> Instant {
        self.heard
    }

    /// True if [`Liveness::poll_output`] has something.
    pub fn has_output(&self) -> bool {
        self.wanted || self.owed.is_some()
    }

    /// The frame to send now.
    pub fn poll_output(&mut self, now: Instant) -> Option<Beat> {
        // A full ping goes first: the peer's question is not answered where this side's does not get through.
        if !(self.on_trial && self.wanted)
            && let Some(number) = self.owed.take()
        {
            return Some(Beat::Pong(number));
        }
        std::mem::take(&mut self.wanted).then(|| {
            let (number, full) = (self.next_ping, self.on_trial);
            self.next_ping += 1;
            self.asked = Some(Asked { number, full, at: now });
            Beat::Ping { number, full }
        })
    }

    /// From when on the path is suspect, if nothing is heard until then.
    pub fn suspect_at(&self) -> Option<Instant> {
        let patience = self.rtt.map_or(PATIENCE_UNMEASURED, |rtt| PATIENCE_MIN.max(3 * rtt));
        self.unanswered.map(|u| u.since + patience)
    }

    /// The time of the next [`Liveness::handle_timeout`].
    pub fn poll_timeout(&self, pace: Pace) -> Option<Instant> {
        match (self.unanswered, pace) {
            (Some(unanswered), _) => Some(unanswered.last + PING_PATIENCE),
            (None, Pace::Outstanding(since)) => {
                Some((self.heard.max(since) + PING_OUTSTANDING).min(self.stuck_at(since)))
            }
            (None, Pace::Active) => Some(self.heard + PING_ACTIVE),
            (None, Pace::Idle) => Some((self.heard + PING_IDLE).next_beat()),
            (None, Pace::Frugal) => Some((self.heard + PING_FRUGAL).next_beat()),
            (None, Pace::Standby) => None,
        }
    }

    /// From when on it counts that nothing new was acknowledged since then, although the peer is heard.
    fn stuck_at(&self, since: Instant) -> Instant {
        let patience = if self.bytes > BULK { PING_BEHIND_BULK } else { PING_UNACKNOWLEDGED };
        self.answered.max(since) + patience
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
        let stuck = matches!(pace, Pace::Outstanding(since) if self.stuck_at(since) <= now);
        self.ask(if stuck { Question::Carries } else { Question::Alive }, now);
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn asked(l: &mut Liveness, now: Instant) -> u64 {
        match l.poll_output(now) {
            Some(Beat::Ping { number, .. }) => number,
            other => panic!("{other:?}"),
        }
    }

    fn established() -> (Liveness, Instant) {
        let now = Instant::from_micros(5);
        let mut l = Liveness::new(now);
        let ping = asked(&mut l, now);
        l.heard(3, now + SECOND);
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
        l.heard(3, asks + SECOND / 2);
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
            l.heard(3, Instant::from_micros(micros));
            l.poll_timeout(Pace::Idle).unwrap()
        };
        assert_eq!(at(1_000_000), at(9_000_000));
        assert!(at(1_000_000) >= Instant::from_micros(1_000_000) + PING_IDLE);
    }

    #[test]
    fn where_data_costs_money_an_idle_path_is_asked_half_as_often() {
        let in_an_hour = |pace| {
            let (mut l, start) = established();
            let due = |l: &Liveness| l.poll_timeout(pace).filter(|at| *at <= start + 3600 * SECOND);
            let mut count = 0;
            while let Some(at) = due(&l) {
                l.handle_timeout(pace, at);
                asked(&mut l, at);
                l.heard(3, at);
                count += 1;
            }
            count
        };
        assert_eq!((in_an_hour(Pace::Idle), in_an_hour(Pace::Frugal)), (120, 60));
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
            l.heard(3, now);
        }
    }

    #[test]
    fn what_is_not_acknowledged_is_asked_for_although_the_peer_is_heard() {
        let (mut l, start) = established();
        let pace = Pace::Outstanding(start);
        let mut now = start;
        while now < start + PING_UNACKNOWLEDGED {
            assert_eq!(l.handle_timeout(pace, now), Verdict::Fine);
            assert!(!l.is_asking());
            now += PING_OUTSTANDING / 2;
            l.heard(3, now);
        }
        l.heard(BULK, now);
        l.handle_timeout(pace, now);
        assert!(!l.is_asking(), "the acknowledgement may wait behind what the peer sends");
        now = start + PING_BEHIND_BULK;
        l.heard(3, now);
        l.handle_timeout(pace, now);
        l.heard(3, now + SECOND);
        assert!(l.is_asking(), "a frame of the peer says nothing about this side's");
        l.progressed();
        assert!(!l.is_asking());
        l.handle_timeout(pace, now);
        let ping = asked(&mut l, now);
        l.handle_pong(ping, now + SECOND);
        assert!(!l.is_asking());
        assert!(l.poll_timeout(pace) >= Some(now + SECOND), "an answer is not asked for again at once");
    }

    #[test]
    fn nothing_but_the_answer_to_a_full_ping_ends_a_trial() {
        let (mut l, mut now) = established();
        l.probe(now);
        let small = asked(&mut l, now);
        l.begin_trial(now);
        l.heard(3, now);
        l.progressed();
        l.handle_pong(small, now);
        assert!(l.is_on_trial() && l.is_asking());
        // The pong that the peer waits for follows.
        l.handle_ping(7);
        let Some(Beat::Ping { number, full: true }) = l.poll_output(now) else { panic!("no full ping") };
        assert_eq!(l.poll_output(now), Some(Beat::Pong(7)));
        now += PING_PATIENCE;
        assert_eq!(l.handle_timeout(Pace::Active, now), Verdict::Missed);
        let again = asked(&mut l, now);
        assert_eq!(l.handle_pong(number, now), None);
        assert!(l.is_on_trial());
        l.handle_pong(again, now);
        assert!(!l.is_on_trial() && !l.is_asking());
        l.probe(now);
        assert!(matches!(l.poll_output(now), Some(Beat::Ping { full: false, .. })));
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
