//! Dials: each looks for a path to one device, over all ways that the settings allow.
//!
//! ```text
//! FindRelay ─┬─ keys known ──────────────────────────────┬─> ways side by side ─> ways that could wait
//!            │                └─ not seen: knock, wait ──┤
//!            └─> FetchCertificate ───────────────────────┤
//!                             └─ none: knock, wait ──────┘
//! ```
//!
//! Where the keys are known, the device's addresses are dialed beside all this: they need no relay.
//!
//! A relay gives the certificate of a device, and reports its presence, only with that device's consent. If the app waits for
//! the device, the device is asked by a knock, about which a person may have to decide. The first way that connects decides a
//! dial; the others go on, since they may lead to something better. A dial belongs to the epoch in which it began: when that
//! session closes, the dial ends with it.

use super::peers::Live;
use super::{Engine, Output, Way};
use crate::certificate::DeviceCertificate;
use crate::dial::{Outcome, Purpose};
use crate::id::DeviceId;
use crate::path::Route;
use crate::time::Instant;
use crate::timing::{APPROVAL_TIMEOUT, HANDSHAKE_TIMEOUT, KNOCK_PATIENCE};

/// Tries of one dial through relays that end while it is under way.
const RELAY_TRIES: u32 = 3;

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
    stage: Stage,
    /// A way has connected, or the dial has failed: nothing joins it any more.
    decided: bool,
    /// The dialer wants to know the outcome.
    pub(super) for_dialer: bool,
    /// The addresses of the device were taken already.
    addresses_taken: bool,
    /// Ways that are being taken.
    under_way: usize,
    /// The tries of the way through relays.
    relay_tries: u32,
    /// The time of the last of them.
    relay_taken: Instant,
    /// Ways that wait until those have failed.
    later: Vec<Way>,
    failures: Vec<String>,
}

/// The step that a dial waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// A relay that has registered this device.
    Relay,
    /// The certificate of the device, from a relay.
    Certificate,
    /// The device's answer to a knock, which has its keys.
    Keys { until: Instant },
    /// A relay that sees the device after a knock. It is away, or was started anew and knows nothing of this one.
    Consent { until: Instant },
    /// The ways that it takes.
    Ways,
}

impl Dial {
    /// True if the way through relays is worth another try after this failure.
    fn tries_again(&self, failure: &DialFailure, now: Instant) -> bool {
        let silent = self.relay_tries == 1 && now - self.relay_taken >= HANDSHAKE_TIMEOUT;
        self.relay_tries < RELAY_TRIES && (silent || matches!(failure, DialFailure::Offline(_)))
    }
}

impl Engine {
    /// Our epoch when a dial began; `None` if it has ended.
    pub fn epoch_of(&self, dial: DialId) -> Option<u64> {
        Some(self.dials.get(&dial)?.epoch)
    }

    /// A relay has registered this device, or none has, for this reason.
    pub fn handle_relay(&mut self, id: DialId, relay: Result<(), String>, now: Instant) {
        let Some(dial) = self.dials.get_mut(&id).filter(|dial| dial.stage == Stage::Relay) else { return };
        let device = dial.device;
        // Addresses of the device are taken beside the search, or were.
        let tried = dial.decided || dial.under_way > 0 || !dial.failures.is_empty();
        match relay {
            Ok(()) if dial.decided => {
                dial.stage = Stage::Ways;
                self.go_on(id, now);
            }
            Err(why) if !tried => self.fail(id, DialFailure::Offline(why), now),
            Err(why) => {
                dial.failures.push(format!("relay: {why}"));
                dial.stage = Stage::Ways;
                self.go_on(id, now);
            }
            Ok(()) if self.keys_of(device).is_none() => {
                self.advance(id, Stage::Certificate);
                self.outputs.push_back(Output::FetchCertificate(id, device));
            }
            Ok(()) if self.is_wanted(device) && !self.is_seen(device) => {
                self.advance(id, Stage::Consent { until: now + KNOCK_PATIENCE });
                self.outputs.push_back(Output::Knock(device));
            }
            Ok(()) => self.take_ways(id, now),
        }
        self.follow_dialer();
    }

