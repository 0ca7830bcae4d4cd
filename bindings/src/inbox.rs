//! What arrived and was not taken yet.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Separates waiting from taking: whoever waits may go away at any moment, and nothing is lost.
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
    /// At most `max` bytes, across chunks.
    pub(crate) fn take_bytes(&self, max: usize) -> Vec<u8> {
        let mut items = self.items();
        let total = items.iter().map(bytes::Bytes::len).sum::<usize>().min(max);
        let mut taken = Vec::with_capacity(total);
        while taken.len() < total {
            let Some(mut chunk) = items.pop_front() else { break };
            let part = chunk.split_to(chunk.len().min(total - taken.len()));
            taken.extend_from_slice(&part);
            if !chunk.is_empty() {
                items.push_front(chunk);
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
    fn bytes_are_taken_across_chunks_and_within_them() {
        let inbox = Inbox::new();
        inbox.put_back(vec![Bytes::from_static(b"abc"), Bytes::from_static(b"defg")]);
        assert_eq!(inbox.take_bytes(5), b"abcde");
        assert_eq!(inbox.take_bytes(100), b"fg");
        assert!(inbox.take_bytes(100).is_empty());
    }
}
