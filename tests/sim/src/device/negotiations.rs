//! WebRTC of a device: the negotiations of `peers-proto`, whose outputs are performed without cryptography, ICE and DTLS.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use peers_proto::engine::negotiations::{
    NegotiationConfig, NegotiationError, NegotiationOutput, Negotiations, SignedDescription,
};
use peers_proto::engine::{DialFailure, DialId, Way};
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::signaling::{Body, ByeReason, MessageId, SeenMessages};
use peers_proto::time::{Instant, earliest};
use peers_proto::timing::HANDSHAKE_TIMEOUT;

use super::tasks::{Step, Task, Tasks};
use super::{Device, End, Phase, Surroundings, Waiter, device_id, index_of};
use crate::envelopes::{Envelope, EnvelopeId};
use crate::failure::Violation;
use crate::net::Net;
use crate::pipe::{Packet, PipeId};
use crate::plan::Fault;

/// The machine, its dials and its tasks.
pub(super) struct Negotiating {
    pub(super) machine: Negotiations,
    /// Dials without a conclusion, each with its peer and its beginning.
    dials: BTreeMap<DialId, (usize, Instant)>,
    concluded: BTreeSet<DialId>,
    seen: SeenMessages,
    tasks: Tasks,
}

impl Negotiating {
    pub(super) fn new(index: usize, net: &mut Net) -> Self {
        let config = NegotiationConfig { local: device_id(index), webrtc: true, relay_only: false };
        let mut entropy = [0; 32];
        entropy.as_chunks_mut::<8>().0.iter_mut().for_each(|bytes| *bytes = net.rng.next().to_be_bytes());
        Self {
            machine: Negotiations::new(config, entropy),
            dials: BTreeMap::new(),
            concluded: BTreeSet::new(),
            seen: SeenMessages::default(),
            tasks: Tasks::default(),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.machine.poll_timeout(), self.tasks.poll_timeout())
    }

    pub(super) fn dial(&mut self, peer: usize, dial: DialId, epoch: u64, now: Instant) {
        self.dials.insert(dial, (peer, now));
        self.machine.dial(device_id(peer), dial, epoch, now);
    }

    /// The beginning of the oldest dial without a conclusion.
    pub(super) fn oldest_dial(&self) -> Option<Instant> {
        self.dials.values().map(|(_, since)| *since).min()
    }

    pub(super) fn cancel(&mut self, dial: DialId) {
        if let Some((peer, _)) = self.dials.remove(&dial) {
            self.machine.cancel_dial(device_id(peer), dial);
        }
    }
}

impl Device {
    /// A copy of an envelope arrives.
    pub(crate) fn handle_envelope(&mut self, id: EnvelopeId, world: &mut Surroundings<'_>) {
        let now = self.clock(world.net.now);
        let Envelope { from, contents, .. } = &world.net.envelopes[id];
        let (from, connection) = (*from, contents.connection_id);
        let message = MessageId::from_bytes((id as u128).to_be_bytes());
        if self.negotiating.seen.first(device_id(from), message) {
            let level = world.net.plan.levels[from];
            self.negotiating.machine.handle_sealed(device_id(from), connection, id.to_string(), level, now);
        }
    }

    /// A peer connection has a way to its peer.
    pub(crate) fn handle_joined(
        &mut self,
        peer: usize,
        connection: ConnectionId,
        pipe: PipeId,
        net: &mut Net,
    ) {
        // ICE and DTLS take some round trips.
        let round_trip = 2 * net.pipes[pipe].profile.delay;
        let takes = round_trip * net.rng.within(2..6) as u32 + net.rng.millis(0..50);
        self.after(takes, Task::Connection(peer, connection, Step::Connected), net);
    }

    /// A packet arrives on the pipe of a peer connection before its handshake has begun here.
    pub(super) fn handle_early(&mut self, pipe: PipeId, packet: &Packet, world: &mut Surroundings<'_>) {
        let Some(connection) = world.net.connections.of_pipe(pipe, self.index) else { return };
        let (peer, _) = world.net.pipes[pipe].seen_by(self.index);
        match packet {
            Packet::M1 => {
                if let Some(end) = world.net.connections.end(connection, self.index) {
                    end.called = true;
                }
            }
            Packet::Close => {
                self.negotiating.tasks.end(peer, connection);
                self.after(Duration::ZERO, Task::Connection(peer, connection, Step::Failed), world.net);
            }
            _ => {}
        }
    }

