//! The trust in devices: the levels that the app gave, devices met without one, and the keys that each was first seen with.

use std::collections::{BTreeMap, HashSet, VecDeque};

use super::admission::Admission;
use crate::certificate::DeviceCertificate;
use crate::id::{DeviceId, UserId};
use crate::limits::MAX_WATCHED;
use crate::time::Instant;
use crate::trust::{KeyChanged, KnownKeys, PinOutcome, Pins, TrustLevel};

/// A level, and the state of the book in which it was read.
#[derive(Debug, Clone, Copy)]
pub struct Judgement {
    /// The level; none if the app's rule decides.
    pub level: Option<TrustLevel>,
    /// The level where the rule says nothing.
    pub otherwise: TrustLevel,
    edition: u64,
}

/// Levels given by the app, devices met without one, and pinned keys.
#[derive(Debug)]
pub(super) struct TrustBook {
    own_user: UserId,
    levels: BTreeMap<DeviceId, TrustLevel>,
    /// Devices without a level of the app's that may reach this one, the latest last: at most [`MAX_WATCHED`].
    met: VecDeque<Met>,
    pins: Pins,
    /// Counts the changes.
    edition: u64,
}

#[derive(Debug, Clone, Copy)]
struct Met {
    device: DeviceId,
    how: How,
}

/// The reason for which a device may reach this one, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    /// Its knock was accepted: it may come and be compared until then, and is not trusted.
    Knocked(Instant),
    /// A rule lets it in.
    Admitted,
    /// The app asked for a session with it: it is trusted unless a rule says something else.
    Dialed,
}

impl TrustBook {
    /// The levels that the app gave, and the keys of an earlier run. Devices of `own_user` are this device's own.
    pub(super) fn new(levels: BTreeMap<DeviceId, TrustLevel>, pins: Pins, own_user: UserId) -> Self {
        Self { own_user, levels, met: VecDeque::new(), pins, edition: 0 }
    }

    /// Sets the level of a device.
    pub(super) fn set(&mut self, device: DeviceId, level: TrustLevel) {
        self.met.retain(|met| met.device != device);
        // A policy that sets the level it answers with comes to an end.
        if self.levels.insert(device, level) != Some(level) {
            self.edition += 1;
        }
    }

    /// The decision about a device by the level that the app gave it, if it gave one.
    pub(super) fn decision(&self, device: DeviceId) -> Option<Admission> {
        self.levels.get(&device).map(|level| (*level).into())
    }

    /// The app asks for a session with this device: it is trusted where no rule says something else. Returns whether it
    /// may reach this one only now.
    pub(super) fn handle_dialed(&mut self, device: DeviceId) -> bool {
        self.meet(device, How::Dialed)
    }

    /// A rule lets this device in: from now on it may reach this one. Returns whether that is new.
    pub(super) fn handle_admitted(&mut self, device: DeviceId) -> bool {
        self.meet(device, How::Admitted)
    }

    /// A knock of this device was accepted: until then it may reach this one.
    pub(super) fn handle_knock(&mut self, device: DeviceId, until: Instant) {
        self.meet(device, How::Knocked(until));
    }

    /// True if its knock was accepted, and the digits are not compared yet.
    pub(super) fn compares(&self, device: DeviceId) -> bool {
        self.met.iter().any(|met| met.device == device && matches!(met.how, How::Knocked(_)))
    }

    /// The device came to be compared and was refused: it may reach this one until then, for the refusal to arrive.
    pub(super) fn handle_refused(&mut self, device: DeviceId, until: Instant) {
        for met in self.met.iter_mut().filter(|met| met.device == device) {
            if let How::Knocked(at) = &mut met.how {
                *at = until.min(*at);
            }
        }
    }

