//! Extra passes for the stack's driver.
//!
//! The driver writes before it handles events and reads, and nothing wakes it when a remote candidate was added or a consumer
//! made room. The output of those steps waits for the next datagram or timer, up to a second. A synthetic datagram, which the
//! stack discards, makes it go round once more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Context;

use futures_util::task::AtomicWaker;

use super::counters::Counters;

/// A DTLS record of an epoch no connection reaches: every DTLS stack must discard it (RFC 6347 §4.1).
pub(super) const SYNTHETIC: [u8; 14] = [23, 254, 253, 255, 255, 0, 0, 0, 0, 0, 0, 0, 1, 0];

/// Shared by the sockets of one peer connection.
#[derive(Debug)]
pub(super) struct Kick {
    wanted: AtomicBool,
    /// Passes still granted for the last datagram.
    granted: AtomicUsize,
    opening: AtomicBool,
    /// The pair in use runs through TURN.
    relayed: AtomicBool,
    /// Rounds that still follow the one a wake-up brought.
    following: AtomicUsize,
    delivered: AtomicUsize,
    driver: AtomicWaker,
    counters: Arc<Counters>,
}

impl Kick {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self {
            wanted: AtomicBool::new(false),
            granted: AtomicUsize::new(0),
            opening: AtomicBool::new(true),
            relayed: AtomicBool::new(false),
            following: AtomicUsize::new(0),
            delivered: AtomicUsize::new(0),
            driver: AtomicWaker::new(),
            counters,
        }
    }

    /// Gives the driver one pass.
    pub(super) fn fire(&self) {
        self.wanted.store(true, Ordering::SeqCst);
        self.driver.wake();
    }

    /// From now on each round is followed by others. The stack unwraps data of TURN after it has written, answers when it
    /// writes next, and sends that, wrapped, when it writes once more.
    pub(super) fn relayed(&self) {
        self.relayed.store(true, Ordering::Relaxed);
    }

    /// The driver has gone round and is about to sleep.
    pub(super) fn rounded(&self) {
        if !self.relayed.load(Ordering::Relaxed) {
            return;
        }
        let next = |following: usize| Some(following.checked_sub(1).unwrap_or(ROUNDS_THROUGH_TURN));
        let before = self.following.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        if before != Ok(1) {
            self.fire();
        }
    }

    /// A frame was taken from the data channel.
    pub(super) fn delivered(&self) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    /// The data channel is drained. The stack parks what exceeds its queue and looks again only at the next datagram.
    pub(super) fn drained(&self) {
        if self.delivered.load(Ordering::Relaxed) >= PARKS_ABOVE {
            self.delivered.store(0, Ordering::Relaxed);
            self.fire();
        }
    }

    /// From now on a datagram earns no extra pass.
    pub(super) fn opened(&self) {
        self.opening.store(false, Ordering::Relaxed);
        self.granted.store(0, Ordering::Relaxed);
    }

    /// A DTLS record was received: while connecting, each step's output needs another pass to leave.
    pub(super) fn received(&self) {
        if self.opening.load(Ordering::Relaxed) {
            self.granted.store(PASSES_WHILE_OPENING, Ordering::Relaxed);
        }
    }

    /// Remembers the driver and says whether it is owed a pass somebody asked for.
    pub(super) fn take(&self, cx: &Context<'_>) -> bool {
        // The driver probes with a no-op waker while it drains a burst: such a poll neither waits nor comes round.
        if is_probe(cx) {
            return false;
        }
        self.driver.register(cx.waker());
        self.wanted.swap(false, Ordering::SeqCst) && self.count()
    }

    /// Says whether a driver about to sleep has a granted pass left.
    pub(super) fn take_granted(&self, cx: &Context<'_>) -> bool {
        let spend = |n: usize| n.checked_sub(1);
        !is_probe(cx)
            && self.granted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok()
            && self.count()
    }

    fn count(&self) -> bool {
        self.counters.kicks.add(1);
        true
    }
}

/// True if the driver only looks, with a waker that wakes no task. A task's waker points to the task; `will_wake` would
/// compare tables of functions, of which each crate may have its own copy.
pub(super) fn is_probe(cx: &Context<'_>) -> bool {
    cx.waker().data().is_null()
}

/// Messages the stack queues for a data channel before it parks them.
const PARKS_ABOVE: usize = 256;
/// See [`Kick::relayed`].
const ROUNDS_THROUGH_TURN: usize = 2;
/// One pass handles what arrived, the second writes what that produced.
const PASSES_WHILE_OPENING: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::task::{Wake, Waker};

    #[derive(Default)]
    struct Woken(AtomicUsize);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_probe_never_spends_or_hides_a_kick() {
        let (kick, woken) = (Kick::new(Arc::default()), Arc::new(Woken::default()));
        let waker = woken.clone().into();
        let driver = Context::from_waker(&waker);
        let probe = Context::from_waker(Waker::noop());
        assert!(!kick.take(&driver));
        assert!(!kick.take(&probe));
        kick.fire();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1, "the probe's waker replaced the driver's");
        assert!(!kick.take(&probe));
        assert!(kick.take(&driver));
        assert!(!kick.take(&driver));
        kick.received();
        assert!(!kick.take_granted(&probe));
        assert_eq!([(); 3].map(|()| kick.take_granted(&driver)), [true, true, false]);
        kick.opened();
        kick.received();
        assert!(!kick.take_granted(&driver));
    }

    #[test]
    fn a_probe_is_known_whoever_made_its_waker() {
        let another = futures_util::task::noop_waker();
        assert!(is_probe(&Context::from_waker(&another)) && is_probe(&Context::from_waker(Waker::noop())));
        let task = Arc::new(Woken::default()).into();
        assert!(!is_probe(&Context::from_waker(&task)));
    }

    #[test]
    fn through_turn_each_round_has_two_more() {
        let kick = Kick::new(Arc::default());
        let waker = Arc::new(Woken::default()).into();
        let driver = Context::from_waker(&waker);
        kick.rounded();
        assert!(!kick.take(&driver));
        kick.relayed();
        for _ in 0..3 {
            kick.rounded();
            assert!(kick.take(&driver), "the second round");
            kick.rounded();
            assert!(kick.take(&driver), "the third one");
            kick.rounded();
            assert!(!kick.take(&driver), "a fourth one");
        }
    }

    #[test]
    fn draining_fires_only_after_a_flood() {
        let kick = Kick::new(Arc::default());
        let waker = Arc::new(Woken::default()).into();
        let driver = Context::from_waker(&waker);
        kick.delivered();
        kick.drained();
        assert!(!kick.take(&driver));
        (0..PARKS_ABOVE).for_each(|_| kick.delivered());
        kick.drained();
        assert!(kick.take(&driver));
    }
}