    /// A session closes, and its peer does not know it yet.
    pub(super) fn session_closes(&mut self, peer: DeviceId, own: bool, world: &mut Surroundings<'_>) {
        let now = self.clock(world.net.now);
        match world.net.plan.fault {
            Fault::SilentCloses => {}
            Fault::LateCloses => self.soon(1000, Task::SessionCloses(peer, own), world.net),
            fault => {
                self.negotiating.machine.session_closes(peer, own || fault == Fault::OwnCloses, now);
            }
        }
    }

    /// Performs what the negotiations have decided.
    pub(super) fn negotiate(
        &mut self,
        output: NegotiationOutput,
        world: &mut Surroundings<'_>,
    ) -> Result<(), Violation> {
        let (index, fault) = (self.index, world.net.plan.fault);
        world.timeline.note(world.net.now, || format!("{index} negotiates: {output:?}"));
        match output {
            NegotiationOutput::Open { sealed, .. } => {
                let id = sealed.parse().map_err(|_| Violation::Content(format!("envelope {sealed:?}")))?;
                self.soon(10, Task::Open(id), world.net);
            }
            NegotiationOutput::Make { peer, connection, offer } => {
                if !world.net.connections.make(connection, index, offer.is_some(), world.net.now) {
                    return Err(Violation::Dial(format!("two peer connections for {connection}")));
                }
                self.soon(100, Task::Connection(index_of(peer), connection, Step::Made), world.net);
            }
            NegotiationOutput::Apply { peer, connection, .. } => {
                if let Some(end) = world.net.connections.end(connection, index) {
                    end.applied = true;
                }
                world.net.check(connection, [index, index_of(peer)]);
            }
            NegotiationOutput::AddCandidates { peer, connection, .. } => {
                if let Some(end) = world.net.connections.end(connection, index) {
                    end.candidates = true;
                }
                world.net.check(connection, [index, index_of(peer)]);
            }
            NegotiationOutput::Handshake { peer, connection, epoch } => {
                self.begin_handshake(index_of(peer), connection, epoch, world);
            }
            NegotiationOutput::Close { .. } if fault == Fault::DropCloses => {}
            NegotiationOutput::Close { peer, connection } => {
                self.close_connection(index_of(peer), connection, world)?;
            }
            NegotiationOutput::Send { peer, contents } => {
                world.net.send_envelope(Envelope { from: index, to: index_of(peer), contents });
            }
            NegotiationOutput::RenewCredentials => {}
            NegotiationOutput::Concluded { .. } if fault == Fault::DropConclusions => {}
            NegotiationOutput::Concluded { dials, outcome } => {
                for dial in dials {
                    self.conclude(dial, &outcome, world)?;
                }
            }
        }
        Ok(())
    }

    fn begin_handshake(
        &mut self,
        peer: usize,
        connection: ConnectionId,
        epoch: Option<u64>,
        world: &mut Surroundings<'_>,
    ) {
        let Some(end) = world.net.connections.end(connection, self.index) else { return };
        let (Some(pipe), called) = (end.pipe, end.called) else { return };
        let (_, route) = world.net.pipes[pipe].seen_by(self.index);
        let phase = if epoch.is_some() { Phase::Dialing } else { Phase::Answering };
        let deadline = self.clock(world.net.now) + HANDSHAKE_TIMEOUT;
        let waiter = Some(Waiter::Attempt(connection));
        self.ends.insert(pipe, End { peer, route, phase, deadline, waiter, epoch });
        match epoch {
            Some(_) => world.net.send(pipe, self.index, Packet::M1),
            None if called => world.net.send(pipe, self.index, Packet::M2),
            None => {}
        }
    }

