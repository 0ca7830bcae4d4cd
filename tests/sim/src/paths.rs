//! The paths of one session and the choice between them, as the session's driver makes it.

use std::collections::BTreeMap;

use peers_proto::liveness::{Beat, Liveness};
use peers_proto::time::Instant;
use peers_proto::transport_kind::TransportKind;

use crate::pipe::PipeId;

#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) kind: TransportKind,
    pub(crate) liveness: Liveness,
    /// The peer uses it too.
    heard: bool,
}

#[derive(Debug)]
pub(crate) struct Paths {
    all: BTreeMap<PipeId, Path>,
    current: Option<PipeId>,
    /// Without a path since when.
    down: Option<Instant>,
}

/// What a change of the paths means for the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Nothing,
    Switched,
    Down,
}

impl Paths {
    pub(crate) fn new(now: Instant) -> Self {
        Self { all: BTreeMap::new(), current: None, down: Some(now) }
    }

    pub(crate) fn current(&self) -> Option<PipeId> {
        self.current
    }

    pub(crate) fn current_kind(&self) -> Option<TransportKind> {
        self.all.get(&self.current?).map(|path| path.kind)
    }

    pub(crate) fn down_since(&self) -> Option<Instant> {
        self.down
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn pipes(&self) -> Vec<PipeId> {
        self.all.keys().copied().collect()
    }

    /// The better kind carries the data; among equals the newer one, which was dialed because the older may be dead.
    pub(crate) fn add(&mut self, pipe: PipeId, kind: TransportKind, now: Instant) -> Change {
        let worse = self.current_kind().is_some_and(|current| current < kind);
        self.all.insert(pipe, Path { kind, liveness: Liveness::new(now), heard: false });
        if worse {
            return Change::Nothing;
        }
        (self.current, self.down) = (Some(pipe), None);
        Change::Switched
    }

    pub(crate) fn remove(&mut self, pipe: PipeId, now: Instant) -> Change {
        self.all.remove(&pipe);
        if self.current != Some(pipe) {
            return Change::Nothing;
        }
        let best = self.all.iter().min_by_key(|(id, path)| (path.kind, std::cmp::Reverse(**id)));
        self.current = best.map(|(id, _)| *id);
        if self.current.is_some() {
            return Change::Switched;
        }
        self.down = Some(now);
        Change::Down
    }

    pub(crate) fn get(&mut self, pipe: PipeId) -> Option<&mut Path> {
        self.all.get_mut(&pipe)
    }

    pub(crate) fn heard(&mut self, pipe: PipeId, now: Instant) {
        if let Some(path) = self.all.get_mut(&pipe) {
            path.heard = true;
            path.liveness.heard(now);
        }
    }

    /// Make before break: once the peer uses the current path, worse ones are left. Of equal ones only the end that
    /// leads leaves any, or each would leave what the other has chosen.
    pub(crate) fn superfluous(&self, leads: bool) -> Vec<PipeId> {
        let current = self.current.and_then(|id| Some((id, self.all.get(&id)?)));
        let Some((current, path)) = current.filter(|(_, path)| path.heard) else { return Vec::new() };
        let others = self.all.iter().filter(|(id, other)| {
            other.kind > path.kind || (leads && other.kind == path.kind && **id != current)
        });
        others.map(|(id, _)| *id).collect()
    }

    /// Paths whose peer has been silent for too long.
    pub(crate) fn silent(&mut self, outstanding: bool, now: Instant) -> Vec<PipeId> {
        let check = |(id, path): (&PipeId, &mut Path)| {
            path.liveness.handle_timeout(outstanding, now).is_err().then_some(*id)
        };
        self.all.iter_mut().filter_map(check).collect()
    }

    /// What the paths must send for their own sake.
    pub(crate) fn beats(&mut self, now: Instant) -> Vec<(PipeId, Beat)> {
        let mut beats = Vec::new();
        for (id, path) in &mut self.all {
            beats.extend(std::iter::from_fn(|| path.liveness.poll_output(now)).map(|beat| (*id, beat)));
        }
        beats
    }

    pub(crate) fn poll_timeout(&self, outstanding: bool) -> Option<Instant> {
        self.all.values().map(|path| path.liveness.poll_timeout(outstanding)).min()
    }
}
