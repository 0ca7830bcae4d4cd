//! Calls that wait: for an answer from the peer, or for one from the app.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::limits::MAX_CALLS;
use crate::time::Instant;

/// Names a call made by this device on one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub(super) u64);

/// Names a call made by the peer on one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InboundCallId(pub(super) u64);

/// Calls with deadlines, bounded. `T` is what is remembered about each.
#[derive(Debug)]
pub(super) struct Pending<T> {
    calls: HashMap<u64, (Instant, T)>,
    deadlines: BTreeSet<(Instant, u64)>,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self { calls: HashMap::new(), deadlines: BTreeSet::new() }
    }
}

impl<T> Pending<T> {
    pub(super) fn is_full(&self) -> bool {
        self.calls.len() >= MAX_CALLS
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    pub(super) fn contains(&self, call: u64) -> bool {
        self.calls.contains_key(&call)
    }

    pub(super) fn insert(&mut self, call: u64, timeout: Duration, about: T, now: Instant) {
        let deadline = now + timeout;
        self.calls.insert(call, (deadline, about));
        self.deadlines.insert((deadline, call));
    }

    pub(super) fn remove(&mut self, call: u64) -> Option<T> {
        let (deadline, about) = self.calls.remove(&call)?;
        self.deadlines.remove(&(deadline, call));
        Some(about)
    }

    /// The calls that `is` true of.
    pub(super) fn matching(&self, is: impl Fn(&T) -> bool) -> Vec<u64> {
        self.calls.iter().filter(|(_, (_, about))| is(about)).map(|(call, _)| *call).collect()
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Removes a call whose deadline has passed.
    pub(super) fn expired(&mut self, now: Instant) -> Option<(u64, T)> {
        let (deadline, call) = *self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        self.remove(call).map(|about| (call, about))
    }
}
