//! Trust in devices: the book of `peers-proto`, and the app's rule.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peers_proto::engine::{Judgement, TrustBook};
use peers_proto::id::{DeviceId, UserId};
use peers_proto::trust::TrustLevel;

/// The app's own rule. Asked on a task of the client, several times for one connection: it must answer at once.
pub trait TrustPolicy: Send + Sync + 'static {
    /// The level of a device that has proven who it is; `None` leaves it to [`crate::Event::Incoming`].
    fn trust(&self, device: DeviceId, user: UserId) -> Option<TrustLevel>;
}

/// The book, and the rule for devices that are not in it.
pub(crate) struct Trust {
    book: Mutex<TrustBook>,
    policy: Option<Arc<dyn TrustPolicy>>,
}

impl Trust {
    pub(crate) fn new(book: TrustBook, policy: Option<Arc<dyn TrustPolicy>>) -> Self {
        Self { book: Mutex::new(book), policy }
    }

    /// The book, locked. The rule is the app's code and may call the client, so it is not asked meanwhile.
    pub(crate) fn book(&self) -> MutexGuard<'_, TrustBook> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The level of a device now. Without its user neither the rule nor the own user's devices count.
    pub(crate) fn level(&self, device: DeviceId, user: Option<UserId>) -> TrustLevel {
        self.judge(device, user).0
    }

    /// As [`Trust::level`]. [`TrustBook::stands`] says whether the level holds later.
    pub(crate) fn judge(&self, device: DeviceId, user: Option<UserId>) -> (TrustLevel, Judgement) {
        let judgement = self.book().judge(device, user);
        let rule = || self.policy.as_ref()?.trust(device, user?);
        (judgement.level.or_else(rule).unwrap_or(judgement.otherwise), judgement)
    }
}
