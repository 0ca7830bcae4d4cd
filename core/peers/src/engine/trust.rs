//! The levels of devices, and the keys each was first seen with.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peers_proto::certificate::DeviceCertificate;
use peers_proto::id::{DeviceId, UserId};
use peers_proto::limits::MAX_WATCHED;
use peers_proto::time::Instant;
use peers_proto::trust::{KeyChanged, KnownKeys, Pins, TrustLevel};

/// The app's own rule. Asked on a task of the client, several times for one connection: it must answer at once.
pub trait TrustPolicy: Send + Sync + 'static {
    /// The level of a device that has proven who it is; `None` leaves it to [`crate::Event::Incoming`].
    fn trust(&self, device: DeviceId, user: UserId) -> Option<TrustLevel>;
}

/// The decision about a device that has proven who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Admit,
    Ask,
    Refuse,
}

impl From<TrustLevel> for Admission {
    fn from(level: TrustLevel) -> Self {
        if level <= TrustLevel::Untrusted {
            Self::Refuse
        } else if level >= TrustLevel::NewDevice {
            Self::Admit
        } else {
            Self::Ask
        }
    }
}

/// A level, and the state of the book it was read in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judgement {
    pub(crate) level: TrustLevel,
    edition: u64,
}

/// Levels given by the app, devices met without one, and pinned keys.
pub(crate) struct TrustBook {
    book: Mutex<Book>,
    policy: Option<Arc<dyn TrustPolicy>>,
    own_user: UserId,
}

struct Book {
    levels: HashMap<DeviceId, TrustLevel>,
    /// Devices without a level of the app's that may reach this one, the latest last: at most [`MAX_WATCHED`].
    met: VecDeque<Met>,
    pins: Pins,
    /// Counts the changes.
    edition: u64,
}

#[derive(Clone, Copy)]
struct Met {
    device: DeviceId,
    how: How,
}

/// How it came that a device may reach this one. What says more comes later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    /// Its knock was accepted: it may come and be compared until then, and is not trusted.
    Knocked(Instant),
    /// A rule lets it in.
    Admitted,
    /// The app asked for a session with it: it is trusted unless a rule says something else.
    Dialed,
}

impl TrustBook {
    pub(crate) fn new(
        levels: HashMap<DeviceId, TrustLevel>,
        policy: Option<Arc<dyn TrustPolicy>>,
        own_user: UserId,
    ) -> Self {
        let book = Book { levels, met: VecDeque::new(), pins: Pins::default(), edition: 0 };
        Self { book: Mutex::new(book), policy, own_user }
    }

    pub(crate) fn set(&self, device: DeviceId, level: TrustLevel) {
        let mut book = self.lock();
        book.met.retain(|met| met.device != device);
        // A policy that sets the level it answers with comes to an end.
        if book.levels.insert(device, level) != Some(level) {
            book.edition += 1;
        }
    }

    /// The app asks for a session with this device: it is trusted where no rule says something else. Returns whether it
    /// may reach this one only now.
    pub(crate) fn handle_dialed(&self, device: DeviceId) -> bool {
        self.meet(device, How::Dialed)
    }

    /// A rule lets this device in: from now on it may reach this one. Returns whether that is new.
    pub(crate) fn handle_admitted(&self, device: DeviceId) -> bool {
        self.meet(device, How::Admitted)
    }

    /// A knock of this device was accepted: until then it may reach this one.
    pub(crate) fn handle_knock(&self, device: DeviceId, until: Instant) {
        self.meet(device, How::Knocked(until));
    }

    /// Whether its knock was accepted, and the digits are not compared yet.
    pub(crate) fn compares(&self, device: DeviceId) -> bool {
        self.lock().met.iter().any(|met| met.device == device && matches!(met.how, How::Knocked(_)))
    }

    /// The digits were not the same, or nobody said so: the device may not reach this one any more. Returns whether it could.
    pub(crate) fn handle_refused(&self, device: DeviceId) -> bool {
        self.forget(|met| met.device == device && matches!(met.how, How::Knocked(_)))
    }

