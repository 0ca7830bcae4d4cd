//! Handshakes under way: the places of devices that connect, and the consent to a peer that has proven who it is.
//!
//! ```text
//! incoming ─> waits for a place ─> Begin ─┐                     ┌─> Consent ─> ready ─> establish
//! dialed ─────────────────────────────────┴─> authenticated ────┤
//!                                                      Ask ─────┴─> Refuse, Leave
//! ```
//!
//! Messages and cryptography are the driver's. Each kind of caller has places of its own, so that strangers cannot take those
//! of known devices. A place is free again when the peer has proven an identity, since what follows waits for the app.

use std::collections::VecDeque;

use super::admission::{Admission, Applicant};
use super::{Engine, Output};
use crate::bucket::Bucket;
use crate::certificate::DeviceCertificate;
use crate::id::{DeviceId, UserId};
use crate::limits::{
    ARRIVAL_BURST, ARRIVALS_PER_SECOND, MAX_CONNECTIONS, MAX_HANDSHAKES, MAX_STRANGER_HANDSHAKES,
};
use crate::session::Resume;
use crate::time::Instant;
use crate::timing::{GOODBYE, HANDSHAKE_TIMEOUT};
use crate::trust::{KnownKeys, PinOutcome, TrustLevel};

/// Identifies a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandshakeId(u64);

/// The next step of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeStep {
    /// Exchange the messages: there is a place for it.
    Begin,
    /// Tell the peer that a person is asked here.
    Ask,
    /// Send READY, which [`Engine::ready`] gives.
    Consent,
    /// Refuse the peer, or close the transport if no message was exchanged.
    Refuse,
    /// Close the transport without a word: the peer's other ways go on.
    Leave,
}

/// A handshake that has not led to a path yet.
#[derive(Debug)]
pub(super) struct PendingHandshake {
    /// Our epoch when it was dialed; none if the peer began it.
    dialed_as: Option<u64>,
    place: HandshakePlace,
    /// The peer, once it has proven who it is.
    pub(super) peer: Option<(DeviceId, UserId)>,
    consented: bool,
    /// READY of this device.
    pub(super) ours: Option<Resume>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HandshakePlace {
    /// It waits for one until then.
    Awaited {
        known: bool,
        until: Instant,
    },
    Taken {
        known: bool,
    },
    /// It needs none.
    None,
}

impl PendingHandshake {
    fn new(dialed_as: Option<u64>, place: HandshakePlace) -> Self {
        Self { dialed_as, place, peer: None, consented: false, ours: None }
    }

    pub(super) fn is_dialed(&self) -> bool {
        self.dialed_as.is_some()
    }
}

impl Engine {
    /// A device has begun a connection. `level`: that of the device which the carrier names; a carrier that lies about it gains
    /// a place and no more. Beyond the places a handshake waits for its turn, until its caller has given up.
    pub fn handle_incoming(&mut self, level: TrustLevel, now: Instant) -> HandshakeId {
        let known = Admission::from(level) == Admission::Admit;
        let place = HandshakePlace::Awaited { known, until: now + HANDSHAKE_TIMEOUT };
        let id = self.add_handshake(PendingHandshake::new(None, place));
        self.give_places();
        id
    }

    /// A device has begun a connection that is bounded otherwise: it begins at once.
    pub fn handle_accepted(&mut self) -> HandshakeId {
        let id = self.add_handshake(PendingHandshake::new(None, HandshakePlace::None));
        self.step(id, HandshakeStep::Begin);
        id
    }

    /// This device has begun a connection, in a dial of this epoch.
    pub fn handle_outgoing(&mut self, epoch: u64) -> HandshakeId {
        self.add_handshake(PendingHandshake::new(Some(epoch), HandshakePlace::None))
    }

    /// Counts a handshake that a device has passed. Returns the time before which it is not answered: a device that connects
    /// again and again waits longer and longer and costs no more.
    pub fn handle_arrival(&mut self, device: DeviceId, now: Instant) -> Option<Instant> {
        self.arrivals.take(device, now)
    }

    /// The peer of a handshake has proven who it is; `level`: its level now. [`HandshakeStep::Consent`] or
    /// [`HandshakeStep::Refuse`] follows, at once or with the answer of the app.
    pub fn handle_authenticated(
        &mut self,
        id: HandshakeId,
        applicant: Applicant,
        level: TrustLevel,
        now: Instant,
    ) {
        let Some(pending) = self.handshakes.get_mut(&id) else { return };
        let (device, user) = (applicant.certificate.device_id(), applicant.certificate.user_id());
        pending.place = HandshakePlace::None;
        pending.peer = Some((device, user));
        match level.into() {
            Admission::Refuse => self.step(id, HandshakeStep::Refuse),
            Admission::Ask => self.ask_about(id, applicant, now),
            Admission::Admit => {
                self.let_in(device);
                self.settle(id, &applicant.certificate, true);
            }
        }
        self.give_places();
    }

