//! WebRTC of a device: the outputs of its negotiations are performed without cryptography, ICE and DTLS.

use std::time::Duration;

use peers_proto::engine::QuestionId;
use peers_proto::engine::negotiations::{NegotiationError, NegotiationOutput, SignedDescription};
use peers_proto::id::ConnectionId;
use peers_proto::signaling::{Body, ByeReason, MessageId};
use peers_proto::timing::HANDSHAKE_TIMEOUT;

use super::tasks::{Step, Task};
use super::{CERTIFICATES, Device, End, Phase, Surroundings, Waiter, device_id, index_of};
use crate::envelopes::{Envelope, EnvelopeId};
use crate::failure::Violation;
use crate::net::Net;
use crate::pipe::{Packet, PipeId};
use crate::plan::Fault;

impl Device {
    /// A copy of an envelope arrives.
    pub(crate) fn handle_envelope(&mut self, id: EnvelopeId, world: &mut Surroundings<'_>) {
        let now = self.clock(world.net.now);
        let Envelope { from, contents, .. } = &world.net.envelopes[id];
        let (from, connection) = (*from, contents.connection_id);
        let message = MessageId::from_bytes((id as u128).to_be_bytes());
        if self.engine.is_first_copy(device_id(from), message) {
            let level = self.level(from, world.net);
            self.engine.handle_envelopes(device_id(from), connection, vec![id.to_string()], level, now);
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
                self.tasks.end(peer, connection);
                self.after(Duration::ZERO, Task::Connection(peer, connection, Step::Failed), world.net);
            }
            _ => {}
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
            NegotiationOutput::RenewCredentials | NegotiationOutput::Concluded { .. } => {}
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
        let phase = if epoch.is_some() { Phase::Dialing } else { self.answering(peer, called, world.net) };
        let deadline = self.clock(world.net.now) + HANDSHAKE_TIMEOUT;
        let waiter = Some(Waiter::Attempt(connection));
        self.ends.insert(pipe, End { peer, route, phase, deadline, waiter, epoch });
        if epoch.is_some() {
            world.net.send(pipe, self.index, Packet::M1);
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
        self.tasks.end(peer, connection);
        let is_path =
            |pipe: &PipeId| self.ends.get(pipe).is_some_and(|end| matches!(end.phase, Phase::Path(_)));
        let (pipe, now) = (end.pipe.filter(|pipe| !is_path(pipe)), self.clock(world.net.now));
        if let Some(pipe) = pipe {
            self.remove_end(pipe, now);
            world.net.close(pipe, self.index);
        }
        self.engine.report_connection(now, |machine, now| {
            machine.handle_closed(device_id(peer), connection, None, now);
        });
        Ok(())
    }

    // ---- tasks ----

    /// The app is asked about a device, and accepts it in the end: it may refuse it before, or be too late.
    pub(super) fn ask(&mut self, question: QuestionId, net: &mut Net) {
        let (accepts, takes) = (net.plan.accepts, net.rng.millis(200..40_000));
        let accepted = net.rng.chance(accepts);
        self.after(takes, Task::Answer(question, accepted), net);
    }

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
        self.tasks.begin(self.clock(net.now) + takes, task);
    }

    /// Ends the tasks that are due.
    pub(super) fn run_tasks(&mut self, world: &mut Surroundings<'_>) {
        let now = self.clock(world.net.now);
        while let Some(task) = self.tasks.next(now) {
            match task {
                Task::Open(id) => {
                    let Envelope { from, contents, .. } = &world.net.envelopes[id];
                    let (certificate, mut contents) = (CERTIFICATES[*from].clone(), contents.clone());
                    let failed = contents.body == Body::Bye(ByeReason::Failed);
                    if failed && world.net.plan.fault == Fault::ByeEndsHandshake {
                        contents.body = Body::Bye(ByeReason::Cancelled);
                    }
                    // An error is for logs.
                    let _ = self.engine.handle_opened(device_id(*from), Ok((certificate, contents)), now);
                }
                Task::Answer(question, accepted) => self.engine.handle_answer(question, accepted, now),
                Task::Connection(peer, connection, step) => self.report(peer, connection, step, world),
            }
        }
    }

    fn report(&mut self, peer: usize, connection: ConnectionId, step: Step, world: &mut Surroundings<'_>) {
        let (now, device, index) = (self.clock(world.net.now), device_id(peer), self.index);
        if matches!(step, Step::Made) {
            if let Some(end) = world.net.connections.end(connection, index) {
                end.described = true;
            }
            world.net.check(connection, [index, peer]);
            for _ in 0..world.net.rng.within(1..4) {
                self.soon(200, Task::Connection(peer, connection, Step::Gathered), world.net);
            }
        }
        self.engine.report_connection(now, |machine, now| match step {
            Step::Made => {
                let local = SignedDescription { sdp: "sdp".into(), fingerprint: [index as u8; 32] };
                machine.handle_made(device, connection, local, now);
            }
            Step::Gathered => machine.handle_local_candidate(device, connection, "candidate".into(), now),
            Step::Connected => machine.handle_connected(device, connection),
            Step::Failed => machine.handle_failed(device, connection, "the connection ended".into(), now),
            Step::Settled(outcome) => machine.handle_settled(device, connection, outcome, now),
        });
    }
}
