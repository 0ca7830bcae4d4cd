//! What will happen, earliest first; of two events at one time the one that was planned first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use peers_proto::id::ConnectionId;
use peers_proto::time::Instant;

use crate::envelopes::EnvelopeId;
use crate::net::RelayRun;
use crate::pipe::PipeId;
use crate::presence::View;

/// Something that happens at its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// The plan's action with this index.
    Act(usize),
    /// A device's own deadline.
    Timer(usize),
    /// A packet is due at one end of a pipe.
    Arrival(PipeId, usize),
    /// One end of a pipe learns that it is broken.
    Broken(PipeId, usize),
    /// A copy of an envelope has passed through this relay.
    Envelope(EnvelopeId, RelayRun),
    /// A relay reports whether it sees a device.
    Presence(View),
    /// A knock arrives at the second device.
    Knock(usize, usize),
    /// The peer connections of these devices look for a way to each other.
    Check(ConnectionId, [usize; 2]),
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    planned: u64,
}

impl Queue {
    pub(crate) fn plan(&mut self, at: Instant, event: Event) {
        self.planned += 1;
        self.heap.push(Reverse((at, self.planned, event)));
    }

    /// The next one, unless it is later than `end`.
    pub(crate) fn next(&mut self, end: Instant) -> Option<(Instant, Event)> {
        self.heap.peek().filter(|Reverse((at, ..))| *at <= end)?;
        self.heap.pop().map(|Reverse((at, _, event))| (at, event))
    }
}