    /// Time has passed. Returns true if the time of a device that came to be compared is over.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> bool {
        let before = self.met.len();
        self.met.retain(|met| !matches!(met.how, How::Knocked(until) if until <= now));
        self.met.len() != before
    }

    /// The time of the next [`TrustBook::handle_timeout`].
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let until = |met: &Met| if let How::Knocked(until) = met.how { Some(until) } else { None };
        self.met.iter().filter_map(until).min()
    }

    fn meet(&mut self, device: DeviceId, how: How) -> bool {
        let before = self.met.iter().find(|met| met.device == device).copied();
        if self.levels.contains_key(&device) || before.is_some_and(|met| met.how >= how) {
            return false;
        }
        self.met.retain(|met| met.device != device);
        if self.met.len() >= MAX_WATCHED {
            self.met.pop_front();
        }
        self.met.push_back(Met { device, how });
        self.edition += 1;
        // A device that came to be compared could not do more than that.
        before.is_none_or(|met| matches!(met.how, How::Knocked(_)))
    }

    /// Judges a device. Without its user neither the app's rule nor the own user's devices count.
    pub(super) fn judge(&self, device: DeviceId, user: Option<UserId>) -> Judgement {
        let dialed = self.met.iter().any(|met| met.device == device && met.how == How::Dialed);
        let otherwise = if dialed { TrustLevel::Trusted } else { TrustLevel::Unknown };
        let level = match (self.levels.get(&device), user) {
            (Some(level), _) => Some(*level),
            (None, None) => Some(otherwise),
            (None, Some(user)) => (user == self.own_user).then_some(TrustLevel::Own),
        };
        Judgement { level, otherwise, edition: self.edition }
    }

    /// True if nothing has changed since this judgement.
    pub(super) fn stands(&self, judgement: Judgement) -> bool {
        self.edition == judgement.edition
    }

    /// The keys a device was first seen with.
    pub(super) fn known_keys(&self, device: DeviceId) -> Option<KnownKeys> {
        self.pins.get(&device).copied()
    }

    /// Remembers the keys of a device that was admitted.
    ///
    /// # Errors
    /// It is known with others: whatever it proved, it is refused (D06).
    pub(super) fn pin(&mut self, certificate: &DeviceCertificate) -> Result<PinOutcome, KeyChanged> {
        let Self { levels, met, pins, own_user, .. } = self;
        let dialed: HashSet<_> =
            met.iter().filter(|met| met.how == How::Dialed).map(|met| met.device).collect();
        // Without the policy: it is the app's code, and may call the client, which may need the book.
        pins.pin(certificate, |device, user| match levels.get(&device) {
            Some(level) => *level,
            None if user == *own_user => TrustLevel::Own,
            None if dialed.contains(&device) => TrustLevel::Trusted,
            None => TrustLevel::Unknown,
        })
    }

    /// Checks that a device presents the keys it is known with.
    ///
    /// # Errors
    /// See [`TrustBook::pin`].
    pub(super) fn check(&self, certificate: &DeviceCertificate) -> Result<bool, KeyChanged> {
        self.pins.check(certificate)
    }

    /// Devices that may reach this one through a relay and see its presence: the most trusted first, since a relay
    /// takes [`MAX_WATCHED`] at most.
    pub(super) fn visible(&self) -> Vec<DeviceId> {
        let mut named: Vec<_> = self
            .levels
            .iter()
            .filter(|(_, level)| **level >= TrustLevel::NewDevice)
            .map(|(device, level)| (*level, *device))
            .collect();
        named.sort_unstable_by(|a, b| b.cmp(a));
        let met = self.met.iter().rev().map(|met| met.device);
        named.into_iter().map(|(_, device)| device).chain(met).take(MAX_WATCHED).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &[u8] = b"own";

    fn book() -> TrustBook {
        TrustBook::new(BTreeMap::new(), Pins::default(), UserId::derive(OWN))
    }

    /// The level, where the app's rule says this.
    fn level(
        book: &TrustBook,
        device: DeviceId,
        user: Option<UserId>,
        rule: Option<TrustLevel>,
    ) -> TrustLevel {
        let Judgement { level, otherwise, .. } = book.judge(device, user);
        level.or(rule).unwrap_or(otherwise)
    }

    // proves S127: dialing is no judgement where there is one.
    #[test]
    fn a_dial_overrules_no_rule_and_lowers_no_level() {
        let (device, user) = (DeviceId::derive(b"a"), UserId::derive(b"u"));
        for (rule, user, expected) in [
            (None, user, TrustLevel::Trusted),
            (Some(TrustLevel::Malicious), user, TrustLevel::Malicious),
            (None, UserId::derive(OWN), TrustLevel::Own),
        ] {
            let mut book = book();
            book.handle_dialed(device);
            assert_eq!(level(&book, device, Some(user), rule), expected);
        }
        let mut named = book();
        named.set(device, TrustLevel::Untrusted);
        named.handle_dialed(device);
        assert_eq!(level(&named, device, None, None), TrustLevel::Untrusted);
        assert!(named.visible().is_empty());
    }

    #[test]
    fn a_judgement_stands_until_something_changes() {
        let (mut book, device) = (book(), DeviceId::derive(b"a"));
        let judgement = book.judge(device, None);
        assert!(book.stands(judgement));
        book.set(device, TrustLevel::Malicious);
        assert!(!book.stands(judgement));
    }

    // proves S127: a person who lets a device come and be compared has not trusted it yet.
    #[test]
    fn an_accepted_knock_lets_a_device_come_for_a_while_and_no_more() {
        let (mut book, device) = (book(), DeviceId::derive(b"a"));
        let at = |seconds: u64| Instant::from_micros(seconds * 1_000_000);
        book.handle_knock(device, at(90));
        assert!(book.compares(device) && book.visible().contains(&device));
        assert_eq!(level(&book, device, None, None), TrustLevel::Unknown);
        book.handle_knock(device, at(120));
        assert!(!book.handle_timeout(at(90)), "it has knocked again");
        assert!(book.handle_timeout(at(120)) && book.visible().is_empty());
        book.handle_knock(device, at(200));
        book.handle_refused(device, at(131));
        assert_eq!(book.poll_timeout(), Some(at(131)), "the refusal has a moment to arrive");
        assert!(book.handle_timeout(at(131)) && book.visible().is_empty());
        // What says more is not forgotten.
        for meet in [TrustBook::handle_admitted, TrustBook::handle_dialed] {
            book.handle_knock(device, at(200));
            meet(&mut book, device);
            book.handle_knock(device, at(300));
            book.handle_refused(device, at(201));
            assert!(!book.handle_timeout(at(300)) && book.poll_timeout().is_none());
            assert_eq!(book.visible(), [device]);
        }
    }

    #[test]
    fn devices_met_are_bounded_and_the_most_trusted_are_visible_first() {
        let mut book = book();
        let device = |n: usize| DeviceId::derive(&n.to_be_bytes());
        for n in 0..2 * MAX_WATCHED {
            book.handle_admitted(device(n));
        }
        assert_eq!(book.met.len(), MAX_WATCHED);
        let known = device(usize::MAX);
        book.set(known, TrustLevel::Known);
        let visible = book.visible();
        assert_eq!((visible.len(), visible[0]), (MAX_WATCHED, known));
        assert_eq!(visible[1], device(2 * MAX_WATCHED - 1), "the latest of the others");
    }
}