    /// Time has passed. Returns whether a device that came to be compared has had its time.
    pub(crate) fn handle_timeout(&self, now: Instant) -> bool {
        self.forget(|met| matches!(met.how, How::Knocked(until) if until <= now))
    }

    fn forget(&self, which: impl Fn(&Met) -> bool) -> bool {
        let mut book = self.lock();
        let before = book.met.len();
        book.met.retain(|met| !which(met));
        book.met.len() != before
    }

    fn meet(&self, device: DeviceId, how: How) -> bool {
        let mut book = self.lock();
        let before = book.met.iter().find(|met| met.device == device).copied();
        if book.levels.contains_key(&device) || before.is_some_and(|met| met.how >= how) {
            return false;
        }
        book.met.retain(|met| met.device != device);
        if book.met.len() >= MAX_WATCHED {
            book.met.pop_front();
        }
        book.met.push_back(Met { device, how });
        book.edition += 1;
        // Who came to be compared could not do more than that.
        before.is_none_or(|met| matches!(met.how, How::Knocked(_)))
    }

    /// The level of a device now. Without its user neither the app's policy nor the own user's devices count.
    pub(crate) fn level(&self, device: DeviceId, user: Option<UserId>) -> TrustLevel {
        self.judge(device, user).level
    }

    /// As [`TrustBook::level`]. [`TrustBook::stands`] tells whether it still holds later.
    pub(crate) fn judge(&self, device: DeviceId, user: Option<UserId>) -> Judgement {
        let book = self.lock();
        let edition = book.edition;
        let judged = |level| Judgement { level, edition };
        if let Some(level) = book.levels.get(&device) {
            return judged(*level);
        }
        let dialed = book.met.iter().any(|met| met.device == device && met.how == How::Dialed);
        // The policy is the app's code: it may call the client, which may need the book.
        drop(book);
        if user == Some(self.own_user) {
            return judged(TrustLevel::Own);
        }
        let ruled = user.and_then(|user| self.policy.as_ref()?.trust(device, user));
        let otherwise = if dialed { TrustLevel::Trusted } else { TrustLevel::Unknown };
        judged(ruled.unwrap_or(otherwise))
    }

    /// Whether nothing has changed since this judgement.
    pub(crate) fn stands(&self, judgement: Judgement) -> bool {
        self.lock().edition == judgement.edition
    }

    /// The keys a device was first seen with.
    pub(crate) fn known_keys(&self, device: DeviceId) -> Option<KnownKeys> {
        self.lock().pins.get(&device).copied()
    }

    /// Remembers the keys of a device that was admitted.
    ///
    /// # Errors
    /// It is known with others: whatever it proved, it is refused (D06).
    pub(crate) fn pin(&self, certificate: &DeviceCertificate) -> Result<(), KeyChanged> {
        let mut book = self.lock();
        let Book { levels, met, pins, .. } = &mut *book;
        let dialed: HashSet<_> =
            met.iter().filter(|met| met.how == How::Dialed).map(|met| met.device).collect();
        // Without the policy: it is the app's code, and may call the client, which may need the book.
        pins.pin(certificate, |device, user| match levels.get(&device) {
            Some(level) => *level,
            None if user == self.own_user => TrustLevel::Own,
            None if dialed.contains(&device) => TrustLevel::Trusted,
            None => TrustLevel::Unknown,
        })
    }

    /// Whether a device presents the keys it is known with.
    ///
    /// # Errors
    /// See [`TrustBook::pin`].
    pub(crate) fn check(&self, certificate: &DeviceCertificate) -> Result<bool, KeyChanged> {
        self.lock().pins.check(certificate)
    }

