//! What a client tells its app.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use peers_proto::id::DeviceId;
use peers_proto::path::{Quality, Status};
use peers_proto::transport_kind::TransportKind;
use tokio::sync::{mpsc, watch};

use crate::incoming::Incoming;
use crate::session::Session;

/// Events kept for an app that does not take them; further ones are counted and reported as [`Event::Missed`].
const QUEUE: usize = 1024;

/// Whether the client can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClientState {
    /// No relay has answered yet.
    #[default]
    Connecting,
    /// At least one relay knows this device.
    Online,
    /// No relay is reachable; the client keeps trying.
    Offline,
    /// No relay admits this device: a token is missing or wrong, or the device is not on the relay's list.
    NotAdmitted,
    /// The device was suspended or its network changed; no relay has answered since.
    Verifying,
    /// The app is suspended: peers and relays were told goodbye.
    Suspended,
    /// Another process registered with the same identity; this one does not try again.
    Superseded,
    /// The client was shut down.
    Closed,
}

/// Something happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The client's state changed. Latest wins: a state that lasted shorter than the app looked away is not told.
    State(ClientState),
    /// A device without trust asks to connect. Accept or reject; dropping it rejects.
    Incoming(Incoming),
    /// A session is there.
    Connected {
        /// The session.
        session: Session,
        /// Its first path.
        path: TransportKind,
    },
    /// A session moved to another path.
    PathChanged {
        /// Its peer.
        device: DeviceId,
        /// The path now; `None` while there is none.
        path: Option<TransportKind>,
    },
    /// Whether a session can be used has changed.
    StatusChanged {
        /// Its peer.
        device: DeviceId,
        /// The status now.
        status: Status,
    },
    /// The path a session uses feels different now (S092, S160).
    QualityChanged {
        /// Its peer.
        device: DeviceId,
        /// The quality now.
        quality: Quality,
    },
    /// A session has ended.
    Disconnected {
        /// Its peer.
        device: DeviceId,
        /// Why, as a stable name: `closed`, `closed-by-peer`, `evicted` (more than 30 connections), `peer-restarted`, `no-path`, `protocol`.
        reason: &'static str,
    },
    /// A trusted device came online.
    Online(DeviceId),
    /// A trusted device went offline.
    Offline(DeviceId),
    /// This many events were dropped because nobody took them.
    Missed(u64),
}

/// The events of one client, in order. Ends when the client is shut down.
#[derive(Debug)]
pub struct Events {
    events: mpsc::Receiver<Event>,
    state: watch::Receiver<ClientState>,
    missed: Arc<AtomicU64>,
}

/// The other end of [`Events`].
#[derive(Debug, Clone)]
pub(crate) struct EventSender {
    events: mpsc::Sender<Event>,
    missed: Arc<AtomicU64>,
}

pub(crate) fn channel(state: watch::Receiver<ClientState>) -> (EventSender, Events) {
    let (tx, rx) = mpsc::channel(QUEUE);
    let missed = Arc::<AtomicU64>::default();
    (EventSender { events: tx, missed: missed.clone() }, Events { events: rx, state, missed })
}

impl EventSender {
    pub(crate) fn send(&self, event: Event) {
        // A receiver that is gone does not want to know; one that is slow is told how much it missed.
        if let Err(mpsc::error::TrySendError::Full(_)) = self.events.try_send(event) {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Events {
    /// Waits for the next event; `None` once the client is shut down. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        let missed = self.missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            return Some(Event::Missed(missed));
        }
        // After this last state only what is queued follows, however many handles of the client there still are.
        if *self.state.borrow() == ClientState::Closed && !self.state.has_changed().unwrap_or(false) {
            return self.events.try_recv().ok();
        }
        tokio::select! {
            biased;
            Ok(()) = self.state.changed() => Some(Event::State(*self.state.borrow_and_update())),
            event = self.events.recv() => event,
        }
    }

    /// Waits for an event and takes up to `max` of those that are there; empty once the client is shut down.
    pub async fn next_many(&mut self, max: usize) -> Vec<Event> {
        let mut events: Vec<_> = self.next().await.into_iter().collect();
        while !events.is_empty()
            && events.len() < max
            && let Ok(event) = self.events.try_recv()
        {
            events.push(event);
        }
        events
    }
}
