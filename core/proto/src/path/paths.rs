//! The paths of one session and the choice between them.

mod choice;
mod event;
mod standing;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::network::AppState;
use crate::time::{Instant, earliest};
use crate::timing::{IDLE_AFTER, MAX_AWAY, RETURN_AFTER};

use super::liveness::{Beat, Liveness, Pace, Verdict};
use super::metrics::Metrics;
use super::quality::{Level, Quality};
use super::route::{Preference, Route, Tier};
use standing::PathStanding;

pub use event::{PathEvent, PathId, PathInfo, Status};

#[derive(Debug)]
struct Path {
    route: Route,
    liveness: Liveness,
    metrics: Metrics,
    quality: Quality,
    made: Instant,
    /// The time at which it answered last.
    answered: Option<Instant>,
    /// It does not answer.
    suspect: bool,
    /// The peer has sent the session's frames on it.
    carried: bool,
    /// It was suspect, and has to answer until then before it is relied on again.
    shaky_until: Option<Instant>,
}

/// The paths of one session.
#[derive(Debug)]
pub struct Paths {
    all: BTreeMap<PathId, Path>,
    current: Option<PathId>,
    preference: Preference,
    app: AppState,
    /// Data costs money.
    metered: bool,
    /// True for the end that leaves one of two equal paths, which must not be done by both.
    leads: bool,
    used: Instant,
    /// The first frame that waits for acknowledgement, and since when it is the first, or waits on this path.
    outstanding: Option<(u64, Instant)>,
    window: Duration,
    /// Without a path since when.
    down: Option<Instant>,
    /// The time for which the peer asks to be waited for.
    away: Option<Duration>,
    status: Status,
    events: VecDeque<PathEvent>,
}

impl Paths {
    /// No path yet. Exactly one of the two ends `leads`; a session without a path is lost after `window`.
    pub fn new(leads: bool, preference: Preference, window: Duration, now: Instant) -> Self {
        Self {
            all: BTreeMap::new(),
            current: None,
            preference,
            app: AppState::default(),
            metered: false,
            leads,
            used: now,
            outstanding: None,
            window,
            down: Some(now),
            away: None,
            status: Status::Down,
            events: VecDeque::new(),
        }
    }

    // ---- what happens to them ----

    /// A connection has passed its handshake. Among equals the newer one carries the session: it was made because the
    /// older may be dead. A better one is tried first: what it would replace may carry more than it does.
    pub fn add(&mut self, id: PathId, route: Route, now: Instant) {
        let mut path = Path {
            route,
            liveness: Liveness::new(now),
            metrics: Metrics::new(now),
            quality: Quality::UNMEASURED,
            made: now,
            answered: None,
            suspect: false,
            carried: false,
            shaky_until: None,
        };
        let rank = |route: Route| self.preference.rank(route.tier());
        let better = self.current_path().is_some_and(|current| rank(route) < rank(current.route));
        if better {
            path.liveness.begin_trial(now);
        }
        let standing = self.standing(&path);
        self.all.insert(id, path);
        self.away = None;
        if self.current_path().is_none_or(|current| standing <= self.standing(current)) {
            self.set_current(Some(id), now);
        } else {
            self.ask(id);
            if !better {
                // The peer may have made it because it cannot use the current one any more.
                self.probe_current(now);
            }
        }
        self.keep_few();
        self.settle(now);
    }

    /// A path has ended.
    pub fn remove(&mut self, id: PathId, now: Instant) {
        if self.all.remove(&id).is_some() {
            self.settle(now);
        }
    }

    /// An authenticated frame of `bytes` arrived; `data`: of the session, not of the path itself.
    pub fn received(&mut self, id: PathId, bytes: usize, data: bool, now: Instant) {
        self.used = if data { now } else { self.used };
        if data && self.current != Some(id) {
            self.follow_peer(id, now);
        }
        let Some(path) = self.all.get_mut(&id) else { return };
        path.carried |= data;
        path.metrics.received(bytes, now);
        path.liveness.heard(bytes, now);
        if self.clear(id, now) {
            self.settle(now);
        }
    }

