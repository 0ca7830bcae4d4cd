//! A bounded set of recently seen ids.

use std::collections::{BTreeSet, VecDeque};

/// The newest `N` things met. A tree, since a hash table that is always full of new things doubles now and then to get rid of
/// its old ones.
#[derive(Debug)]
pub(super) struct Recent<T, const N: usize> {
    set: BTreeSet<T>,
    order: VecDeque<T>,
}

impl<T, const N: usize> Default for Recent<T, N> {
    fn default() -> Self {
        Self { set: BTreeSet::new(), order: VecDeque::new() }
    }
}

impl<T: Ord + Copy, const N: usize> Recent<T, N> {
    pub(super) fn contains(&self, thing: &T) -> bool {
        self.set.contains(thing)
    }

    /// False if it was known already; otherwise the oldest of more than `N` is forgotten.
    pub(super) fn insert(&mut self, thing: T) -> bool {
        if !self.set.insert(thing) {
            return false;
        }
        if self.order.len() == N
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
        self.order.push_back(thing);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_oldest_is_forgotten_first() {
        let mut recent = Recent::<_, 3>::default();
        assert!((0..4).all(|n| recent.insert(n)));
        assert!(!recent.contains(&0) && [1, 2, 3].iter().all(|n| recent.contains(n)));
        assert!(!recent.insert(1), "still known");
        assert!(recent.insert(0), "forgotten");
        assert_eq!((recent.set.len(), recent.order.len()), (3, 3));
    }
}
