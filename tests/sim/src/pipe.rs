//! A transport between two devices: reliable and in order, as all ours are. What a network loses only comes later;
//! what a dead network holds never comes.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use peers_proto::session::Resume;
use peers_proto::time::Instant;
use peers_proto::transport_kind::TransportKind;

use crate::net::RelayRun;

/// Index of a pipe in its world.
pub(crate) type PipeId = usize;

/// Bytes a transport takes before its writer has to wait.
const BUFFER: usize = 256 * 1024;

/// What travels: the handshake's steps without their cryptography, then frames.
#[derive(Debug, Clone)]
pub(crate) enum Packet {
    M1,
    M2,
    M3,
    Ready(Resume),
    Frame(Bytes),
    Close,
}

impl Packet {
    fn len(&self) -> usize {
        match self {
            Self::Frame(frame) => frame.len(),
            _ => 256,
        }
    }
}

/// How a kind of path behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Profile {
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
    /// Percent of packets that have to be sent again.
    pub(crate) loss: u64,
    /// Bytes per second.
    pub(crate) rate: u64,
}

/// What the pipe runs through; each number changes when the thing it names is replaced, and with it the pipe breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) kind: TransportKind,
    pub(crate) relay: Option<RelayRun>,
    pub(crate) turn: bool,
    /// The address generations of both ends.
    pub(crate) addresses: [u32; 2],
}

#[derive(Debug)]
pub(crate) struct Pipe {
    /// Initiator, responder.
    pub(crate) ends: [usize; 2],
    pub(crate) route: Route,
    pub(crate) profile: Profile,
    pub(crate) closed: [bool; 2],
    lanes: [Lane; 2],
}

/// One direction, named for its receiver.
#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Packet>,
    bytes: usize,
    /// When the last one in the queue is due.
    last: Instant,
    /// When the sender's uplink is free again.
    busy: Instant,
    /// Packets that are due and could not be delivered.
    held: usize,
}

impl Pipe {
    pub(crate) fn new(ends: [usize; 2], route: Route, profile: Profile) -> Self {
        Self { ends, route, profile, closed: [false; 2], lanes: [Lane::default(), Lane::default()] }
    }

    /// Which end a device is.
    pub(crate) fn side_of(&self, device: usize) -> usize {
        usize::from(self.ends[1] == device)
    }

    /// The other device, and the route of the pipe, as one of its two devices sees them.
    pub(crate) fn seen_by(&self, device: usize) -> (usize, peers_proto::path::Route) {
        let route = peers_proto::path::Route { kind: self.route.kind, relayed: self.route.turn };
        (self.ends[1 - self.side_of(device)], route)
    }

    pub(crate) fn is_writable(&self, from: usize) -> bool {
        !self.closed[from] && self.lanes[1 - from].bytes < BUFFER
    }

    /// Takes a packet; returns when it is due at the other end. `late` is what retransmissions add.
    pub(crate) fn send(&mut self, from: usize, packet: Packet, now: Instant, late: Duration) -> Instant {
        let lane = &mut self.lanes[1 - from];
        let len = packet.len();
        let sent = now.max(lane.busy) + Duration::from_micros(len as u64 * 1_000_000 / self.profile.rate);
        lane.busy = sent;
        lane.last = lane.last.max(sent + self.profile.delay + late);
        lane.bytes += len;
        lane.queue.push_back(packet);
        lane.last
    }

    /// Delivers the next packet to an end.
    pub(crate) fn deliver(&mut self, to: usize) -> Option<Packet> {
        let lane = &mut self.lanes[to];
        let packet = lane.queue.pop_front()?;
        lane.bytes -= packet.len();
        Some(packet)
    }

    /// Bytes of the packet that an end gets next.
    pub(crate) fn next_len(&self, to: usize) -> usize {
        self.lanes[to].queue.front().map_or(0, Packet::len)
    }

    /// A packet is due and cannot be delivered.
    pub(crate) fn hold(&mut self, to: usize) {
        self.lanes[to].held += 1;
    }

    /// How many packets are overdue at an end that can be reached again.
    pub(crate) fn release(&mut self, to: usize) -> usize {
        std::mem::take(&mut self.lanes[to].held)
    }
}
