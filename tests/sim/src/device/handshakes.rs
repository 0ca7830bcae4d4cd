//! Handshakes of a device, without their cryptography.

use peers_proto::engine::negotiations::NegotiationError;
use peers_proto::engine::{Applicant, DialFailure, HandshakeId, HandshakeStep};
use peers_proto::session::Resume;
use peers_proto::time::Instant;
use peers_proto::trust::TrustLevel;

use super::session::Live;
use super::{CERTIFICATES, Device, End, Phase, Surroundings, Waiter, device_id, path_id};
use crate::failure::Violation;
use crate::net::Net;
use crate::pipe::{Packet, PipeId};
use crate::plan::Fault;

impl Device {
    /// The level of a peer, which the app's rule gives where the app has given none.
    pub(super) fn level(&self, peer: usize, net: &Net) -> TrustLevel {
        let (judgement, _) = self.engine.judge(device_id(peer), Some(CERTIFICATES[peer].user_id()));
        judgement.level.unwrap_or(net.plan.levels[peer])
    }

    /// The peer that this device has dialed answers.
    pub(super) fn dialed(&mut self, pipe: PipeId, world: &mut Surroundings<'_>) {
        let Some(End { peer, epoch: Some(epoch), .. }) = self.ends.get(&pipe) else { return };
        let forgets = world.net.plan.fault == Fault::ForgetEpoch;
        let epoch = if forgets { self.engine.epoch(device_id(*peer)) } else { *epoch };
        let id = self.engine.handle_outgoing(epoch);
        self.authenticated(pipe, id, world);
    }

    pub(super) fn authenticated(&mut self, pipe: PipeId, id: HandshakeId, world: &mut Surroundings<'_>) {
        let now = self.clock(world.net.now);
        let Some(end) = self.ends.get_mut(&pipe) else { return };
        end.phase = Phase::Deciding(id, false, None);
        let peer = end.peer;
        let applicant = Applicant { certificate: CERTIFICATES[peer].clone(), sas: None };
        let level = self.level(peer, world.net);
        self.engine.handle_authenticated(id, applicant, level, now);
    }

    /// The next step of a handshake.
    pub(super) fn step(
        &mut self,
        id: HandshakeId,
        step: HandshakeStep,
        world: &mut Surroundings<'_>,
    ) -> Result<(), Violation> {
        let is_its = |end: &End| matches!(end.phase, Phase::Answering { id: of, .. } | Phase::Deciding(of, ..) if of == id);
        let Some((&pipe, _)) = self.ends.iter().find(|(_, end)| is_its(end)) else { return Ok(()) };
        match step {
            HandshakeStep::Begin => self.answer(pipe, world.net, |begun, _| *begun = true),
            HandshakeStep::Ask => {}
            HandshakeStep::Refuse | HandshakeStep::Leave => self.close(pipe, world),
            HandshakeStep::Consent => return self.consent(pipe, id, world),
        }
        Ok(())
    }

    fn consent(
        &mut self,
        pipe: PipeId,
        id: HandshakeId,
        world: &mut Surroundings<'_>,
    ) -> Result<(), Violation> {
        let Some(end) = self.ends.get_mut(&pipe) else { return Ok(()) };
        let live = self.engine.session(device_id(end.peer)).and_then(|session| self.sessions.get(&session));
        let next = live.map_or(0, |live| live.multipath.session.next_expected());
        let Some(mut ours) = self.engine.ready(id, next) else { return Ok(()) };
        if ours.with == 0 && world.net.plan.fault == Fault::HideClosed {
            ours.next = 0;
        }
        world.net.send(pipe, self.index, Packet::Ready(ours));
        match end.phase {
            Phase::Deciding(_, _, Some(theirs)) => self.establish(pipe, id, theirs, world),
            _ => {
                end.phase = Phase::Deciding(id, true, None);
                Ok(())
            }
        }
    }

    pub(super) fn establish(
        &mut self,
        pipe: PipeId,
        id: HandshakeId,
        theirs: Resume,
        world: &mut Surroundings<'_>,
    ) -> Result<(), Violation> {
        let now = self.clock(world.net.now);
        let Some(end) = self.ends.get(&pipe) else { return Ok(()) };
        let (peer, route) = (end.peer, end.route);
        let level = self.level(peer, world.net);
        let used = |live: &Live| (device_id(live.peer), live.multipath.used());
        let used = || self.sessions.values().map(used).collect();
        let join = self.engine.establish(id, theirs, level, route, used, now);
        self.successor = join.as_ref().map(|_| theirs.epoch);
        let Some(join) = join else {
            if world.net.plan.fault == Fault::DropStale {
                world.net.discard(pipe, self.index);
            }
            self.fail(pipe, "the session changed while connecting", world);
            return Ok(());
        };
        if let Some(scope) = join.begins {
            let live = Live::new((self.index, peer), scope, &self.budget, self.hushed, now, world.net);
            self.sessions.insert(join.session, live);
        }
        world.timeline.note(world.net.now, || {
            format!("{} has a path to {peer}: pipe {pipe}, from frame {}", self.index, join.next)
        });
        let (Some(end), Some(live)) = (self.ends.get_mut(&pipe), self.sessions.get_mut(&join.session)) else {
            return Ok(());
        };
        let (route, waiter) = (end.route, end.waiter.take());
        end.phase = Phase::Path(join.session);
        live.multipath.add_path(path_id(pipe), route, join.next, now).map_err(Violation::Protocol)?;
        self.touched.insert(join.session);
        self.report_handshake(peer, waiter, Ok(()), world);
        Ok(())
    }

    pub(super) fn report_handshake(
        &mut self,
        peer: usize,
        waiter: Option<Waiter>,
        outcome: Result<(), DialFailure>,
        world: &mut Surroundings<'_>,
    ) {
        let now = self.clock(world.net.now);
        match waiter {
            Some(Waiter::Dial(dial, way)) => {
                self.engine.handle_way(dial, &way, outcome, now);
            }
            Some(Waiter::Attempt(connection)) => {
                let outcome = outcome.map_err(|why| NegotiationError::Failed(why.to_string()));
                self.settle_attempt(peer, connection, outcome, world.net);
            }
            None => {}
        }
    }

    /// The phase of an end that another device has begun; `called`: its first message is here.
    pub(super) fn answering(&mut self, peer: usize, called: bool, net: &Net) -> Phase {
        let (level, now) = (self.level(peer, net), self.clock(net.now));
        Phase::Answering { id: self.engine.handle_incoming(level, now), begun: false, called }
    }

    /// Answers the first message, once there is a place for the handshake.
    pub(super) fn answer(&mut self, pipe: PipeId, net: &mut Net, change: impl Fn(&mut bool, &mut bool)) {
        let Some(End { phase: Phase::Answering { begun, called, .. }, .. }) = self.ends.get_mut(&pipe) else {
            return;
        };
        change(begun, called);
        if *begun && *called {
            net.send(pipe, self.index, Packet::M2);
        }
    }

    /// Removes an end of a pipe. Its handshake, if it has not led to a path, has ended.
    pub(super) fn remove_end(&mut self, pipe: PipeId, now: Instant) -> Option<End> {
        let end = self.ends.remove(&pipe)?;
        if let Phase::Answering { id, .. } | Phase::Deciding(id, ..) = end.phase {
            self.engine.end_handshake(id, now);
        }
        Some(end)
    }
}
