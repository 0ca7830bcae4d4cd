//! Peer connections without ICE and DTLS: two ends that know each other's descriptions and candidates get a pipe when the
//! network has a direct way between them.

use std::collections::BTreeMap;
use std::time::Duration;

use peers_proto::id::ConnectionId;
use peers_proto::time::Instant;

use crate::net::Net;
use crate::pipe::PipeId;
use crate::queue::Event;

/// ICE looks for a way again after this long, until the attempt ends.
const CHECK_AGAIN: Duration = Duration::from_secs(1);

/// One end of a peer connection.
#[derive(Debug, Default)]
pub(crate) struct PeerConnection {
    made: Instant,
    /// Its own description is made.
    pub(crate) described: bool,
    /// The peer's description is applied.
    pub(crate) applied: bool,
    /// It has candidates of the peer.
    pub(crate) candidates: bool,
    /// The transport, once there is a way.
    pub(crate) pipe: Option<PipeId>,
    /// The peer has begun the handshake before this end.
    pub(crate) called: bool,
    checks: bool,
}

/// The ends of all peer connections that are not closed, each named by its attempt and its device.
#[derive(Debug, Default)]
pub(crate) struct PeerConnections(BTreeMap<(ConnectionId, usize), PeerConnection>);

impl PeerConnections {
    /// Makes an end, with the peer's description if it `answers` one. False if there is one already.
    pub(crate) fn make(
        &mut self,
        connection: ConnectionId,
        device: usize,
        answers: bool,
        now: Instant,
    ) -> bool {
        let end = PeerConnection { made: now, applied: answers, ..PeerConnection::default() };
        self.0.insert((connection, device), end).is_none()
    }

    pub(crate) fn end(&mut self, connection: ConnectionId, device: usize) -> Option<&mut PeerConnection> {
        self.0.get_mut(&(connection, device))
    }

    pub(crate) fn remove(&mut self, connection: ConnectionId, device: usize) -> Option<PeerConnection> {
        self.0.remove(&(connection, device))
    }

    /// The attempt whose transport this pipe is, as long as the device has not closed it.
    pub(crate) fn of_pipe(&self, pipe: PipeId, device: usize) -> Option<ConnectionId> {
        let is_its = |(at, end): (&(ConnectionId, usize), &PeerConnection)| {
            (at.1 == device && end.pipe == Some(pipe)).then_some(at.0)
        };
        self.0.iter().find_map(is_its)
    }

    /// The time at which the oldest end was made.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.0.values().map(|end| end.made).min()
    }

    /// A device is killed: returns the pipes of its ends.
    pub(crate) fn kill(&mut self, device: usize) -> Vec<PipeId> {
        let mut pipes = Vec::new();
        self.0.retain(|(_, of), end| {
            pipes.extend(end.pipe.filter(|_| *of == device));
            *of != device
        });
        pipes
    }

    /// Both ends, if both can look for a way. A connection id is random, so no third device has it.
    fn ready(&mut self, connection: ConnectionId) -> Option<[&mut PeerConnection; 2]> {
        let mut ends = self.0.range_mut((connection, 0)..=(connection, usize::MAX));
        let mut next = || {
            let (_, end) = ends.next()?;
            (end.described && end.applied && end.candidates && end.pipe.is_none()).then_some(end)
        };
        Some([next()?, next()?])
    }
}

impl Net {
    /// An end has learned something: from now on the two look for a way if both know enough.
    pub(crate) fn check(&mut self, connection: ConnectionId, devices: [usize; 2]) {
        let Some(ends) = self.connections.ready(connection) else { return };
        if !ends.map(|end| std::mem::replace(&mut end.checks, true)).contains(&true) {
            let delay = self.rng.millis(0..100);
            self.queue.plan(self.now + delay, Event::Check(connection, devices));
        }
    }

    /// Joins two ends by a pipe, if both are still there and there is a direct way. Otherwise they go on to look for one.
    pub(crate) fn connect(&mut self, connection: ConnectionId, devices: [usize; 2]) -> Option<PipeId> {
        self.connections.ready(connection)?;
        let [a, b] = devices;
        let Some(kind) = self.direct(a, b) else {
            self.queue.plan(self.now + CHECK_AGAIN, Event::Check(connection, devices));
            return None;
        };
        let pipe = self.join(devices, kind, None);
        self.connections.ready(connection)?.into_iter().for_each(|end| end.pipe = Some(pipe));
        Some(pipe)
    }
}