    /// A relay has given the certificate of the device that is dialed, or none has one.
    pub fn handle_fetched(&mut self, id: DialId, certificate: Option<&DeviceCertificate>, now: Instant) {
        let Some(dial) = self.dials.get_mut(&id).filter(|dial| dial.stage == Stage::Certificate) else {
            return;
        };
        let device = dial.device;
        // It proves itself against the id, so no other keys can be pinned yet.
        if certificate.is_some_and(|certificate| self.handle_certificate(certificate, now).is_ok()) {
            return;
        }
        if self.is_wanted(device) {
            self.advance(id, Stage::Keys { until: now + APPROVAL_TIMEOUT });
            self.outputs.push_back(Output::Knock(device));
        } else {
            self.fail_away(id, now);
        }
        self.follow_dialer();
    }

    /// The keys of a device are known: dials that waited for them go on.
    pub(super) fn dial_with_keys(&mut self, device: DeviceId, now: Instant) {
        let waits = |stage| matches!(stage, Stage::Certificate | Stage::Keys { .. });
        self.resume_dials(device, waits, now);
    }

    /// A relay sees a device, which has consented: dials that waited for that go on.
    pub(super) fn dial_with_consent(&mut self, device: DeviceId, now: Instant) {
        self.resume_dials(device, |stage| matches!(stage, Stage::Consent { .. }), now);
    }

