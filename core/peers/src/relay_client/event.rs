//! Events of a relay, in a bounded queue.

use std::collections::VecDeque;
use std::sync::Arc;

use peers_proto::dial::Presence;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::limits;
use peers_proto::signaling::{ErrorCode, ExchangeKind, MessageId};

use super::RelayShared;
use super::transports::{TransportKey, TransportSignals};
use crate::transport::{Transport, relay};

/// Something the relay or a peer did.
pub enum RelayEvent {
    /// A device sent sealed envelopes.
    Exchange {
        /// The message that carried them.
        kind: ExchangeKind,
        /// The sender, as the relay says; the envelopes prove it.
        from: DeviceId,
        /// The attempt.
        connection: ConnectionId,
        /// Names the message on every relay, so that copies can be dropped.
        message: MessageId,
        /// In order.
        envelopes: Vec<String>,
        /// True if it waited at the relay while this device was away.
        queued: bool,
    },
    /// A device that this one does not watch asks to be let in.
    Knock {
        /// The device that the relay names; the knock proves it.
        from: DeviceId,
        /// The attempt.
        connection: ConnectionId,
        /// Names the message on every relay, so that copies can be dropped.
        message: MessageId,
        /// See [`peers_proto::signaling::knock`].
        knock: Vec<u8>,
    },
    /// A device opened a transport through the relay.
    Incoming {
        /// The opener, as the relay says; the handshake proves it.
        peer: DeviceId,
        /// The connection.
        connection: ConnectionId,
        /// Ready to use.
        transport: Transport,
    },
    /// A watched device came to the relay or left it, or this device has lost the relay.
    Presence(DeviceId, Presence),
    /// The relay did not accept something this device sent.
    Rejected {
        /// The kind of error.
        code: ErrorCode,
        /// The exchange it is about, if it is about one.
        about: Option<MessageId>,
    },
}

/// The receiving end. Dropping it drops what arrives.
pub struct RelayEvents {
    shared: Arc<RelayShared>,
}

impl RelayEvents {
    pub(super) fn new(shared: Arc<RelayShared>) -> Self {
        Self { shared }
    }

    /// The next event; nothing once the client has ended and all were taken. Cancel safe.
    pub async fn recv(&mut self) -> Option<RelayEvent> {
        loop {
            match self.shared.next_event() {
                Some(Some(queued)) => return Some(self.event(queued)),
                Some(None) => self.shared.event_waiting().await,
                None => return None,
            }
        }
    }

    fn event(&self, queued: Queued) -> RelayEvent {
        match queued {
            Queued::Incoming(key, signals, _) => RelayEvent::Incoming {
                peer: key.peer,
                connection: key.connection,
                transport: relay::transport(self.shared.clone(), key, signals),
            },
            Queued::Presence(device, presence) => RelayEvent::Presence(device, presence),
            Queued::Other(event) => event,
        }
    }
}

impl Drop for RelayEvents {
    fn drop(&mut self) {
        self.shared.discard_events();
    }
}

/// An event as it waits. A transport has halves only once somebody takes it: halves hold [`RelayShared`], and so must
/// not wait inside it.
pub(super) enum Queued {
    /// With whether the device that opened it is let in.
    Incoming(TransportKey, Arc<TransportSignals>, bool),
    Presence(DeviceId, Presence),
    Other(RelayEvent),
}

/// At most [`limits::MAX_RELAY_EVENTS`], and beside them the newest presence of each watched device.
#[derive(Default)]
pub(super) struct EventInbox {
    queue: VecDeque<Queued>,
    closed: bool,
}

impl EventInbox {
    /// False if there is no room: the event is dropped.
    pub(super) fn push(&mut self, event: Queued) -> bool {
        if self.closed {
            return false;
        }
        if let Queued::Presence(device, _) = event {
            // Only the latest counts. Bounded by the watched devices, since no others are reported.
            self.queue.retain(|q| !matches!(q, Queued::Presence(d, _) if *d == device));
        } else if self.queue.len() >= limits::MAX_RELAY_EVENTS {
            return false;
        }
        self.queue.push_back(event);
        true
    }

    pub(super) fn pop(&mut self) -> Option<Queued> {
        self.queue.pop_front()
    }

    /// The receiver of events is gone. Returns the transports that it has not taken.
    pub(super) fn close(&mut self) -> Vec<TransportKey> {
        self.closed = true;
        let waiting = self.queue.drain(..);
        waiting.filter_map(|q| if let Queued::Incoming(key, ..) = q { Some(key) } else { None }).collect()
    }

    /// True if one more transport that a peer has opened may wait: strangers have fewer places, and not those of others.
    pub(super) fn has_room(&self, known: bool) -> bool {
        let alike = |queued: &&Queued| matches!(queued, Queued::Incoming(_, _, other) if *other == known);
        let places = if known { limits::MAX_HANDSHAKES } else { limits::MAX_STRANGER_HANDSHAKES };
        self.queue.iter().filter(alike).count() < places
    }
}
