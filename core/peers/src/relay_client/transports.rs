//! Transports on one relay's socket, without the socket.
//!
//! A relayed transport lives from its first frame until both of its halves are dropped. There is no credit between transports
//! and peers. A transport whose reader is slower than its sender for [`limits::RELAY_INBOUND`] bytes is closed. The session's
//! own window keeps honest peers below that.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::limits;
use peers_proto::signaling::{RelayCloseReason, RelayFrame};
use tokio::sync::Notify;

use super::error::RelayError;
use crate::transport::CloseReason;

/// Transports that ended lately, whose frames may still be under way.
const MAX_ENDED: usize = 256;
/// Close messages waiting beside the transports. Beyond it strangers' transports are refused in silence.
const MAX_REFUSALS: usize = 256;

/// The name of a transport at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TransportKey {
    pub(crate) peer: DeviceId,
    pub(crate) connection: ConnectionId,
}

/// Wakers of the halves of a transport.
#[derive(Debug, Default)]
pub(crate) struct TransportSignals {
    pub(crate) readable: Notify,
    pub(crate) writable: Notify,
}

/// The result of a frame to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PushOutcome {
    Queued,
    /// No room; comes back.
    Full(Bytes),
    Ended(CloseReason),
}

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    Frames,
    Nothing,
    Ended(CloseReason),
}

/// The result of a received frame.
pub(super) enum ReceiveOutcome {
    Done,
    /// A peer opened this transport.
    Opened(Arc<TransportSignals>),
}

/// Every transport of one relay.
#[derive(Debug, Default)]
pub(super) struct RelayedTransports {
    transports: HashMap<TransportKey, RelayedTransport>,
    /// Transports with something to write, in the order of their turns.
    turns: VecDeque<TransportKey>,
    refusals: VecDeque<Bytes>,
    ended: VecDeque<TransportKey>,
    inbound_bytes: usize,
    /// A received frame left something to write.
    wake: bool,
}

#[derive(Debug, Default)]
struct RelayedTransport {
    /// The device that opened it, if this one did not.
    caller: Option<Caller>,
    inbound: VecDeque<Bytes>,
    inbound_bytes: usize,
    outbound: VecDeque<Bytes>,
    outbound_bytes: usize,
    /// In [`RelayedTransports::turns`].
    has_turn: bool,
    /// The reason to tell the peer once the frames before it are written.
    goodbye: Option<RelayCloseReason>,
    end: Option<CloseReason>,
    dropped_halves: u8,
    signals: Arc<TransportSignals>,
}

/// The device that opened a transport.
#[derive(Debug, Clone, Copy)]
struct Caller {
    known: bool,
}

impl RelayedTransports {
    /// A transport of this side's own.
    pub(super) fn open(&mut self, key: TransportKey) -> Result<Arc<TransportSignals>, RelayError> {
        if self.transports.contains_key(&key) || self.ended.contains(&key) {
            return Err(RelayError::Duplicate);
        }
        if self.transports.len() >= limits::MAX_RELAY_TRANSPORTS {
            return Err(RelayError::TooMany);
        }
        Ok(self.insert(key, None))
    }

    /// A frame arrived. `room` is whether one more transport of a peer's could be reported, `known` whether this device lets
    /// the peer in: all others share a few transports.
    pub(super) fn handle_data(
        &mut self,
        key: TransportKey,
        frame: &[u8],
        room: bool,
        known: bool,
    ) -> ReceiveOutcome {
        let mut received = ReceiveOutcome::Done;
        if !self.transports.contains_key(&key) {
            if self.ended.contains(&key) {
                return ReceiveOutcome::Done;
            }
            if !room || !self.admits(key.peer, known) {
                self.refuse(key, RelayCloseReason::TooMany);
                return ReceiveOutcome::Done;
            }
            received = ReceiveOutcome::Opened(self.insert(key, Some(Caller { known })));
        }
        let Some(transport) = self.transports.get_mut(&key).filter(|transport| transport.end.is_none())
        else {
            return ReceiveOutcome::Done;
        };
        // A copy: the socket's buffer is shared by everything read at once, and would live as long as this frame.
        transport.inbound.push_back(Bytes::copy_from_slice(frame));
        let cost = cost(frame);
        transport.inbound_bytes += cost;
        self.inbound_bytes += cost;
        transport.signals.readable.notify_one();
        if transport.inbound_bytes > limits::RELAY_INBOUND {
            self.overflow(key);
        } else if self.inbound_bytes > limits::RELAY_INBOUND_TOTAL
            && let Some(fullest) =
                self.transports.iter().max_by_key(|(_, transport)| transport.inbound_bytes).map(|(k, _)| *k)
        {
            self.overflow(fullest);
        }
        received
    }

