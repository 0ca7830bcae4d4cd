//! The transports on one relay's socket, without the socket.
//!
//! A *lane* is one of them, from the first look at it until both halves are dropped. There is no credit between
//! lanes and peers: a lane whose reader is slower than its sender for [`limits::RELAY_INBOUND`] bytes is closed, and
//! the session's own window keeps honest peers below that.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::limits;
use peers_proto::signaling::{RelayCloseReason, RelayFrame};
use tokio::sync::Notify;

use super::error::RelayError;
use crate::transport::CloseReason;

/// Lanes that ended lately, whose frames may still be under way.
const MAX_ENDED: usize = 256;
/// Close messages waiting beside the lanes. Beyond it strangers' lanes are refused in silence.
const MAX_REFUSALS: usize = 256;

/// Names a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) peer: DeviceId,
    pub(crate) connection: ConnectionId,
}

/// Wakers of the halves of a lane.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    pub(crate) readable: Notify,
    pub(crate) writable: Notify,
}

/// The result of a frame to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outbound {
    Queued,
    /// No room; comes back.
    Full(Bytes),
    Ended(CloseReason),
}

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Frames,
    Nothing,
    Ended(CloseReason),
}

/// The result of a received frame.
pub(super) enum Received {
    Done,
    /// A peer opened this lane.
    Opened(Arc<Signals>),
}

/// Every lane of one relay.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: HashMap<Key, Lane>,
    /// Lanes with something to write, in the order of their turns.
    turns: VecDeque<Key>,
    refusals: VecDeque<Bytes>,
    ended: VecDeque<Key>,
    inbound_bytes: usize,
    /// A received frame left something to write.
    wake: bool,
}

#[derive(Debug, Default)]
struct Lane {
    /// The device that opened it, if this one did not.
    caller: Option<Caller>,
    inbound: VecDeque<Bytes>,
    inbound_bytes: usize,
    outbound: VecDeque<Bytes>,
    outbound_bytes: usize,
    /// In [`Lanes::turns`].
    has_turn: bool,
    /// The reason to tell the peer once the frames before it are written.
    goodbye: Option<RelayCloseReason>,
    end: Option<CloseReason>,
    dropped_halves: u8,
    signals: Arc<Signals>,
}

/// The device that opened a lane.
#[derive(Debug, Clone, Copy)]
struct Caller {
    known: bool,
}

impl Lanes {
    /// A lane of this side's own.
    pub(super) fn open(&mut self, key: Key) -> Result<Arc<Signals>, RelayError> {
        if self.lanes.contains_key(&key) || self.ended.contains(&key) {
            return Err(RelayError::Duplicate);
        }
        if self.lanes.len() >= limits::MAX_RELAY_TRANSPORTS {
            return Err(RelayError::TooMany);
        }
        Ok(self.insert(key, None))
    }