    /// The attempt has ended. Its transport closes unless a session has it.
    fn close_connection(
        &mut self,
        peer: usize,
        connection: ConnectionId,
        world: &mut Surroundings<'_>,
    ) -> Result<(), Violation> {
        let Some(end) = world.net.connections.remove(connection, self.index) else {
            return Err(Violation::Dial(format!("{connection} is closed twice")));
        };
        self.negotiating.tasks.end(peer, connection);
        let is_path =
            |pipe: &PipeId| self.ends.get(pipe).is_some_and(|end| matches!(end.phase, Phase::Path(_)));
        if let Some(pipe) = end.pipe.filter(|pipe| !is_path(pipe)) {
            self.ends.remove(&pipe);
            world.net.close(pipe, self.index);
        }
        let now = self.clock(world.net.now);
        self.negotiating.machine.handle_closed(device_id(peer), connection, None, now);
        Ok(())
    }

    fn conclude(
        &mut self,
        dial: DialId,
        outcome: &Result<(), NegotiationError>,
        world: &Surroundings<'_>,
    ) -> Result<(), Violation> {
        if !self.negotiating.concluded.insert(dial) {
            return Err(Violation::Dial(format!("{dial:?} of {} is concluded twice", self.index)));
        }
        // Otherwise it was cancelled meanwhile.
        if self.negotiating.dials.remove(&dial).is_none() {
            return Ok(());
        }
        let outcome = outcome.clone().map_err(|error| match error {
            NegotiationError::Denied => DialFailure::Denied,
            error => DialFailure::Unreachable(error.to_string()),
        });
        self.engine.handle_way(dial, &Way::WebRtc, outcome, self.clock(world.net.now));
        Ok(())
    }

    // ---- tasks ----

    /// The handshake of a peer connection is over.
    pub(super) fn settle_attempt(
        &mut self,
        peer: usize,
        connection: ConnectionId,
        outcome: Result<(), NegotiationError>,
        net: &mut Net,
    ) {
        self.soon(2, Task::Connection(peer, connection, Step::Settled(outcome)), net);
    }

    fn soon(&mut self, millis: u64, task: Task, net: &mut Net) {
        let takes = net.rng.millis(0..millis);
        self.after(takes, task, net);
    }

    fn after(&mut self, takes: Duration, task: Task, net: &Net) {
        self.negotiating.tasks.begin(self.clock(net.now) + takes, task);
    }

    /// Ends the tasks that are due, and gives the machine the time.
    pub(super) fn run_tasks(&mut self, world: &mut Surroundings<'_>) {
        let now = self.clock(world.net.now);
        while let Some(task) = self.negotiating.tasks.next(now) {
            match task {
                Task::Open(id) => {
                    let Envelope { from, contents, .. } = &world.net.envelopes[id];
                    let (peer, mut contents) = (device_id(*from), contents.clone());
                    let takes_offers = self.engine.takes_offers(peer);
                    let failed = contents.body == Body::Bye(ByeReason::Failed);
                    if failed && world.net.plan.fault == Fault::ByeEndsHandshake {
                        contents.body = Body::Bye(ByeReason::Cancelled);
                    }
                    self.negotiating.machine.handle_opened(peer, Ok(contents), takes_offers, now);
                }
                Task::SessionCloses(peer, own) => self.negotiating.machine.session_closes(peer, own, now),
                Task::Connection(peer, connection, step) => self.report(peer, connection, step, world),
            }
        }
        self.negotiating.machine.handle_timeout(now);
    }

    fn report(&mut self, peer: usize, connection: ConnectionId, step: Step, world: &mut Surroundings<'_>) {
        let (now, device, index) = (self.clock(world.net.now), device_id(peer), self.index);
        match step {
            Step::Made => {
                if let Some(end) = world.net.connections.end(connection, index) {
                    end.described = true;
                }
                world.net.check(connection, [index, peer]);
                for _ in 0..world.net.rng.within(1..4) {
                    self.soon(200, Task::Connection(peer, connection, Step::Gathered), world.net);
                }
                let local = SignedDescription { sdp: "sdp".into(), fingerprint: [index as u8; 32] };
                self.negotiating.machine.handle_made(device, connection, local, now);
            }
            Step::Gathered => {
                let candidate = "candidate".into();
                self.negotiating.machine.handle_local_candidate(device, connection, candidate, now);
            }
            Step::Connected => self.negotiating.machine.handle_connected(device, connection),
            Step::Failed => {
                let reason = "the connection ended".into();
                self.negotiating.machine.handle_failed(device, connection, reason, now);
            }
            Step::Settled(outcome) => {
                self.negotiating.machine.handle_settled(device, connection, outcome, now);
            }
        }
    }
}
