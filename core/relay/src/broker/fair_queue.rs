//! A queue from many senders to one reader.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;

/// Items in queues, one queue per `K`, each in order. Addresses take turns, and so do the queues of an address: an item of one
/// sender delays another sender's by one item at most.
#[derive(Debug)]
pub(super) struct FairQueue<K, T> {
    queues: HashMap<K, SenderQueue<T>>,
    /// Every address with queues, and every queue, is in here once.
    turns: VecDeque<AddressTurn<K>>,
    len: usize,
    bytes: usize,
}

#[derive(Debug)]
struct SenderQueue<T> {
    /// The address of its first item.
    address: IpAddr,
    items: VecDeque<(T, usize)>,
    bytes: usize,
}

#[derive(Debug)]
struct AddressTurn<K> {
    address: IpAddr,
    keys: VecDeque<K>,
}

/// An item that was next in turn.
#[derive(Debug)]
pub(super) struct Popped<K, T> {
    pub(super) address: IpAddr,
    pub(super) key: K,
    pub(super) item: T,
    pub(super) bytes: usize,
}

impl<K, T> Default for FairQueue<K, T> {
    fn default() -> Self {
        Self { queues: HashMap::new(), turns: VecDeque::new(), len: 0, bytes: 0 }
    }
}

impl<K: Copy + Eq + Hash, T> FairQueue<K, T> {
    pub(super) fn push(&mut self, address: IpAddr, key: K, item: T, bytes: usize) {
        let queue = match self.queues.entry(key) {
            Entry::Occupied(queue) => queue.into_mut(),
            Entry::Vacant(place) => {
                match self.turns.iter_mut().find(|turn| turn.address == address) {
                    Some(turn) => turn.keys.push_back(key),
                    None => self.turns.push_back(AddressTurn { address, keys: [key].into() }),
                }
                place.insert(SenderQueue { address, items: VecDeque::new(), bytes: 0 })
            }
        };
        queue.items.push_back((item, bytes));
        queue.bytes += bytes;
        self.bytes += bytes;
        self.len += 1;
    }

    /// The next entry in turn.
    pub(super) fn pop(&mut self) -> Option<Popped<K, T>> {
        let mut turn = self.turns.pop_front()?;
        let key = turn.keys.pop_front()?;
        let queue = self.queues.get_mut(&key)?;
        let (item, bytes) = queue.items.pop_front()?;
        let address = queue.address;
        queue.bytes -= bytes;
        self.bytes -= bytes;
        self.len -= 1;
        if queue.items.is_empty() {
            self.queues.remove(&key);
        } else {
            turn.keys.push_back(key);
        }
        if !turn.keys.is_empty() {
            self.turns.push_back(turn);
        }
        Some(Popped { address, key, item, bytes })
    }

    /// Removes the oldest item of a queue and returns its bytes.
    pub(super) fn drop_oldest(&mut self, key: K) -> Option<usize> {
        let queue = self.queues.get_mut(&key)?;
        let (_, bytes) = queue.items.pop_front()?;
        queue.bytes -= bytes;
        self.bytes -= bytes;
        self.len -= 1;
        if queue.items.is_empty() {
            self.remove(key);
        }
        Some(bytes)
    }

    /// Removes a queue and returns how many items it had.
    pub(super) fn remove(&mut self, key: K) -> usize {
        let Some(queue) = self.queues.remove(&key) else { return 0 };
        if let Some(at) = self.turns.iter().position(|turn| turn.address == queue.address) {
            self.turns[at].keys.retain(|k| *k != key);
            if self.turns[at].keys.is_empty() {
                self.turns.remove(at);
            }
        }
        self.bytes -= queue.bytes;
        self.len -= queue.items.len();
        queue.items.len()
    }

    /// Removes items `keep` is false for. Returns how many.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(K, &mut T) -> bool) -> usize {
        let before = self.len;
        let mut empty = Vec::new();
        for (key, queue) in &mut self.queues {
            let (queue_bytes, bytes, len) = (&mut queue.bytes, &mut self.bytes, &mut self.len);
            queue.items.retain_mut(|(item, cost)| {
                let keep = keep(*key, item);
                if !keep {
                    *queue_bytes -= *cost;
                    *bytes -= *cost;
                    *len -= 1;
                }
                keep
            });
            if queue.items.is_empty() {
                empty.push(*key);
            }
        }
        for key in empty {
            self.remove(key);
        }
        before - self.len
    }

    /// The address, key and bytes of every queue.
    pub(super) fn queues(&self) -> impl Iterator<Item = (IpAddr, K, usize)> {
        self.queues.iter().map(|(key, queue)| (queue.address, *key, queue.bytes))
    }

    /// The oldest item of every queue.
    pub(super) fn fronts(&self) -> impl Iterator<Item = &T> {
        self.queues.values().filter_map(|queue| queue.items.front().map(|(item, _)| item))
    }

    pub(super) fn queue(&self, key: K) -> impl Iterator<Item = &T> {
        self.queues.get(&key).into_iter().flat_map(|queue| queue.items.iter().map(|(item, _)| item))
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    #[test]
    fn addresses_take_turns_and_lanes_of_an_address_too() {
        let mut queue = FairQueue::default();
        for n in 0..3 {
            queue.push(address(1), 'a', n, 1);
            queue.push(address(1), 'b', n, 1);
        }
        queue.push(address(2), 'c', 0, 1);
        queue.push(address(2), 'c', 1, 1);
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|p| (p.key, p.item)).collect();
        let expected = [('a', 0), ('c', 0), ('b', 0), ('c', 1), ('a', 1), ('b', 1), ('a', 2), ('b', 2)];
        assert_eq!(order, expected);
    }

    proptest! {
        /// Numbers always are those of the items, whatever happens, and every item comes out once.
        #[test]
        fn nothing_is_lost_or_counted_twice(steps in proptest::collection::vec((0u8..5, 0u8..4, 0u8..4), 0..200)) {
            let mut queue = FairQueue::default();
            let mut model: Vec<(u8, usize)> = Vec::new();
            for (n, (step, key, place)) in steps.into_iter().enumerate() {
                match step {
                    0 | 1 => {
                        queue.push(address(place), key, n, n);
                        model.push((key, n));
                    }
                    2 => match queue.pop() {
                        Some(Popped { key, item, bytes, .. }) => {
                            prop_assert_eq!(item, bytes);
                            // In order within the queue.
                            let first = model.iter().position(|(k, _)| *k == key).unwrap();
                            prop_assert_eq!(model.remove(first), (key, item));
                        }
                        None => prop_assert!(model.is_empty()),
                    },
                    3 => {
                        let oldest = model.iter().position(|(k, _)| *k == key).map(|at| model.remove(at).1);
                        prop_assert_eq!(queue.drop_oldest(key), oldest);
                    }
                    _ => {
                        queue.retain(|k, item| k != key || *item % 2 == 0);
                        model.retain(|(k, item)| *k != key || *item % 2 == 0);
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.bytes(), model.iter().map(|(_, n)| n).sum::<usize>());
                prop_assert_eq!(queue.queues().map(|(_, _, bytes)| bytes).sum::<usize>(), queue.bytes());
            }
            prop_assert_eq!(std::iter::from_fn(|| queue.pop()).count(), model.len());
        }
    }
}
