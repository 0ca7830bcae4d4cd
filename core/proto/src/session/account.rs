//! Memory that peers can make this process hold, and how sessions share it.
//!
//! Every session has a share of its own. More comes from a pool of the process, of which it may hold at most twice the rest.
//! One session gets two thirds of the pool, and however many there are, something is left for the next. A session is refused
//! for its own weight, never below its share for another's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::limits::{RECEIVED_POOL, RECEIVED_SHARE, SENT_POOL, SENT_SHARE};

/// The memory of one process for all its sessions. Clones are the same budget.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    /// What peers sent and is not taken, and what they asked for and have not taken.
    pub(super) received: Pool,
    /// What peers have not acknowledged.
    pub(super) sent: Pool,
}

impl Default for MemoryBudget {
    fn default() -> Self {
        Self { received: Pool::new(RECEIVED_POOL, RECEIVED_SHARE), sent: Pool::new(SENT_POOL, SENT_SHARE) }
    }
}

impl MemoryBudget {
    /// Bytes that sessions hold beyond their shares: at most [`RECEIVED_POOL`] and [`SENT_POOL`] together.
    pub fn used(&self) -> usize {
        self.received.used.load(Ordering::Relaxed) + self.sent.used.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Pool {
    used: Arc<AtomicUsize>,
    size: usize,
    share: usize,
}

impl Pool {
    fn new(size: usize, share: usize) -> Self {
        Self { used: Arc::default(), size, share }
    }
}

/// What one session holds, against its share and its process's pool.
#[derive(Debug)]
pub(super) struct Account {
    pool: Pool,
    /// Bytes taken from the pool.
    drawn: usize,
}

impl Account {
    pub(super) fn new(pool: &Pool) -> Self {
        Self { pool: pool.clone(), drawn: 0 }
    }

    /// Whether the session may hold so many bytes.
    pub(super) fn allows(&self, held: usize) -> bool {
        let beyond = held.saturating_sub(self.pool.share);
        beyond <= self.drawn
            || self.fits(beyond, self.pool.used.load(Ordering::Relaxed) + beyond - self.drawn)
    }

    /// Counts that the session holds so many bytes; false, and nothing changes, if it may not.
    #[must_use]
    pub(super) fn set(&mut self, held: usize) -> bool {
        let beyond = held.saturating_sub(self.pool.share);
        if beyond > self.drawn {
            let more = beyond - self.drawn;
            let used = self.pool.used.fetch_add(more, Ordering::Relaxed) + more;
            if !self.fits(beyond, used) {
                self.pool.used.fetch_sub(more, Ordering::Relaxed);
                return false;
            }
        } else if beyond < self.drawn {
            self.pool.used.fetch_sub(self.drawn - beyond, Ordering::Relaxed);
        }
        self.drawn = beyond;
        true
    }

    fn fits(&self, beyond: usize, used: usize) -> bool {
        self.pool.size.checked_sub(used).is_some_and(|left| beyond <= 2 * left)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.pool.used.fetch_sub(self.drawn, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(n: usize) -> (Pool, Vec<Account>) {
        let pool = Pool::new(1000, 100);
        let accounts = (0..n).map(|_| Account::new(&pool)).collect();
        (pool, accounts)
    }

    fn fill(account: &mut Account) -> usize {
        (0..).take_while(|held| account.set(*held)).last().unwrap()
    }

    #[test]
    fn a_greedy_session_leaves_room_for_the_next() {
        let (_, mut accounts) = accounts(4);
        let held: Vec<_> = accounts.iter_mut().map(fill).collect();
        assert_eq!(held[0], 100 + 666);
        assert!(held.windows(2).all(|pair| pair[1] < pair[0] && pair[1] > 100), "{held:?}");
    }

    #[test]
    fn a_share_is_never_refused_and_what_is_held_is_never_taken_back() {
        let (pool, mut accounts) = accounts(50);
        for account in &mut accounts {
            fill(account);
        }
        assert!(pool.used.load(Ordering::Relaxed) <= 1000);
        let mut late = Account::new(&pool);
        assert!(late.allows(100) && late.set(100));
        assert!(!late.allows(2000) && !late.set(2000));
        // The first is far above what it could get now; it may shrink, and stay.
        assert!(accounts[0].set(700) && accounts[0].set(700));
        drop(accounts);
        assert_eq!(pool.used.load(Ordering::Relaxed), 0);
    }
}
