//! Events of a client, for its app.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peers_proto::end_reason::EndReason;
use peers_proto::id::DeviceId;
use peers_proto::path::{Quality, Status};
use peers_proto::transport_kind::TransportKind;
use tokio::sync::{Notify, watch};

use crate::incoming::Incoming;
use crate::session::Session;

/// Events kept for an app that does not take them. The oldest make room for new ones, so that the last word about each
/// session stays; [`Event::Missed`] counts them.
const QUEUE: usize = 1024;

/// Whether the client can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClientState {
    /// No relay has answered yet.
    #[default]
    Connecting,
    /// At least one relay knows this device.
    Online,
    /// No relay is reachable; the client keeps trying. [`Client::relays`](crate::Client::relays) says why.
    Offline,
    /// No relay admits this device: a token is missing or wrong, or the device is not on the relay's list.
    NotAdmitted,
    /// The device was suspended or its network changed; no relay has answered since.
    Verifying,
    /// The app is suspended: peers and relays were told goodbye.
    Suspended,
    /// Another process registered with the same identity. This one registers anew when its app comes to the front, and is
    /// superseded until then, suspended or not.
    Superseded,
    /// The client was shut down, or its runtime dropped. Final.
    Closed,
}

/// Something happened.
///
/// What is said about a session names it, since a device whose app is started anew has another one. It comes in this order:
/// [`Event::Connected`], whatever changes, [`Event::Disconnected`], and nothing after that; the next session with the same
/// device begins later. So the last word about a device that has a session is never that it left.
#[derive(Debug)]
pub enum Event {
    /// The client's state changed. Latest wins: a state that lasted shorter than the app looked away is not told.
    State(ClientState),
    /// A device without trust asks to connect. Accept or reject; dropping it rejects.
    Incoming(Incoming),
    /// The device that this one connects to asks its person, who sees the same six digits (D25): show them. If the two are not the
    /// same, [`Client::trust`] with [`TrustLevel::Untrusted`] ends it from this side.
    ///
    /// [`Client::trust`]: crate::Client::trust
    /// [`TrustLevel::Untrusted`]: crate::TrustLevel::Untrusted
    Comparing {
        /// The device that asks.
        device: DeviceId,
        /// Six digits, as in [`Incoming::sas`] there.
        sas: String,
    },
    /// The digits of [`Event::Comparing`] are of no use any more: the other side has answered, or the connection has ended. It
    /// comes after each of those, and before [`Event::Connected`] if the answer was yes.
    Compared(DeviceId),
    /// A session is there.
    Connected {
        /// The session.
        session: Session,
        /// Its first path.
        path: TransportKind,
    },
    /// A session moved to a path of another kind, from or to a TURN server, or has none.
    PathChanged {
        /// The session.
        session: Session,
        /// The path now; `None` while there is none.
        path: Option<TransportKind>,
    },
    /// Whether a session can be used has changed.
    StatusChanged {
        /// The session.
        session: Session,
        /// The status now.
        status: Status,
    },
    /// The path a session uses feels different now (S092, S160).
    QualityChanged {
        /// The session.
        session: Session,
        /// The quality now.
        quality: Quality,
    },
    /// A session has ended. What it brought can still be taken.
    Disconnected {
        /// The session.
        session: Session,
        /// The reason.
        reason: EndReason,
    },
    /// A trusted device came to a relay.
    Online(DeviceId),
    /// A trusted device left the relays. A session on a direct path goes on.
    Offline(DeviceId),
    /// Data costs money on the network there is now, or does not any more. While it does, no session is dialed for something
    /// better, idle paths are asked half as often, and streams marked as bulk wait ([`ClientBuilder::bulk_on_metered`]).
    ///
    /// [`ClientBuilder::bulk_on_metered`]: crate::ClientBuilder::bulk_on_metered
    Metered(bool),
    /// This many events, older than those that follow, were dropped because the app did not take them.
    Missed(u64),
}

/// The events of one client, in order. Ends when the client is shut down.
#[derive(Debug)]
pub struct Events {
    queue: Arc<Queue>,
    state: watch::Receiver<ClientState>,
}

