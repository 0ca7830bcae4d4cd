//! The paths of one session and the choice between them.

mod standing;

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::limits::MAX_PATHS;
use crate::network::AppState;
use crate::time::{Instant, earliest};
use crate::timing::{IDLE_AFTER, MAX_AWAY, RETURN_AFTER};

use super::liveness::{Beat, Liveness, Pace, Verdict};
use super::metrics::Metrics;
use super::quality::{Level, Quality};
use super::route::{Preference, Route, Tier};
use standing::Standing;

/// Names a path among those of its session. Later paths have greater ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub u64);

/// Whether a session can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// A path carries it.
    Usable,
    /// There is a path, but it does not answer, or has not yet.
    Verifying,
    /// There is no path; what is sent waits for one.
    Down,
    /// The peer said that it would be away; what is sent waits for its return.
    Away,
}

/// What follows from what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathEvent {
    /// This path carries the session from now on.
    Current(PathId),
    /// No path is left.
    Down,
    /// [`Paths::poll_beat`] has something for this path.
    Ask(PathId),
    /// This path is not needed any more: say goodbye.
    Leave(PathId),
    /// This path has been silent for too long: close it.
    Dead(PathId),
    /// The status has changed.
    Status(Status),
    /// The path in use feels different now (S092, S160).
    Quality(Quality),
    /// No path came back within the window: the session is lost.
    Lost,
}

/// What is known about a path, for people and programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathInfo {
    /// What it runs over.
    pub route: Route,
    /// Moving average of the round trip, once measured.
    pub rtt: Option<Duration>,
    /// How much round trips differ from one to the next.
    pub jitter: Duration,
    /// Percent of the last ten pings that were not answered in time.
    pub loss: u8,
    /// Bytes per second in both directions over the last second.
    pub throughput: u64,
    /// Bytes sent in all.
    pub sent: u64,
    /// Bytes received in all.
    pub received: u64,
    /// All of this as one number.
    pub quality: Quality,
}