    /// Devices that may reach this one through a relay and see its presence: the most trusted first, since a relay
    /// takes [`MAX_WATCHED`] at most.
    pub(crate) fn visible(&self) -> Vec<DeviceId> {
        let book = self.lock();
        let mut named: Vec<_> = book
            .levels
            .iter()
            .filter(|(_, level)| **level >= TrustLevel::NewDevice)
            .map(|(device, level)| (*level, *device))
            .collect();
        named.sort_unstable_by(|a, b| b.cmp(a));
        let met = book.met.iter().rev().map(|met| met.device);
        named.into_iter().map(|(_, device)| device).chain(met).take(MAX_WATCHED).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rule(TrustLevel);

    impl TrustPolicy for Rule {
        fn trust(&self, _: DeviceId, _: UserId) -> Option<TrustLevel> {
            Some(self.0)
        }
    }

    const OWN: &[u8] = b"own";

    fn book(policy: Option<TrustLevel>) -> TrustBook {
        let policy = policy.map(|level| Arc::new(Rule(level)) as Arc<dyn TrustPolicy>);
        TrustBook::new(HashMap::new(), policy, UserId::derive(OWN))
    }

    // proves S127: dialing is no judgement where there is one.
    #[test]
    fn a_dial_overrules_no_rule_and_lowers_no_level() {
        let (device, user) = (DeviceId::derive(b"a"), UserId::derive(b"u"));
        for (book, user, level) in [
            (book(None), user, TrustLevel::Trusted),
            (book(Some(TrustLevel::Malicious)), user, TrustLevel::Malicious),
            (book(None), UserId::derive(OWN), TrustLevel::Own),
        ] {
            book.handle_dialed(device);
            assert_eq!(book.level(device, Some(user)), level);
        }
        let named = book(None);
        named.set(device, TrustLevel::Untrusted);
        named.handle_dialed(device);
        assert_eq!(named.level(device, None), TrustLevel::Untrusted);
        assert!(named.visible().is_empty());
    }

    #[test]
    fn a_judgement_stands_until_something_changes() {
        let (book, device) = (book(None), DeviceId::derive(b"a"));
        let judgement = book.judge(device, None);
        assert!(book.stands(judgement));
        book.set(device, TrustLevel::Malicious);
        assert!(!book.stands(judgement));
    }

    // proves S127: a person who lets a device come and be compared has not trusted it yet.
    #[test]
    fn an_accepted_knock_lets_a_device_come_for_a_while_and_no_more() {
        let (book, device) = (book(None), DeviceId::derive(b"a"));
        let at = |seconds: u64| Instant::from_micros(seconds * 1_000_000);
        book.handle_knock(device, at(90));
        assert!(book.compares(device) && book.visible().contains(&device));
        assert_eq!(book.level(device, None), TrustLevel::Unknown);
        book.handle_knock(device, at(120));
        assert!(!book.handle_timeout(at(90)), "it has knocked again");
        assert!(book.handle_timeout(at(120)) && book.visible().is_empty());
        book.handle_knock(device, at(200));
        assert!(book.handle_refused(device) && book.visible().is_empty());
        // What says more is not forgotten.
        for meet in [TrustBook::handle_admitted, TrustBook::handle_dialed] {
            book.handle_knock(device, at(200));
            meet(&book, device);
            book.handle_knock(device, at(300));
            assert!(!book.handle_refused(device) && !book.handle_timeout(at(300)));
            assert_eq!(book.visible(), [device]);
        }
    }

    #[test]
    fn devices_met_are_bounded_and_the_most_trusted_are_visible_first() {
        let book = book(None);
        let device = |n: usize| DeviceId::derive(&n.to_be_bytes());
        for n in 0..2 * MAX_WATCHED {
            book.handle_admitted(device(n));
        }
        assert_eq!(book.lock().met.len(), MAX_WATCHED);
        let known = device(usize::MAX);
        book.set(known, TrustLevel::Known);
        let visible = book.visible();
        assert_eq!((visible.len(), visible[0]), (MAX_WATCHED, known));
        assert_eq!(visible[1], device(2 * MAX_WATCHED - 1), "the latest of the others");
    }
}