    /// The devices that are let in have changed: a stranger that was accepted leaves the places of strangers to others.
    pub(super) fn sort_callers(&mut self, known: impl Fn(DeviceId) -> bool) {
        for (key, transport) in &mut self.transports {
            if let Some(caller) = &mut transport.caller {
                caller.known = known(key.peer);
            }
        }
    }

    /// The peer or the relay ended a transport. Frames that arrived before are still read.
    pub(super) fn handle_close(&mut self, key: TransportKey, reason: RelayCloseReason) {
        let end = match reason {
            RelayCloseReason::Closed => CloseReason::Remote,
            other => CloseReason::Network(other.to_string()),
        };
        self.end(key, end, None);
    }

    /// One encoded message of a transport.
    pub(super) fn push(&mut self, key: TransportKey, message: Bytes) -> PushOutcome {
        let Some(transport) = self.transports.get_mut(&key) else {
            return PushOutcome::Ended(CloseReason::Local);
        };
        if let Some(reason) = &transport.end {
            return PushOutcome::Ended(reason.clone());
        }
        if transport.outbound_bytes >= limits::RELAY_OUTBOUND {
            return PushOutcome::Full(message);
        }
        transport.outbound_bytes += cost(&message);
        transport.outbound.push_back(message);
        self.give_turn(key);
        PushOutcome::Queued
    }

    /// Moves up to `max` received frames into `into`.
    pub(super) fn take(&mut self, key: TransportKey, max: usize, into: &mut VecDeque<Bytes>) -> ReadOutcome {
        let Some(transport) = self.transports.get_mut(&key) else {
            return ReadOutcome::Ended(CloseReason::Local);
        };
        if transport.inbound.is_empty() {
            return transport.end.clone().map_or(ReadOutcome::Nothing, ReadOutcome::Ended);
        }
        let count = max.min(transport.inbound.len());
        let freed: usize = transport.inbound.iter().take(count).map(|frame| cost(frame)).sum();
        transport.inbound_bytes -= freed;
        self.inbound_bytes -= freed;
        into.extend(transport.inbound.drain(..count));
        ReadOutcome::Frames
    }

    /// This side closes a transport. Frames that wait are written, then the reason. Nothing more is read.
    pub(super) fn close(&mut self, key: TransportKey) {
        self.end(key, CloseReason::Local, Some(RelayCloseReason::Closed));
        self.forget_inbound(key);
    }

    /// A half is gone; without both there is no use for either.
    pub(super) fn drop_half(&mut self, key: TransportKey) {
        self.close(key);
        if let Some(transport) = self.transports.get_mut(&key) {
            transport.dropped_halves += 1;
        }
        self.tidy(key);
    }

    /// Removes a transport that no reader or writer has taken.
    pub(super) fn discard(&mut self, key: TransportKey) {
        self.drop_half(key);
        self.drop_half(key);
    }

    /// Closes every transport in good order.
    pub(super) fn close_all(&mut self) {
        for key in self.transports.keys().copied().collect::<Vec<_>>() {
            self.close(key);
        }
    }

    /// The socket is gone: every transport ends, nothing is written any more.
    pub(super) fn handle_lost(&mut self, reason: &CloseReason) {
        for key in self.transports.keys().copied().collect::<Vec<_>>() {
            self.end(key, reason.clone(), None);
            if let Some(transport) = self.transports.get_mut(&key) {
                (transport.outbound_bytes, transport.goodbye) = (0, None);
                transport.outbound.clear();
            }
            self.tidy(key);
        }
        self.turns.clear();
        for transport in self.transports.values_mut() {
            transport.has_turn = false;
        }
        self.refusals.clear();
        // The relay forgot them too: no frame of theirs can come through the next socket.
        self.ended.clear();
    }