/// The other end of [`Events`].
#[derive(Debug)]
pub(crate) struct EventSender(Arc<Queue>);

pub(crate) fn channel(state: watch::Receiver<ClientState>) -> (EventSender, Events) {
    let queue = Arc::<Queue>::default();
    (EventSender(queue.clone()), Events { queue, state })
}

impl EventSender {
    /// Never blocks. The events of one caller keep their order.
    pub(crate) fn send(&self, event: Event) {
        self.0.push(event);
    }
}

impl Drop for EventSender {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.arrived.notify_one();
    }
}

impl Events {
    /// Waits for the next event; `None` once the client is shut down. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        // After this last state only what is queued follows, however many handles of the client there still are.
        if *self.state.borrow() == ClientState::Closed && !self.state.has_changed().unwrap_or(false) {
            return self.queue.pop();
        }
        tokio::select! {
            biased;
            Ok(()) = self.state.changed() => Some(Event::State(*self.state.borrow_and_update())),
            event = self.queue.next() => event,
        }
    }

    /// Waits for an event and takes up to `max` of those that are there; empty once the client is shut down.
    pub async fn next_many(&mut self, max: usize) -> Vec<Event> {
        let mut events: Vec<_> = self.next().await.into_iter().collect();
        while !events.is_empty()
            && events.len() < max
            && let Some(event) = self.queue.pop()
        {
            events.push(event);
        }
        events
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut waiting = self.queue.lock();
        waiting.ended = true;
        let unwanted = std::mem::take(&mut waiting.events);
        drop(waiting);
        drop(unwanted);
    }
}

/// Events that were not taken.
#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// At most [`QUEUE`].
    events: VecDeque<Event>,
    /// Older ones that were dropped.
    missed: u64,
    /// One of the two ends is gone: nothing is added any more.
    ended: bool,
}

impl Queue {
    fn push(&self, event: Event) {
        let mut waiting = self.lock();
        if waiting.ended {
            return;
        }
        let oldest = if waiting.events.len() < QUEUE { None } else { waiting.events.pop_front() };
        waiting.missed += u64::from(oldest.is_some());
        waiting.events.push_back(event);
        // The app's end of what is dropped may wake others: not under the lock.
        drop(waiting);
        self.arrived.notify_one();
        drop(oldest);
    }

    fn pop(&self) -> Option<Event> {
        let mut waiting = self.lock();
        match std::mem::take(&mut waiting.missed) {
            0 => waiting.events.pop_front(),
            missed => Some(Event::Missed(missed)),
        }
    }

    /// Waits for an event; `None` when all were taken and there will be no more.
    async fn next(&self) -> Option<Event> {
        loop {
            if let Some(event) = self.pop() {
                return Some(event);
            }
            if self.lock().ended {
                // What came between the two looks.
                return self.pop();
            }
            self.arrived.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(n: usize) -> DeviceId {
        DeviceId::derive(&n.to_be_bytes())
    }

    #[tokio::test]
    async fn of_too_many_events_the_newest_stay_and_the_others_are_counted_first() {
        let state = watch::Sender::new(ClientState::Online);
        let (sender, mut events) = channel(state.subscribe());
        for n in 0..QUEUE + 7 {
            sender.send(Event::Online(device(n)));
        }
        assert!(matches!(events.next().await, Some(Event::Missed(7))));
        drop(sender);
        for n in 7..QUEUE + 7 {
            assert!(matches!(events.next().await, Some(Event::Online(d)) if d == device(n)));
        }
        assert!(events.next().await.is_none());
    }

    #[tokio::test]
    async fn events_of_an_app_that_left_are_not_kept() {
        let state = watch::Sender::new(ClientState::Online);
        let (sender, events) = channel(state.subscribe());
        let queue = events.queue.clone();
        sender.send(Event::Online(device(1)));
        drop(events);
        sender.send(Event::Online(device(2)));
        assert!(queue.pop().is_none());
    }
}
