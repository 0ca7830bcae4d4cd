//! The choice of the path that carries the session, and of those that are left.

use std::cmp::Reverse;

use super::{PathEvent, PathId, Paths, Status, Tier};
use crate::limits::MAX_PATHS;
use crate::network::AppState;
use crate::time::Instant;

impl Paths {
    pub(super) fn settle(&mut self, now: Instant) {
        // There is nothing else to rely on.
        if self.all.len() == 1 {
            self.all.values_mut().for_each(|path| path.liveness.end_trial());
        }
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

    /// Moves the session. A path that it leaves because what was sent there is not acknowledged has to show that it
    /// carries as much before it is taken again.
    pub(super) fn set_current(&mut self, id: Option<PathId>, now: Instant) {
        let left = std::mem::replace(&mut self.current, id);
        if let Some(left) = left
            && let Some(path) = self.all.get_mut(&left).filter(|path| path.suspect)
            && self.outstanding.is_some()
        {
            path.liveness.begin_trial(now);
            self.ask(left);
        }
        // It is sent again.
        self.outstanding = self.outstanding.map(|(first, _)| (first, now));
        self.down = id.is_none().then_some(now);
        self.events.push_back(id.map_or(PathEvent::Down, PathEvent::Current));
        // A path in reserve was not asked for a while.
        self.probe_current(now);
        if let Some(path) = self.current_path() {
            self.events.push_back(PathEvent::Quality(path.quality));
        }
    }

    /// The peer, which has used the current path, sends on one that was made after anything was heard on it. It knows that its
    /// network has changed and the current path does not work any more, long before silence shows it.
    pub(super) fn follow_peer(&mut self, id: PathId, now: Instant) {
        let tried = self.all.get(&id).filter(|path| !path.liveness.is_on_trial());
        let Some(theirs) = tried.map(|path| path.made) else { return };
        let Some(current) = self.current.and_then(|ours| self.all.get_mut(&ours)) else { return };
        let heard = current.liveness.heard_at();
        // Of two paths made at once, the peer may have known one a moment earlier.
        if !current.suspect && current.carried && heard < theirs {
            current.suspect = true;
            self.probe_current(now);
            self.settle(now);
        }
    }

    pub(super) fn probe_current(&mut self, now: Instant) {
        let Some(id) = self.current else { return };
        if let Some(path) = self.all.get_mut(&id) {
            path.liveness.probe(now);
            self.ask(id);
        }
    }

    /// Many paths to a peer are a sign of trouble, not of plenty: the worst and oldest go.
    pub(super) fn keep_few(&mut self) {
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
        let reliable = !current.suspect && !current.liveness.is_on_trial();
        let Some(answered) = current.answered.filter(|_| reliable) else { return };
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
}