    fn resume_dials(&mut self, device: DeviceId, waits: impl Fn(Stage) -> bool, now: Instant) {
        let of_device = self.dials.iter().filter(|(_, dial)| dial.device == device && waits(dial.stage));
        for id in of_device.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.take_ways(id, now);
        }
        self.follow_dialer();
    }

    fn advance(&mut self, id: DialId, stage: Stage) {
        if let Some(dial) = self.dials.get_mut(&id) {
            dial.stage = stage;
        }
    }

    fn take_ways(&mut self, id: DialId, now: Instant) {
        let Some(dial) = self.dials.get(&id) else { return };
        let to_dial = self.ways_of(dial.device, dial.purpose);
        let Some(dial) = self.dials.get_mut(&id) else { return };
        dial.stage = Stage::Ways;
        match to_dial {
            Ok([mut at_once, later]) => {
                at_once.retain(|way| !(dial.addresses_taken && way.is_address()));
                dial.later = later;
                self.take(id, at_once, now);
                self.go_on(id, now);
            }
            Err(why) => self.fail(id, DialFailure::Unreachable(why.into()), now),
        }
    }

    /// The ways that a dial takes at once, and those that can wait.
    fn ways_of(&self, device: DeviceId, purpose: Purpose) -> Result<[Vec<Way>; 2], &'static str> {
        let route = |live: &Live| live.state.route;
        let than = match purpose {
            Purpose::Path => None,
            Purpose::Better => self.peers.live_of(device).and_then(route).map(Route::tier),
        };
        self.ways.to_dial(device, than)
    }

    /// Takes the addresses of a device whose keys are known.
    fn take_addresses(&mut self, id: DialId) {
        let Some(dial) = self.dials.get(&id).filter(|dial| self.keys_of(dial.device).is_some()) else {
            return;
        };
        let device = dial.device;
        let Ok([mut at_once, _]) = self.ways_of(device, dial.purpose) else { return };
        at_once.retain(Way::is_address);
        if let Some(dial) = self.dials.get_mut(&id) {
            (dial.addresses_taken, dial.under_way) = (true, at_once.len());
        }
        self.outputs.extend(at_once.into_iter().map(|way| Output::Take(id, device, way)));
    }

    fn fail_away(&mut self, id: DialId, now: Instant) {
        let away = "it is away, or does not let this device in";
        self.fail(id, DialFailure::Unreachable(away.into()), now);
    }

    pub(super) fn dials_timeout(&self) -> Option<Instant> {
        let until = |dial: &Dial| match dial.stage {
            Stage::Keys { until } | Stage::Consent { until } => Some(until),
            Stage::Relay | Stage::Certificate | Stage::Ways => None,
        };
        self.dials.values().filter_map(until).min()
    }

    pub(super) fn handle_dials_timeout(&mut self, now: Instant) {
        let stages: Vec<_> = self.dials.iter().map(|(id, dial)| (*id, dial.stage)).collect();
        for (id, stage) in stages {
            match stage {
                Stage::Keys { until } if until <= now => self.fail_away(id, now),
                Stage::Consent { until } if until <= now => self.take_ways(id, now),
                _ => {}
            }
        }
    }

    /// A way has led to a path, or has failed. Through relays the dial tries again if a relay has ended meanwhile
    /// ([`DialFailure::Offline`]) or the network has lost what was sent, and not if the peer fails.
    pub fn handle_way(&mut self, id: DialId, way: &Way, outcome: Result<(), DialFailure>, now: Instant) {
        let Some(dial) = self.dials.get_mut(&id) else { return };
        dial.under_way = dial.under_way.saturating_sub(1);
        match outcome {
            Ok(()) => self.decide(id, Ok(()), now),
            // The peer itself has answered: other ways lead to the same answer.
            Err(DialFailure::Denied) => self.fail(id, DialFailure::Denied, now),
            Err(failure) if *way == Way::Relay && dial.tries_again(&failure, now) => {
                self.take(id, vec![Way::Relay], now);
            }
            Err(failure) => dial.failures.push(format!("{}: {failure}", way.name())),
        }
        self.go_on(id, now);
        self.follow_dialer();
    }

    /// Once no way is under way: ends a decided dial, takes the ways that could wait, or fails.
    fn go_on(&mut self, id: DialId, now: Instant) {
        let Some(dial) = self.dials.get_mut(&id).filter(|dial| dial.under_way == 0) else { return };
        let waits = dial.stage != Stage::Ways;
        match std::mem::take(&mut dial.later) {
            _ if dial.decided => self.stop_dial(id),
            // The addresses have failed, and the relay may know more.
            later if waits => dial.later = later,
            later if later.is_empty() => {
                let failures = dial.failures.join("; ");
                self.fail(id, DialFailure::Unreachable(failures), now);
            }
            later => self.take(id, later, now),
        }
    }

    /// Dials a device, unless a dial for this purpose is under way and undecided.
    pub(super) fn dial(&mut self, device: DeviceId, purpose: Purpose) -> DialId {
        let joins = |dial: &Dial| dial.device == device && dial.purpose == purpose && !dial.decided;
        if let Some((id, _)) = self.dials.iter().find(|(_, dial)| joins(dial)) {
            return *id;
        }
        let (id, epoch) = (DialId(self.next_id()), self.epoch(device));
        let dial = Dial {
            device,
            purpose,
            epoch,
            stage: Stage::Relay,
            decided: false,
            for_dialer: false,
            addresses_taken: false,
            under_way: 0,
            relay_tries: 0,
            relay_taken: Instant::ZERO,
            later: Vec::new(),
            failures: Vec::new(),
        };
        self.dials.insert(id, dial);
        self.outputs.push_back(Output::FindRelay(id, device));
        self.take_addresses(id);
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

    fn take(&mut self, id: DialId, ways: Vec<Way>, now: Instant) {
        let Some(dial) = self.dials.get_mut(&id) else { return };
        dial.under_way += ways.len();
        let (device, epoch) = (dial.device, dial.epoch);
        for way in ways {
            match way {
                Way::WebRtc => self.negotiations.dial(device, id, epoch, now),
                way => {
                    if way == Way::Relay {
                        (dial.relay_tries, dial.relay_taken) = (dial.relay_tries + 1, now);
                    }
                    self.outputs.push_back(Output::Take(id, device, way));
                }
            }
        }
        self.follow_negotiations(now);
    }

    fn fail(&mut self, id: DialId, failure: DialFailure, now: Instant) {
        self.decide(id, Err(failure), now);
        self.stop_dial(id);
    }

    fn stop_dial(&mut self, id: DialId) {
        if let Some(dial) = self.dials.remove(&id) {
            self.negotiations.cancel_dial(dial.device, id);
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
