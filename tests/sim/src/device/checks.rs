//! The state of a device that the world checks, most of it at the end.

use std::time::Duration;

use peers_proto::end_reason::EndReason;
use peers_proto::limits::MAX_CONNECTIONS;
use peers_proto::time::Instant;

use super::session::Live;
use super::{Device, device_id};
use crate::failure::Violation;
use crate::net::Net;

/// A session that was lost, as its app sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loss {
    pub(crate) peer: usize,
    pub(crate) reason: EndReason,
    /// The peer's epoch in the session that takes its place, if one does.
    pub(crate) successor: Option<u64>,
}

/// The times that a device was woken.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wakes {
    count: u32,
    last: Option<Instant>,
}

impl Device {
    /// Sessions lost since the world last asked.
    pub(crate) fn take_losses(&mut self) -> Vec<Loss> {
        std::mem::take(&mut self.losses)
    }

    /// Peers it has a session with that is older than `age`.
    pub(crate) fn partners(&self, age: Duration, net: &Net) -> Vec<usize> {
        let now = self.clock(net.now);
        self.lives().filter(|live| now - live.begun >= age).map(|live| live.peer).collect()
    }

    /// Checks that this device and `other` share one session on a path that works, with nothing left to say.
    pub(crate) fn settled_with(&self, other: &Self) -> Result<(), Violation> {
        let names = format!("{} and {}", self.index, other.index);
        let stuck = |what: &str| Err(Violation::Stuck(format!("{names}: {what}")));
        let (Some(here), Some(there)) = (self.live(other.index), other.live(self.index)) else {
            return stuck("no session");
        };
        if here.multipath.current().is_none() || there.multipath.current().is_none() {
            return stuck("no path");
        }
        here.app.settled(&there.app)?;
        there.app.settled(&here.app)?;
        if !here.multipath.session.is_drained() || !there.multipath.session.is_drained() {
            return stuck("something is left to say");
        }
        if !self.requests.is_empty() {
            return stuck("a request has no answer");
        }
        Ok(())
    }

    /// No dial has gone on for longer than this.
    pub(crate) fn check_dials(&self, patience: Duration, net: &Net) -> Result<(), Violation> {
        match self.dials.values().find(|since| self.clock(net.now) - **since > patience) {
            Some(_) => Err(Violation::Dial(format!("a dial of {} does not end", self.index))),
            None => Ok(()),
        }
    }

    fn lives(&self) -> impl Iterator<Item = &Live> {
        self.sessions.values().filter(|live| live.ends_at.is_none())
    }

    fn live(&self, peer: usize) -> Option<&Live> {
        self.sessions.get(&self.engine.session(device_id(peer))?).filter(|live| live.ends_at.is_none())
    }

    /// True if it has a session with a peer that does not end.
    pub(crate) fn has_session(&self, peer: usize) -> bool {
        self.live(peer).is_some()
    }

    /// True if its app waits for the session with a peer.
    pub(crate) fn asks(&self, peer: usize) -> bool {
        self.requests.values().any(|of| *of == peer)
    }

    /// True if it has as many sessions as a device may have.
    pub(crate) fn is_full(&self) -> bool {
        self.lives().count() >= MAX_CONNECTIONS
    }

    /// Paths that its most restless session got.
    pub(crate) fn moves(&self) -> u32 {
        self.lives().map(|live| live.moves).max().unwrap_or(0)
    }

    /// Its epoch towards a peer.
    pub(crate) fn epoch(&mut self, peer: usize) -> u64 {
        self.engine.epoch(device_id(peer))
    }

    /// It does something now. What follows within a second belongs to the same time awake: no phone is asleep earlier.
    pub(crate) fn woken(&mut self, now: Instant) {
        let awake = self.wakes.last.replace(now).is_some_and(|last| now - last < Duration::from_secs(1));
        self.wakes.count += u32::from(!awake);
    }

    /// The number of times that it was woken.
    pub(crate) fn wakes(&self) -> u32 {
        self.wakes.count
    }

    /// Objects sent and received in the sessions that live.
    pub(crate) fn objects(&self) -> (u64, u64) {
        self.lives().map(|live| live.app.objects()).fold((0, 0), |(s, r), (sent, got)| (s + sent, r + got))
    }
}