#[derive(Debug)]
struct Path {
    route: Route,
    liveness: Liveness,
    metrics: Metrics,
    quality: Quality,
    made: Instant,
    /// When it answered last.
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
    /// Whether this end leaves one of two equal paths, which must not be done by both.
    leads: bool,
    used: Instant,
    /// Data waits for acknowledgement since then.
    outstanding: Option<Instant>,
    window: Duration,
    /// Without a path since when.
    down: Option<Instant>,
    /// How long the peer wants to be waited for.
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
    /// older may be dead.
    pub fn add(&mut self, id: PathId, route: Route, now: Instant) {
        let path = Path {
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
        let standing = self.standing(&path);
        self.all.insert(id, path);
        self.away = None;
        if self.current_path().is_none_or(|current| standing <= self.standing(current)) {
            self.set_current(Some(id), now);
        } else {
            // The peer may have made it because it cannot use the current one any more.
            self.events.push_back(PathEvent::Ask(id));
            self.probe_current(now);
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
        let current = self.current;
        let Some(path) = self.all.get_mut(&id) else { return };
        path.carried |= data;
        path.metrics.received(bytes, now);
        path.liveness.heard(now);
        if std::mem::take(&mut path.suspect) {
            path.shaky_until = (current != Some(id)).then_some(now + RETURN_AFTER);
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
            self.events.push_back(PathEvent::Ask(id));
        }
    }

    /// The peer answers.
    pub fn handle_pong(&mut self, id: PathId, number: u64, now: Instant) {
        let Some(path) = self.all.get_mut(&id) else { return };
        if let Some(rtt) = path.liveness.handle_pong(number, now) {
            path.metrics.answered(rtt);
            path.answered = Some(now);
            self.measured(id);
            self.settle(now);
        }
    }

    /// The network may have changed. If it did not, every path answers; if it has become `another` one, none is relied
    /// on before it does.
    pub fn network_changed(&mut self, another: bool, now: Instant) {
        for (id, path) in &mut self.all {
            path.suspect |= another;
            path.liveness.probe(now);
            self.events.push_back(PathEvent::Ask(*id));
        }
        self.settle(now);
    }

    /// The app came to the front or went away from it: while a person looks, a path through the relay is kept in reserve
    /// beside a better one.
    pub fn set_app_state(&mut self, app: AppState, now: Instant) {
        self.app = app;
        self.settle(now);
    }

    /// The peer is going to be away and asks to be waited for this long. Holds until there is a path again.
    pub fn handle_away(&mut self, patience: Duration, now: Instant) {
        self.away = Some(patience.min(MAX_AWAY));
        self.settle(now);
    }

    /// Whether data waits for the peer's acknowledgement: then silence is trouble soon. `now` is asked when that begins.
    pub fn set_outstanding(&mut self, outstanding: bool, now: impl FnOnce() -> Instant) {
        match (self.outstanding, outstanding) {
            (None, true) => self.outstanding = Some(now()),
            (Some(_), false) => self.outstanding = None,
            _ => {}
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
                self.events.push_back(PathEvent::Ask(id));
            }
        }
        self.settle(now);
        if self.lost_at().is_some_and(|at| at <= now) {
            self.events.push_back(PathEvent::Lost);
        }
    }

    // ---- what follows ----

    /// What follows from what happened.
    pub fn poll_output(&mut self) -> Option<PathEvent> {
        self.events.pop_front()
    }

    /// Whether [`Paths::poll_output`] has something.
    pub fn has_output(&self) -> bool {
        !self.events.is_empty()
    }

    /// What this path must send for its own sake.
    pub fn poll_beat(&mut self, id: PathId, now: Instant) -> Option<Beat> {
        self.all.get_mut(&id)?.liveness.poll_output(now)
    }

    /// When [`Paths::handle_timeout`] wants to be called.
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

    /// What the path that carries the session runs over.
    pub fn route(&self) -> Option<Route> {
        self.current_path().map(|path| path.route)
    }

    /// Whether the session can be used.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Whether a better path is wanted than there is: none, one that does not answer, or one that is hardly usable.
    pub fn wants_another(&self) -> bool {
        self.current_path().is_none_or(|path| path.suspect || path.quality.level() == Level::Bad)
    }

    /// What is known about the path that carries the session.
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

    /// When data last went either way.
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

    fn standing(&self, path: &Path) -> Standing {
        Standing {
            unreliable: path.suspect || path.shaky_until.is_some(),
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
            Some(since) => Pace::Outstanding(since),
            None if path.liveness.heard_at() - self.used >= IDLE_AFTER => Pace::Idle,
            None => Pace::Active,
        }
    }

    // ---- the choice ----

    fn settle(&mut self, now: Instant) {
        let best = self.best();
        if best != self.current {
            self.set_current(best, now);
        }
        self.leave_the_others();
        self.tell_status();
    }

    /// The best by standing; of equals the one in use, unless another feels much better, then the newest.
    fn best(&self) -> Option<PathId> {
        let standing = self.all.values().map(|path| self.standing(path)).min()?;
        let equals = || self.all.iter().filter(|(_, path)| self.standing(path) == standing);
        let newest = equals().next_back().map(|(id, _)| *id);
        let Some((id, current)) = equals().find(|(id, _)| Some(**id) == self.current) else { return newest };
        let challenger = equals().max_by_key(|(_, path)| path.quality.score());
        let measured = current.metrics.rtt().is_some();
        let better = challenger.filter(|(_, path)| measured && path.quality.clearly_beats(current.quality));
        Some(better.map_or(*id, |(id, _)| *id))
    }

    fn set_current(&mut self, id: Option<PathId>, now: Instant) {
        self.current = id;
        self.down = id.is_none().then_some(now);
        self.events.push_back(id.map_or(PathEvent::Down, PathEvent::Current));
        // A path in reserve was not asked for a while.
        self.probe_current(now);
        if let Some(path) = self.current_path() {
            self.events.push_back(PathEvent::Quality(path.quality));
        }
    }

    /// The peer, which has used the current path, sends on one that was made after anything was heard on it: it knows that
    /// the current one does not work any more, because its network has changed, long before silence tells.
    fn follow_peer(&mut self, id: PathId, now: Instant) {
        let Some(theirs) = self.all.get(&id).map(|path| path.made) else { return };
        let Some(current) = self.current.and_then(|ours| self.all.get_mut(&ours)) else { return };
        let heard = current.liveness.heard_at();
        // Of two paths made at once, the peer may have known one a moment earlier.
        if !current.suspect && current.carried && heard < theirs {
            current.suspect = true;
            self.probe_current(now);
            self.settle(now);
        }
    }

    fn probe_current(&mut self, now: Instant) {
        let Some(id) = self.current else { return };
        if let Some(path) = self.all.get_mut(&id) {
            path.liveness.probe(now);
            self.events.push_back(PathEvent::Ask(id));
        }
    }

    /// Many paths to a peer are a sign of trouble, not of plenty: the worst and oldest go.
    fn keep_few(&mut self) {
        while self.all.len() > MAX_PATHS {
            let others = self.all.iter().filter(|(id, _)| Some(**id) != self.current);
            let worst = others.max_by_key(|(id, path)| (self.standing(path), Reverse(**id)));
            let Some(id) = worst.map(|(id, _)| *id) else { return };
            self.all.remove(&id);
            self.events.push_back(PathEvent::Dead(id));
        }
    }

    /// Make before break: once the current path has answered since another was made, a worse one is left, but for the
    /// reserve. Of equal ones only the end that leads leaves any, or each would leave what the other has chosen.
    fn leave_the_others(&mut self) {
        let Some(current) = self.current_path() else { return };
        let Some(answered) = current.answered.filter(|_| !current.suspect) else { return };
        let (rank, mut reserve) = (self.preference.rank(current.route.tier()), false);
        let mut left = Vec::new();
        let others =
            self.all.iter().rev().filter(|(id, path)| Some(**id) != self.current && path.made < answered);
        for (id, path) in others {
            let theirs = self.preference.rank(path.route.tier());
            let kept = path.route.tier() == Tier::Relay && self.app == AppState::Foreground;
            let superfluous = if theirs > rank && kept {
                std::mem::replace(&mut reserve, true) && self.leads
            } else {
                theirs > rank || (theirs == rank && self.leads)
            };
            if superfluous {
                left.push(*id);
            }
        }
        for id in left {
            self.all.remove(&id);
            self.events.push_back(PathEvent::Leave(id));
        }
    }

    fn tell_status(&mut self) {
        let status = match self.current_path() {
            Some(path) if path.suspect => Status::Verifying,
            Some(_) => Status::Usable,
            None if self.away.is_some() => Status::Away,
            None => Status::Down,
        };
        if std::mem::replace(&mut self.status, status) != status {
            self.events.push_back(PathEvent::Status(status));
        }
    }

    fn measured(&mut self, id: PathId) {
        let Some(path) = self.all.get_mut(&id) else { return };
        if path.quality.update(&path.metrics).is_some() && self.current == Some(id) {
            self.events.push_back(PathEvent::Quality(path.quality));
        }
    }
}
