//! Frames that arrived and were not yet taken. The data channel is always drained into it: a consumer that lets the
//! SCTP window reach zero stalls the connection for a second. Its bound is the peer's credit, so exceeding it is a
//! broken promise and not congestion.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use peers_proto::limits;
use tokio::sync::Notify;

use crate::transport::CloseReason;

#[derive(Debug, Default)]
pub(super) struct FrameInbox {
    state: Mutex<InboxState>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct InboxState {
    frames: VecDeque<Bytes>,
    bytes: usize,
    end: Option<CloseReason>,
}

impl FrameInbox {
    /// Queues a frame.
    pub(super) fn push(&self, frame: Bytes) -> Result<(), CloseReason> {
        let mut state = self.lock();
        state.bytes += frame.len() + FRAME_COST;
        if state.bytes > INBOX_LIMIT {
            return Err(CloseReason::Protocol("more in flight than the peer has credit for"));
        }
        state.frames.push_back(if frame.len() <= COPIED { Bytes::copy_from_slice(&frame) } else { frame });
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Nothing more will arrive.
    pub(super) fn finish(&self, reason: CloseReason) {
        self.lock().end.get_or_insert(reason);
        self.arrived.notify_one();
    }

    /// Swaps everything that arrived into the empty `out`, with one lock for a whole burst.
    pub(super) fn take(&self, out: &mut VecDeque<Bytes>) -> Option<CloseReason> {
        let mut state = self.lock();
        std::mem::swap(&mut state.frames, out);
        state.bytes = 0;
        if out.is_empty() { state.end.clone() } else { None }
    }

    /// Waits until something arrived or ended. For one consumer; cancel safe.
    pub(super) async fn changed(&self) {
        self.arrived.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, InboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session's window and what it does not count: acknowledgements, pings, handshake.
const INBOX_LIMIT: usize = limits::SEND_WINDOW + limits::SEND_WINDOW / 8;
/// Bytes that an empty frame costs: its buffer's header and its place in the queue.
const FRAME_COST: usize = 64;
/// Frames up to this many bytes are copied: the stack's buffer under them is larger than what they are charged with.
const COPIED: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_beyond_its_credit_is_a_protocol_violation() {
        let inbox = FrameInbox::default();
        let frame = Bytes::from(vec![0; limits::MAX_FRAME]);
        let accepted = std::iter::repeat_with(|| inbox.push(frame.clone())).take_while(Result::is_ok).count();
        assert!(accepted * limits::MAX_FRAME >= limits::SEND_WINDOW);
        assert!(accepted * limits::MAX_FRAME <= INBOX_LIMIT);
        assert!(matches!(inbox.push(frame), Err(CloseReason::Protocol(_))));
    }

    #[test]
    fn frames_come_before_the_end_and_the_first_end_stays() {
        let inbox = FrameInbox::default();
        inbox.push(Bytes::from_static(b"x")).unwrap();
        inbox.finish(CloseReason::Remote);
        inbox.finish(CloseReason::Local);
        let mut out = VecDeque::new();
        assert_eq!(inbox.take(&mut out), None);
        assert_eq!(out.pop_front().as_deref(), Some(&b"x"[..]));
        assert_eq!(inbox.take(&mut out), Some(CloseReason::Remote));
        assert_eq!(inbox.take(&mut out), Some(CloseReason::Remote));
    }
}
