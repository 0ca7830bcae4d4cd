//! Events in virtual time, and the chance that delays them.

use std::collections::BTreeMap;
use std::time::Duration;

use peers_proto::time::Instant;

use crate::random::Random;

pub(crate) struct Schedule<E> {
    pub(crate) random: Random,
    pub(crate) now: Instant,
    /// Counts the events. Of two at the same time the one that was planned first comes first.
    pub(crate) order: u64,
    events: BTreeMap<(Instant, u64), E>,
}

impl<E> Schedule<E> {
    pub(crate) fn new(seed: u64) -> Self {
        let (random, now) = (Random::new(seed), Instant::from_micros(1));
        Self { random, now, order: 0, events: BTreeMap::new() }
    }

    pub(crate) fn at(&mut self, delay: Duration, event: E) {
        self.order += 1;
        self.events.insert((self.now + delay, self.order), event);
    }

    pub(crate) fn soon(&mut self, max_millis: u64, event: E) {
        let delay = self.random.delay(Duration::from_millis(max_millis));
        self.at(delay, event);
    }

    /// Drops the events for which `keep` is false.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&E) -> bool) {
        self.events.retain(|_, event| keep(event));
    }

    /// The next event, whose time is the present from now on.
    pub(crate) fn next(&mut self) -> Option<E> {
        let ((at, _), event) = self.events.pop_first()?;
        self.now = at;
        Some(event)
    }
}
