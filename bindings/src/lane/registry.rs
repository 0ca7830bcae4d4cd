//! Numbers that stand for objects in the app's hands.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock, Weak};

/// No number is used twice in a process, whatever it stands for; 0 stands for nothing.
static LAST: AtomicU64 = AtomicU64::new(0);

/// The objects of one kind that have a number. A number outlives its object and then stands for nothing.
pub(crate) struct Registry<T>(LazyLock<RwLock<HashMap<u64, Weak<T>>>>);

impl<T> Registry<T> {
    pub(crate) const fn new() -> Self {
        Self(LazyLock::new(RwLock::default))
    }

    pub(crate) fn add(&self, object: &Arc<T>) -> u64 {
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::downgrade(object));
        number
    }

    pub(crate) fn get(&self, number: u64) -> Option<Arc<T>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&number)?.upgrade()
    }

    pub(crate) fn remove(&self, number: u64) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }
}