    /// Adds about `budget` bytes of messages to `batch`, one frame's worth of each transport in turn. False if there was
    /// nothing.
    pub(super) fn poll_output(&mut self, budget: usize, batch: &mut Vec<Bytes>) -> bool {
        let before = batch.len();
        batch.extend(self.refusals.drain(..));
        let mut bytes = 0;
        while bytes < budget
            && let Some(key) = self.turns.pop_front()
        {
            let Some(transport) = self.transports.get_mut(&key) else { continue };
            transport.has_turn = false;
            let full = transport.outbound_bytes >= limits::RELAY_OUTBOUND;
            let mut turn = 0;
            while turn < limits::MAX_FRAME
                && let Some(message) = transport.outbound.pop_front()
            {
                turn += cost(&message);
                batch.push(message);
            }
            transport.outbound_bytes -= turn;
            bytes += turn;
            if full && transport.outbound_bytes < limits::RELAY_OUTBOUND {
                transport.signals.writable.notify_one();
            }
            if !transport.outbound.is_empty() {
                self.give_turn(key);
            } else if let Some(reason) = transport.goodbye.take() {
                batch.push(close_message(key, reason));
                self.tidy(key);
            }
        }
        batch.len() > before
    }

    /// True if a frame received since the last call left something to write.
    pub(super) fn take_wake(&mut self) -> bool {
        std::mem::take(&mut self.wake)
    }

    fn insert(&mut self, key: TransportKey, caller: Option<Caller>) -> Arc<TransportSignals> {
        let transport = RelayedTransport { caller, ..RelayedTransport::default() };
        let signals = transport.signals.clone();
        self.transports.insert(key, transport);
        signals
    }

    /// True if `peer` may open one more transport.
    fn admits(&self, peer: DeviceId, known: bool) -> bool {
        let alike = || {
            let callers =
                self.transports.iter().filter_map(|(key, transport)| Some((key.peer, transport.caller?)));
            callers.filter(|(_, caller)| caller.known == known)
        };
        let (all, each) = match known {
            true => (limits::MAX_RELAY_INCOMING, limits::MAX_RELAY_INCOMING_PER_PEER),
            false => (limits::MAX_RELAY_STRANGERS, limits::MAX_RELAY_TRANSPORTS_PER_STRANGER),
        };
        self.transports.len() < limits::MAX_RELAY_TRANSPORTS
            && alike().count() < all
            && alike().filter(|(other, _)| *other == peer).count() < each
    }

    fn refuse(&mut self, key: TransportKey, reason: RelayCloseReason) {
        self.remember(key);
        if self.refusals.len() < MAX_REFUSALS {
            self.refusals.push_back(close_message(key, reason));
            self.wake = true;
        }
    }

    /// The reader is too slow, or the peer sends more than any session would.
    fn overflow(&mut self, key: TransportKey) {
        let reason = CloseReason::Protocol("more sent than the window allows");
        self.end(key, reason, Some(RelayCloseReason::Overflow));
        self.wake = true;
        self.forget_inbound(key);
    }

    /// The first end counts.
    fn end(&mut self, key: TransportKey, reason: CloseReason, goodbye: Option<RelayCloseReason>) {
        let Some(transport) = self.transports.get_mut(&key).filter(|transport| transport.end.is_none())
        else {
            return;
        };
        transport.end = Some(reason);
        transport.goodbye = goodbye;
        if goodbye != Some(RelayCloseReason::Closed) {
            transport.outbound.clear();
            transport.outbound_bytes = 0;
        }
        transport.signals.readable.notify_one();
        transport.signals.writable.notify_one();
        if goodbye.is_some() {
            self.give_turn(key);
        }
        self.remember(key);
    }

    fn forget_inbound(&mut self, key: TransportKey) {
        if let Some(transport) = self.transports.get_mut(&key) {
            self.inbound_bytes -= std::mem::take(&mut transport.inbound_bytes);
            transport.inbound.clear();
        }
    }

    fn give_turn(&mut self, key: TransportKey) {
        if let Some(transport) = self.transports.get_mut(&key)
            && !std::mem::replace(&mut transport.has_turn, true)
        {
            self.turns.push_back(key);
        }
    }

    /// Removes a transport whose halves are dropped and that has nothing left to write.
    fn tidy(&mut self, key: TransportKey) {
        if self
            .transports
            .get(&key)
            .is_some_and(|transport| transport.dropped_halves >= 2 && transport.goodbye.is_none())
        {
            self.transports.remove(&key);
        }
    }

    fn remember(&mut self, key: TransportKey) {
        self.ended.push_back(key);
        if self.ended.len() > MAX_ENDED {
            self.ended.pop_front();
        }
    }
}

/// Bytes of a queue's bound that a frame takes: tiny ones are not free.
fn cost(frame: &[u8]) -> usize {
    frame.len() + limits::OBJECT_COST
}

fn close_message(TransportKey { peer, connection }: TransportKey, reason: RelayCloseReason) -> Bytes {
    RelayFrame::Close { peer, connection, reason }.encode()
}

#[cfg(test)]
mod tests;
