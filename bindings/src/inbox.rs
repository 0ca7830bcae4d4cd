//! Items that arrived and were not taken yet.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Separates waiting from taking: a wait may be cancelled at any moment, and nothing is lost.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    /// Held by the one who pulls.
    turn: tokio::sync::Mutex<()>,
    items: Mutex<VecDeque<T>>,
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Self {
        Self { turn: tokio::sync::Mutex::new(()), items: Mutex::new(VecDeque::new()) }
    }

    /// Waits until there is something to take; pulls only when there is nothing. False when `pull` brings nothing.
    pub(crate) async fn fill<E, F>(&self, pull: impl FnOnce() -> F) -> Result<bool, E>
    where
        F: Future<Output = Result<Vec<T>, E>>,
    {
        let _turn = self.turn.lock().await;
        if !self.is_empty() {
            return Ok(true);
        }
        let pulled = pull().await?;
        // Nothing is awaited between these two lines: a task ends only where it awaits.
        self.add(pulled);
        Ok(!self.is_empty())
    }

    /// Adds what `pull` has at hand when there is nothing to take and no other pull is under way.
    pub(crate) fn top_up(&self, pull: impl FnOnce() -> Vec<T>) {
        if let Ok(_turn) = self.turn.try_lock()
            && self.is_empty()
        {
            self.add(pull());
        }
    }

    pub(crate) fn add(&self, more: Vec<T>) {
        self.items().extend(more);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items().is_empty()
    }

    pub(crate) fn take(&self, max: usize) -> Vec<T> {
        let mut items = self.items();
        let count = max.min(items.len());
        items.drain(..count).collect()
    }

    /// Takes items, oldest first, up to the first one that `accept` leaves here.
    pub(crate) fn take_while(&self, mut accept: impl FnMut(&T) -> bool) {
        let mut items = self.items();
        while items.front().is_some_and(&mut accept) {
            items.pop_front();
        }
    }

    /// Puts back what was taken and not used, oldest first.
    pub(crate) fn put_back(&self, unused: Vec<T>) {
        let mut items = self.items();
        for item in unused.into_iter().rev() {
            items.push_front(item);
        }
    }

    fn items(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox<bytes::Bytes> {
    /// Fills `space` as far as there are bytes, across chunks. Returns how many.
    pub(crate) fn take_bytes(&self, space: &mut [u8]) -> usize {
        let mut items = self.items();
        let mut taken = 0;
        while taken < space.len()
            && let Some(chunk) = items.front_mut()
        {
            let part = chunk.split_to(chunk.len().min(space.len() - taken));
            space[taken..taken + part.len()].copy_from_slice(&part);
            taken += part.len();
            if chunk.is_empty() {
                items.pop_front();
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;

    use super::*;

    #[tokio::test]
    async fn a_wait_that_is_given_up_loses_nothing() {
        let inbox = Inbox::new();
        let abandoned = inbox.fill(|| async { std::future::pending::<Result<Vec<u8>, Infallible>>().await });
        assert!(futures_util::FutureExt::now_or_never(abandoned).is_none());
        assert_eq!(inbox.fill(|| async { Ok::<_, Infallible>(vec![1, 2, 3]) }).await, Ok(true));
        // The second wait sees what the first one left, and pulls nothing.
        assert_eq!(inbox.fill(|| async { Ok::<_, Infallible>(vec![]) }).await, Ok(true));
        assert_eq!(inbox.take(2), [1, 2]);
    }

    #[test]
    fn unused_items_go_back_in_order() {
        let inbox = Inbox::new();
        inbox.put_back(vec![1, 2, 3, 4]);
        let mut taken = inbox.take(3);
        inbox.put_back(taken.split_off(1));
        assert_eq!(inbox.take(9), [2, 3, 4]);
    }

    #[test]
    fn what_is_left_by_a_taker_keeps_its_place() {
        let inbox = Inbox::new();
        inbox.top_up(|| vec![1, 2, 3]);
        inbox.take_while(|item| *item < 2);
        // There is something to take, so nothing more is pulled.
        inbox.top_up(|| vec![4]);
        assert_eq!(inbox.take(9), [2, 3]);
    }

    #[tokio::test]
    async fn a_wait_for_more_is_not_overtaken() {
        let inbox = Inbox::new();
        let _turn = inbox.turn.lock().await;
        inbox.top_up(|| vec![1]);
        assert!(inbox.is_empty());
    }

    #[test]
    fn bytes_are_taken_across_chunks_and_within_them() {
        let inbox = Inbox::new();
        inbox.put_back(vec![Bytes::from_static(b"abc"), Bytes::from_static(b"defg")]);
        let mut space = [0; 5];
        assert_eq!(inbox.take_bytes(&mut space), 5);
        assert_eq!(&space, b"abcde");
        assert_eq!(inbox.take_bytes(&mut space), 2);
        assert_eq!(&space[..2], b"fg");
        assert_eq!(inbox.take_bytes(&mut space), 0);
    }
}