    /// Consents to the peer of a handshake or refuses it. A peer that is known with other keys is refused, whatever it has
    /// proven (D06).
    pub(super) fn settle(&mut self, id: HandshakeId, certificate: &DeviceCertificate, accepted: bool) {
        let consented = accepted && self.pin(certificate);
        if let Some(pending) = self.handshakes.get_mut(&id) {
            pending.consented = consented;
            self.step(id, if consented { HandshakeStep::Consent } else { HandshakeStep::Refuse });
        }
    }

    /// Remembers the keys of a device. False if it is known with others.
    fn pin(&mut self, certificate: &DeviceCertificate) -> bool {
        let Ok(PinOutcome { kept, removed }) = self.book.pin(certificate) else { return false };
        self.outputs.extend(removed.map(|device| Output::Keys(device, None)));
        if kept {
            let keys = Box::new(KnownKeys::of(certificate));
            self.outputs.push_back(Output::Keys(certificate.device_id(), Some(keys)));
        }
        true
    }

    /// READY of this device in a handshake. `next`: the first frame that the session with the peer has not received, 0 without
    /// one. `None` without consent.
    pub fn ready(&mut self, id: HandshakeId, next: u64) -> Option<Resume> {
        let pending = self.handshakes.get(&id).filter(|pending| pending.consented)?;
        let ((device, _), dialed_as) = (pending.peer?, pending.dialed_as);
        let ours = self.peers.ready(device, dialed_as, next);
        self.handshakes.get_mut(&id)?.ours = Some(ours);
        Some(ours)
    }

    /// A handshake has ended without a path. A device that came to be compared and was not accepted may not come again.
    pub fn end_handshake(&mut self, id: HandshakeId, now: Instant) {
        let Some(pending) = self.handshakes.remove(&id) else { return };
        if let Some((device, _)) = pending.peer.filter(|_| !pending.consented) {
            // Without consent the relay delivers nothing, so the refusal has a moment to arrive.
            self.book.handle_refused(device, now + GOODBYE);
        }
        self.give_places();
    }

    /// The peer of a handshake, once it has proven who it is.
    pub fn peer_of(&self, id: HandshakeId) -> Option<DeviceId> {
        Some(self.handshakes.get(&id)?.peer?.0)
    }

    pub(super) fn step(&mut self, id: HandshakeId, step: HandshakeStep) {
        self.outputs.push_back(Output::Handshake(id, step));
    }

    pub(super) fn handshakes_timeout(&self) -> Option<Instant> {
        let until = |pending: &PendingHandshake| match pending.place {
            HandshakePlace::Awaited { until, .. } => Some(until),
            HandshakePlace::Taken { .. } | HandshakePlace::None => None,
        };
        self.handshakes.values().filter_map(until).min()
    }

    pub(super) fn handle_handshakes_timeout(&mut self, now: Instant) {
        for (id, pending) in &mut self.handshakes {
            if matches!(pending.place, HandshakePlace::Awaited { until, .. } if until <= now) {
                pending.place = HandshakePlace::None;
                self.outputs.push_back(Output::Handshake(*id, HandshakeStep::Refuse));
            }
        }
    }

    fn add_handshake(&mut self, pending: PendingHandshake) -> HandshakeId {
        let id = HandshakeId(self.next_id());
        self.handshakes.insert(id, pending);
        id
    }

    /// Gives free places to the handshakes that wait longest.
    fn give_places(&mut self) {
        for (kind, places) in [(true, MAX_HANDSHAKES), (false, MAX_STRANGER_HANDSHAKES)] {
            let is_taken =
                |pending: &&PendingHandshake| pending.place == HandshakePlace::Taken { known: kind };
            let free = places - self.handshakes.values().filter(is_taken).count();
            let awaits = |(_, pending): &(_, &mut PendingHandshake)| matches!(pending.place, HandshakePlace::Awaited { known, .. } if known == kind);
            for (id, pending) in self.handshakes.iter_mut().filter(awaits).take(free) {
                pending.place = HandshakePlace::Taken { known: kind };
                self.outputs.push_back(Output::Handshake(*id, HandshakeStep::Begin));
            }
        }
    }
}

/// The rates of the devices that connected latest.
#[derive(Debug, Default)]
pub(super) struct Arrivals(VecDeque<(DeviceId, Bucket)>);

impl Arrivals {
    /// More devices than can be connected: the rate of one is not forgotten by others' arrivals alone.
    const REMEMBERED: usize = 4 * MAX_CONNECTIONS;

    fn take(&mut self, device: DeviceId, now: Instant) -> Option<Instant> {
        let known = self.0.iter().position(|(other, _)| *other == device).and_then(|at| self.0.remove(at));
        let (_, mut bucket) =
            known.unwrap_or_else(|| (device, Bucket::new(ARRIVALS_PER_SECOND, ARRIVAL_BURST)));
        let ready = bucket.take(1, now);
        if self.0.len() >= Self::REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((device, bucket));
        ready
    }
}
