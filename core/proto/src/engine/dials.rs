//! Dials: each looks for a path to one device, over all ways that the settings allow.
//!
//! A dial asks for the keys of its device, takes its ways side by side, and takes the ways that could wait when those have
//! failed. The first way that connects decides it; the others go on, since they may lead to something better. A dial belongs
//! to the epoch in which it began: when that session closes, the dial ends with it.

use super::{Engine, Output, Way};
use crate::dial::{Outcome, Purpose};
use crate::id::DeviceId;
use crate::path::Route;
use crate::time::Instant;

/// Identifies a dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);

/// The reason for which there is no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialFailure {
    /// One of the two devices does not let the other in.
    Denied,
    /// The app is suspended.
    Suspended,
    /// No relay knows this device, for this reason.
    Offline(String),
    /// No way leads to the device, for these reasons.
    Unreachable(String),
}

impl std::fmt::Display for DialFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Denied => f.write_str("denied"),
            Self::Suspended => f.write_str("the app is suspended"),
            Self::Offline(why) | Self::Unreachable(why) => f.write_str(why),
        }
    }
}

#[derive(Debug)]
pub(super) struct Dial {
    device: DeviceId,
    purpose: Purpose,
    /// Our epoch when the dial began.
    epoch: u64,
    /// A way has connected, or the dial has failed: nothing joins it any more.
    decided: bool,
    /// A request began it. Any other dial does not knock at a device whose keys are not known.
    wanted: bool,
    /// The dialer wants to know the outcome.
    pub(super) for_dialer: bool,
    /// Ways that are being taken.
    under_way: usize,
    /// Ways that wait until those have failed.
    later: Vec<Way>,
    failures: Vec<String>,
}

impl Engine {
    /// Our epoch when a dial began; `None` if it has ended.
    pub fn epoch_of(&self, dial: DialId) -> Option<u64> {
        Some(self.dials.get(&dial)?.epoch)
    }

    /// The keys of the device that is dialed are known, or cannot be learned.
    pub fn handle_keys(&mut self, id: DialId, keys: Result<(), DialFailure>, now: Instant) {
        let Some(dial) = self.dials.get_mut(&id) else { return };
        let device = dial.device;
        let than = match dial.purpose {
            Purpose::Path => None,
            Purpose::Better => self.peers.live_of(device).and_then(|live| live.state.route).map(Route::tier),
        };
        let unreachable = |why: &str| DialFailure::Unreachable(why.into());
        match keys.and_then(|()| self.ways.to_dial(device, than).map_err(unreachable)) {
            Ok([at_once, later]) => {
                dial.later = later;
                self.take(id, at_once);
            }
            Err(failure) => {
                if !dial.wanted {
                    // A request that has joined it gets a dial that knocks.
                    self.leave_dial(id);
                }
                self.fail(id, failure, now);
                self.serve(device);
            }
        }
        self.follow_dialer();
    }

    /// A way has led to a path, or has failed.
    pub fn handle_way(&mut self, id: DialId, way: &Way, outcome: Result<(), DialFailure>, now: Instant) {
        let Some(dial) = self.dials.get_mut(&id) else { return };
        dial.under_way = dial.under_way.saturating_sub(1);
        match outcome {
            Ok(()) => self.decide(id, Ok(()), now),
            // The peer itself has answered: other ways lead to the same answer.
            Err(DialFailure::Denied) => self.fail(id, DialFailure::Denied, now),
            Err(failure) => dial.failures.push(format!("{}: {failure}", way.name())),
        }
        if let Some(dial) = self.dials.get_mut(&id).filter(|dial| dial.under_way == 0) {
            if dial.decided {
                self.stop_dial(id);
            } else if dial.later.is_empty() {
                let failures = dial.failures.join("; ");
                self.fail(id, DialFailure::Unreachable(failures), now);
            } else {
                let later = std::mem::take(&mut dial.later);
                self.take(id, later);
            }
        }
        self.follow_dialer();
    }

    /// Dials a device, unless a dial for this purpose is under way and undecided.
    pub(super) fn dial(&mut self, device: DeviceId, purpose: Purpose, wanted: bool) -> DialId {
        let joins = |dial: &Dial| dial.device == device && dial.purpose == purpose && !dial.decided;
        if let Some((id, _)) = self.dials.iter().find(|(_, dial)| joins(dial)) {
            return *id;
        }
        let (id, epoch) = (DialId(self.next_id()), self.epoch(device));
        let dial = Dial {
            device,
            purpose,
            epoch,
            decided: false,
            wanted,
            for_dialer: false,
            under_way: 0,
            later: Vec::new(),
            failures: Vec::new(),
        };
        self.dials.insert(id, dial);
        self.outputs.push_back(Output::LearnKeys(id, device));
        id
    }

    /// A session with this device was closed: dials that began for it end without an outcome, and the
    /// requests that waited for them are to be served.
    pub(super) fn stop_closed_dials(&mut self, device: DeviceId) {
        let of_closed = |dial: &Dial| dial.device == device && self.peers.has_closed(device, dial.epoch);
        let stale: Vec<_> =
            self.dials.iter().filter(|(_, dial)| of_closed(dial)).map(|(id, _)| *id).collect();
        stale.into_iter().for_each(|id| self.stop_dial(id));
    }

    /// The network that every dial began on is gone: they end without an outcome.
    pub(super) fn stop_all_dials(&mut self) {
        let all: Vec<_> = self.dials.keys().copied().collect();
        all.into_iter().for_each(|id| self.stop_dial(id));
        self.serve_all();
    }

    fn take(&mut self, id: DialId, ways: Vec<Way>) {
        let Some(dial) = self.dials.get_mut(&id) else { return };
        dial.under_way += ways.len();
        let device = dial.device;
        self.outputs.extend(ways.into_iter().map(|way| Output::Take(id, device, way)));
    }

    fn fail(&mut self, id: DialId, failure: DialFailure, now: Instant) {
        self.decide(id, Err(failure), now);
        self.stop_dial(id);
    }

    fn stop_dial(&mut self, id: DialId) {
        if self.dials.remove(&id).is_some() {
            self.outputs.push_back(Output::Stop(id));
            self.leave_dial(id);
        }
    }

    /// The first outcome of a dial counts.
    fn decide(&mut self, id: DialId, outcome: Result<(), DialFailure>, now: Instant) {
        let Some(dial) = self.dials.get_mut(&id) else { return };
        if std::mem::replace(&mut dial.decided, true) {
            return;
        }
        let (device, purpose) = (dial.device, dial.purpose);
        if dial.for_dialer {
            let outcome = match &outcome {
                Ok(()) => Outcome::Connected,
                Err(DialFailure::Denied) => Outcome::Denied,
                Err(_) => Outcome::Failed,
            };
            self.dialer.handle_outcome(device, purpose, outcome, now);
        }
        self.handle_dialed(id, outcome);
    }

    /// Requests wait for this dial no longer.
    fn leave_dial(&mut self, id: DialId) {
        for request in self.requests.values_mut() {
            request.dial.take_if(|dial| *dial == id);
        }
    }
}