    /// A frame arrived. `room` is whether one more lane of a peer's could be reported, `known` whether this device lets
    /// the peer in: all others share a few lanes.
    pub(super) fn handle_data(&mut self, key: Key, frame: &[u8], room: bool, known: bool) -> Received {
        let mut received = Received::Done;
        if !self.lanes.contains_key(&key) {
            if self.ended.contains(&key) {
                return Received::Done;
            }
            if !room || !self.admits(key.peer, known) {
                self.refuse(key, RelayCloseReason::TooMany);
                return Received::Done;
            }
            received = Received::Opened(self.insert(key, Some(Caller { known })));
        }
        let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.end.is_none()) else {
            return Received::Done;
        };
        // A copy: the socket's buffer is shared by everything read at once, and would live as long as this frame.
        lane.inbound.push_back(Bytes::copy_from_slice(frame));
        let cost = cost(frame);
        lane.inbound_bytes += cost;
        self.inbound_bytes += cost;
        lane.signals.readable.notify_one();
        if lane.inbound_bytes > limits::RELAY_INBOUND {
            self.overflow(key);
        } else if self.inbound_bytes > limits::RELAY_INBOUND_TOTAL
            && let Some(fullest) =
                self.lanes.iter().max_by_key(|(_, lane)| lane.inbound_bytes).map(|(k, _)| *k)
        {
            self.overflow(fullest);
        }
        received
    }

    /// The devices that are let in have changed: a stranger that was accepted leaves the places of strangers to others.
    pub(super) fn sort_callers(&mut self, known: impl Fn(DeviceId) -> bool) {
        for (key, lane) in &mut self.lanes {
            if let Some(caller) = &mut lane.caller {
                caller.known = known(key.peer);
            }
        }
    }

    /// The peer or the relay ended a lane. What arrived before is still read.
    pub(super) fn handle_close(&mut self, key: Key, reason: RelayCloseReason) {
        let end = match reason {
            RelayCloseReason::Closed => CloseReason::Remote,
            other => CloseReason::Network(other.to_string()),
        };
        self.end(key, end, None);
    }

    /// One encoded message of a lane.
    pub(super) fn push(&mut self, key: Key, message: Bytes) -> Outbound {
        let Some(lane) = self.lanes.get_mut(&key) else { return Outbound::Ended(CloseReason::Local) };
        if let Some(reason) = &lane.end {
            return Outbound::Ended(reason.clone());
        }
        if lane.outbound_bytes >= limits::RELAY_OUTBOUND {
            return Outbound::Full(message);
        }
        lane.outbound_bytes += cost(&message);
        lane.outbound.push_back(message);
        self.give_turn(key);
        Outbound::Queued
    }

    /// Moves up to `max` received frames into `into`.
    pub(super) fn take(&mut self, key: Key, max: usize, into: &mut VecDeque<Bytes>) -> Taken {
        let Some(lane) = self.lanes.get_mut(&key) else { return Taken::Ended(CloseReason::Local) };
        if lane.inbound.is_empty() {
            return lane.end.clone().map_or(Taken::Nothing, Taken::Ended);
        }
        let count = max.min(lane.inbound.len());
        let freed: usize = lane.inbound.iter().take(count).map(|frame| cost(frame)).sum();
        lane.inbound_bytes -= freed;
        self.inbound_bytes -= freed;
        into.extend(lane.inbound.drain(..count));
        Taken::Frames
    }

    /// This side closes a lane: what waits is written, then the peer is told. Nothing more is read.
    pub(super) fn close(&mut self, key: Key) {
        self.end(key, CloseReason::Local, Some(RelayCloseReason::Closed));
        self.forget_inbound(key);
    }

    /// A half is gone; without both there is no use for either.
    pub(super) fn drop_half(&mut self, key: Key) {
        self.close(key);
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.dropped_halves += 1;
        }
        self.tidy(key);
    }

    /// A lane whose transport never came to be.
    pub(super) fn discard(&mut self, key: Key) {
        self.drop_half(key);
        self.drop_half(key);
    }

    /// Closes every lane in good order.
    pub(super) fn close_all(&mut self) {
        for key in self.lanes.keys().copied().collect::<Vec<_>>() {
            self.close(key);
        }
    }

    /// The socket is gone: every lane ends, nothing is written any more.
    pub(super) fn handle_lost(&mut self, reason: &CloseReason) {
        for key in self.lanes.keys().copied().collect::<Vec<_>>() {
            self.end(key, reason.clone(), None);
            if let Some(lane) = self.lanes.get_mut(&key) {
                (lane.outbound_bytes, lane.goodbye) = (0, None);
                lane.outbound.clear();
            }
            self.tidy(key);
        }
        self.turns.clear();
        for lane in self.lanes.values_mut() {
            lane.has_turn = false;
        }
        self.refusals.clear();
        // The relay forgot them too: no frame of theirs can come through the next socket.
        self.ended.clear();
    }

    /// Adds about `budget` bytes of messages to `batch`, one frame's worth of each lane in turn. False if there was
    /// nothing.
    pub(super) fn poll_output(&mut self, budget: usize, batch: &mut Vec<Bytes>) -> bool {
        let before = batch.len();
        batch.extend(self.refusals.drain(..));
        let mut bytes = 0;
        while bytes < budget
            && let Some(key) = self.turns.pop_front()
        {
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            lane.has_turn = false;
            let full = lane.outbound_bytes >= limits::RELAY_OUTBOUND;
            let mut turn = 0;
            while turn < limits::MAX_FRAME
                && let Some(message) = lane.outbound.pop_front()
            {
                turn += cost(&message);
                batch.push(message);
            }
            lane.outbound_bytes -= turn;
            bytes += turn;
            if full && lane.outbound_bytes < limits::RELAY_OUTBOUND {
                lane.signals.writable.notify_one();
            }
            if !lane.outbound.is_empty() {
                self.give_turn(key);
            } else if let Some(reason) = lane.goodbye.take() {
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

    fn insert(&mut self, key: Key, caller: Option<Caller>) -> Arc<Signals> {
        let lane = Lane { caller, ..Lane::default() };
        let signals = lane.signals.clone();
        self.lanes.insert(key, lane);
        signals
    }

    /// True if `peer` may open one more lane.
    fn admits(&self, peer: DeviceId, known: bool) -> bool {
        let alike = || {
            let callers = self.lanes.iter().filter_map(|(key, lane)| Some((key.peer, lane.caller?)));
            callers.filter(|(_, caller)| caller.known == known)
        };
        let (all, each) = match known {
            true => (limits::MAX_RELAY_INCOMING, limits::MAX_RELAY_INCOMING_PER_PEER),
            false => (limits::MAX_RELAY_STRANGERS, limits::MAX_RELAY_LANES_PER_STRANGER),
        };
        self.lanes.len() < limits::MAX_RELAY_TRANSPORTS
            && alike().count() < all
            && alike().filter(|(other, _)| *other == peer).count() < each
    }

    fn refuse(&mut self, key: Key, reason: RelayCloseReason) {
        self.remember(key);
        if self.refusals.len() < MAX_REFUSALS {
            self.refusals.push_back(close_message(key, reason));
            self.wake = true;
        }
    }

    /// The reader is too slow, or the peer sends more than any session would.
    fn overflow(&mut self, key: Key) {
        let reason = CloseReason::Protocol("more sent than the window allows");
        self.end(key, reason, Some(RelayCloseReason::Overflow));
        self.wake = true;
        self.forget_inbound(key);
    }

    /// The first end counts.
    fn end(&mut self, key: Key, reason: CloseReason, goodbye: Option<RelayCloseReason>) {
        let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.end.is_none()) else { return };
        lane.end = Some(reason);
        lane.goodbye = goodbye;
        if goodbye != Some(RelayCloseReason::Closed) {
            lane.outbound.clear();
            lane.outbound_bytes = 0;
        }
        lane.signals.readable.notify_one();
        lane.signals.writable.notify_one();
        if goodbye.is_some() {
            self.give_turn(key);
        }
        self.remember(key);
    }

    fn forget_inbound(&mut self, key: Key) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            self.inbound_bytes -= std::mem::take(&mut lane.inbound_bytes);
            lane.inbound.clear();
        }
    }

    fn give_turn(&mut self, key: Key) {
        if let Some(lane) = self.lanes.get_mut(&key)
            && !std::mem::replace(&mut lane.has_turn, true)
        {
            self.turns.push_back(key);
        }
    }

    /// Removes a lane that nobody holds and that has nothing left to say.
    fn tidy(&mut self, key: Key) {
        if self.lanes.get(&key).is_some_and(|lane| lane.dropped_halves >= 2 && lane.goodbye.is_none()) {
            self.lanes.remove(&key);
        }
    }

    fn remember(&mut self, key: Key) {
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

fn close_message(Key { peer, connection }: Key, reason: RelayCloseReason) -> Bytes {
    RelayFrame::Close { peer, connection, reason }.encode()
}

#[cfg(test)]
mod tests;