    /// A frame of `bytes` leaves; `data`: of the session, not of the path itself.
    pub fn sent(&mut self, id: PathId, bytes: usize, data: bool, now: Instant) {
        self.used = if data { now } else { self.used };
        if let Some(path) = self.all.get_mut(&id) {
            path.metrics.sent(bytes, now);
        }
    }

    /// The peer asks.
    pub fn handle_ping(&mut self, id: PathId, number: u64) {
        if let Some(path) = self.all.get_mut(&id) {
            path.liveness.handle_ping(number);
            self.ask(id);
        }
    }

    /// The peer answers.
    pub fn handle_pong(&mut self, id: PathId, number: u64, now: Instant) {
        let Some(path) = self.all.get_mut(&id) else { return };
        if let Some(rtt) = path.liveness.handle_pong(number, now) {
            path.metrics.answered(rtt);
            path.answered = Some(now);
            self.measured(id);
            self.clear(id, now);
            self.settle(now);
        }
    }

    /// The network may have changed. If it did not, every path answers; if it has become `another` one, none is relied
    /// on before it does.
    pub fn network_changed(&mut self, another: bool, now: Instant) {
        for path in self.all.values_mut() {
            path.suspect |= another;
            path.liveness.probe(now);
        }
        for id in self.all.keys().copied().collect::<Vec<_>>() {
            self.ask(id);
        }
        self.settle(now);
    }

    /// The app came to the front or went away from it: while a person looks, a path through the relay is kept in reserve
    /// beside a better one.
    pub fn set_app_state(&mut self, app: AppState, now: Instant) {
        self.app = app;
        self.settle(now);
    }

    /// Sets whether data costs money: then idle paths are asked half as often.
    pub fn set_metered(&mut self, metered: bool) {
        self.metered = metered;
    }

    /// The peer is going to be away and asks to be waited for this long. Holds until there is a path again.
    pub fn handle_away(&mut self, patience: Duration, now: Instant) {
        self.away = Some(patience.min(MAX_AWAY));
        self.settle(now);
    }

    /// The first frame that waits for the peer's acknowledgement: while it does, silence is trouble soon. `now` is asked
    /// when another one is the first.
    pub fn set_outstanding(&mut self, first: Option<u64>, now: impl FnOnce() -> Instant) {
        let before = self.outstanding.map(|(first, _)| first);
        if before == first {
            return;
        }
        let now = now();
        self.outstanding = first.map(|first| (first, now));
        if let Some(id) = self.current
            && let Some(path) = self.all.get_mut(&id)
        {
            path.liveness.progressed();
            if self.clear(id, now) {
                self.settle(now);
            }
        }
    }

    /// This device was away itself and is back: from now on the session waits for a path as it usually does.
    pub fn handle_return(&mut self, now: Instant) {
        self.away = None;
        self.down = self.down.map(|_| now);
        self.settle(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        for id in self.all.keys().copied().collect::<Vec<_>>() {
            let pace = self.pace(id);
            let Some(path) = self.all.get_mut(&id) else { continue };
            let verdict = path.liveness.handle_timeout(pace, now);
            path.suspect |= path.liveness.suspect_at().is_some_and(|at| at <= now);
            path.shaky_until.take_if(|until| *until <= now);
            let asks = path.liveness.has_output();
            match verdict {
                Verdict::Fine => {}
                Verdict::Missed => {
                    path.metrics.missed();
                    self.measured(id);
                }
                Verdict::Dead => {
                    self.all.remove(&id);
                    self.events.push_back(PathEvent::Dead(id));
                    continue;
                }
            }
            if asks {
                self.ask(id);
            }
        }
        self.settle(now);
        if self.lost_at().is_some_and(|at| at <= now) {
            self.events.push_back(PathEvent::Lost);
        }
    }

    // ---- what follows ----

    /// The next event.
    pub fn poll_output(&mut self) -> Option<PathEvent> {
        self.events.pop_front()
    }

    /// True if [`Paths::poll_output`] has something.
    pub fn has_output(&self) -> bool {
        !self.events.is_empty()
    }

    /// The frame that this path sends for its own sake.
    pub fn poll_beat(&mut self, id: PathId, now: Instant) -> Option<Beat> {
        self.all.get_mut(&id)?.liveness.poll_output(now)
    }

    /// The time of the next [`Paths::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let of_path = |(id, path): (&PathId, &Path)| {
            let suspects = path.liveness.suspect_at().filter(|_| !path.suspect);
            let asks = path.liveness.poll_timeout(self.pace(*id));
            earliest(earliest(suspects, asks), path.shaky_until)
        };
        self.all.iter().map(of_path).fold(self.lost_at(), earliest)
    }

    /// The path that carries the session.
    pub fn current(&self) -> Option<PathId> {
        self.current
    }

    /// The route of the path that carries the session.
    pub fn route(&self) -> Option<Route> {
        self.current_path().map(|path| path.route)
    }

    /// The status of the session.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Measurements of the path that carries the session.
    pub fn info(&self, now: Instant) -> Option<PathInfo> {
        let Path { route, metrics, quality, .. } = self.current_path()?;
        let (sent, received) = metrics.bytes();
        Some(PathInfo {
            route: *route,
            rtt: metrics.rtt(),
            jitter: metrics.jitter(),
            loss: metrics.loss(),
            throughput: metrics.throughput(now),
            sent,
            received,
            quality: *quality,
        })
    }

    /// The time at which data last went either way.
    pub fn used(&self) -> Instant {
        self.used
    }

    /// All paths, in the order they were made.
    pub fn ids(&self) -> impl Iterator<Item = PathId> {
        self.all.keys().copied()
    }

    fn current_path(&self) -> Option<&Path> {
        self.all.get(&self.current?)
    }

    fn lost_at(&self) -> Option<Instant> {
        self.down.map(|since| since + self.away.unwrap_or(self.window).max(self.window))
    }

    fn standing(&self, path: &Path) -> PathStanding {
        PathStanding {
            unreliable: path.suspect || path.shaky_until.is_some() || path.liveness.is_on_trial(),
            on_trial: path.liveness.is_on_trial(),
            bad: path.quality.level() == Level::Bad,
            rank: self.preference.rank(path.route.tier()),
        }
    }

    fn pace(&self, id: PathId) -> Pace {
        let Some(path) = self.all.get(&id) else { return Pace::Standby };
        if self.current != Some(id) && !self.standing(path).unreliable {
            return Pace::Standby;
        }
        match self.outstanding {
            Some((_, since)) => Pace::Outstanding(since),
            None if path.liveness.heard_at() - self.used >= IDLE_AFTER => match self.metered {
                true => Pace::Frugal,
                false => Pace::Idle,
            },
            None => Pace::Active,
        }
    }

    /// A path whose question is answered is no longer suspect. Returns whether it was.
    fn clear(&mut self, id: PathId, now: Instant) -> bool {
        let in_use = self.current == Some(id);
        let Some(path) = self.all.get_mut(&id) else { return false };
        let cleared = path.suspect && !path.liveness.is_asking();
        if cleared {
            path.suspect = false;
            path.shaky_until = (!in_use).then_some(now + RETURN_AFTER);
        }
        cleared
    }

    fn measured(&mut self, id: PathId) {
        let Some(path) = self.all.get_mut(&id) else { return };
        if path.quality.update(&path.metrics).is_some() && self.current == Some(id) {
            self.events.push_back(PathEvent::Quality(path.quality));
        }
    }

    /// A ping or pong waits. Told once, however many pings of the peer it answers: the last one counts.
    fn ask(&mut self, id: PathId) {
        let event = PathEvent::Ask(id);
        if !self.events.contains(&event) {
            self.events.push_back(event);
        }
    }
}
