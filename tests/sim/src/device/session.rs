//! A session of a device, and what its driver does with it.

use std::time::Duration;

use peers_proto::end_reason::EndReason;
use peers_proto::engine::{Scope, SessionChange, SessionId, SessionInput, SessionState};
use peers_proto::multipath::{Multipath, MultipathEvent, Received, Transmit};
use peers_proto::path::{PathId, Paths, Preference};
use peers_proto::session::wire::{FrameKind, Header};
use peers_proto::session::{MemoryBudget, SessionConfig, SessionMachine};
use peers_proto::time::{Instant, earliest};
use peers_proto::timing::{AWAY, RESUME_WINDOW};
use peers_proto::trust::{Capability, allows};

use super::{Device, Surroundings, device_id, path_id, pipe_id};
use crate::app::App;
use crate::failure::Violation;
use crate::net::Net;
use crate::pipe::{Packet, PipeId};
use crate::plan::Fault;

#[derive(Debug)]
pub(super) struct Live {
    pub(super) peer: usize,
    pub(super) multipath: Multipath,
    pub(super) app: App,
    pub(super) begun: Instant,
    /// Paths that it got, one after the other.
    pub(super) moves: u32,
    /// It closes its paths until then.
    pub(super) ends_at: Option<(Instant, EndReason)>,
}

impl Live {
    pub(super) fn new(
        (local, peer): (usize, usize),
        scope: Scope,
        budget: &MemoryBudget,
        hushed: bool,
        now: Instant,
        net: &mut Net,
    ) -> Self {
        let ungrouped =
            [local, peer].into_iter().all(|end| allows(net.plan.levels[end], Capability::Messages));
        let mut app = App::new(net.plan.traffic, net.rng.next(), ungrouped, now);
        if hushed {
            app.hush();
        }
        let session = SessionMachine::new(SessionConfig {
            local: device_id(local),
            remote: device_id(peer),
            groups: scope.groups,
            ungrouped: scope.ungrouped,
            budget: budget.clone(),
        });
        let paths = Paths::new(session.leads(), Preference::default(), RESUME_WINDOW, now);
        Self { peer, multipath: Multipath::new(session, paths), app, begun: now, moves: 0, ends_at: None }
    }

    pub(super) fn poll_timeout(&self, device: usize, net: &Net) -> Option<Instant> {
        if let Some((at, _)) = self.ends_at {
            return Some(at);
        }
        let writable = self.multipath.current().is_some_and(|id| net.is_writable(pipe_id(id), device));
        let acknowledgement = self.multipath.session.ack_timeout().filter(|_| writable);
        let machine = self.multipath.poll_timeout();
        [acknowledgement, machine, self.app.poll_timeout()].into_iter().fold(None, earliest)
    }

    /// An instruction of the engine to every session.
    pub(super) fn instruct(&mut self, input: SessionInput, now: Instant) {
        match input {
            SessionInput::NetworkChanged { another } => self.multipath.network_changed(another, now),
            SessionInput::AppState(state) => self.multipath.set_app_state(state, now),
            SessionInput::Metered(metered) => self.multipath.set_metered(metered),
            SessionInput::Suspend => self.multipath.suspend(AWAY, now),
            SessionInput::Resume => self.multipath.resume(now),
        }
    }

    /// Sends what a path has to send, as far as its pipe takes it. Returns whether the path stays open.
    fn transmit(
        &mut self,
        id: PathId,
        device: usize,
        now: Instant,
        world: &mut Surroundings<'_>,
    ) -> Result<bool, Violation> {
        while world.net.is_writable(pipe_id(id), device) {
            let (frame, stays) = match self.multipath.poll_frame(id, now) {
                Transmit::Frame(frame) => (frame, true),
                Transmit::Last(frame) => (frame, false),
                Transmit::Idle(_) => break,
            };
            let early = world.net.plan.fault == Fault::AcknowledgeOnSend;
            let accepted = acknowledgement_of(&frame).filter(|_| early);
            world.net.send(pipe_id(id), device, Packet::Frame(frame));
            if let Some(acknowledgement) = accepted {
                self.multipath.handle_frame(id, &acknowledgement, now).map_err(Violation::Protocol)?;
            }
            if !stays {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn check_memory(&self, budget: &MemoryBudget) -> Result<(), Violation> {
        use peers_proto::limits::{MAX_FRAME, RECEIVED_POOL, SEND_WINDOW, SENT_POOL};
        let excess = |what: &str, amount: usize| Err(Violation::Memory(format!("{amount} {what}")));
        if self.multipath.session.retained_bytes() > SEND_WINDOW + MAX_FRAME {
            return excess("bytes unacknowledged", self.multipath.session.retained_bytes());
        }
        if budget.used() > RECEIVED_POOL + SENT_POOL {
            return excess("bytes held for peers", budget.used());
        }
        match self.multipath.open_paths().count() {
            0..=8 => Ok(()),
            paths => excess("paths of one session", paths),
        }
    }
}

impl Device {
    pub(super) fn handle_frame(
        &mut self,
        session: SessionId,
        pipe: PipeId,
        frame: &bytes::Bytes,
        world: &mut Surroundings<'_>,
    ) -> Result<(), Violation> {
        let now = self.clock(world.net.now);
        let Some(live) = self.sessions.get_mut(&session).filter(|live| live.ends_at.is_none()) else {
            return Ok(());
        };
        match live.multipath.handle_frame(path_id(pipe), frame, now).map_err(Violation::Protocol)? {
            Received::More => {}
            Received::Left => self.close(pipe, world),
            Received::Closed => self.end_session(session, EndReason::ClosedByPeer, world)?,
        }
        Ok(())
    }

    /// Lets the sessions that something has happened to do all that they can do now.
    pub(super) fn pump_touched(&mut self, world: &mut Surroundings<'_>) -> Result<(), Violation> {
        while let Some(session) = self.touched.pop_first() {
            self.pump(session, world)?;
        }
        Ok(())
    }

    pub(super) fn touch_all(&mut self) {
        self.touched.extend(self.sessions.keys());
    }

    fn pump(&mut self, session: SessionId, world: &mut Surroundings<'_>) -> Result<(), Violation> {
        let (now, index) = (self.clock(world.net.now), self.index);
        let Some(live) = self.sessions.get_mut(&session) else { return Ok(()) };
        if let Some((at, reason)) = live.ends_at {
            if at <= now {
                self.finish_session(session, reason, world);
            }
            return Ok(());
        }
        live.multipath.handle_timeout(now);
        self.follow(session, world)?;
        let Some(live) = self.running(session) else { return Ok(()) };
        live.app.run(&mut live.multipath.session, &mut world.net.rng, now)?;
        let current = live.multipath.current();
        if let Some(id) = current
            && !live.transmit(id, index, now, world)?
        {
            self.close(pipe_id(id), world);
        }
        let budget = self.budget.clone();
        let Some(live) = self.running(session) else { return Ok(()) };
        live.app.run(&mut live.multipath.session, &mut world.net.rng, now)?;
        live.check_memory(&budget)?;
        self.follow(session, world)
    }

    pub(super) fn running(&mut self, session: SessionId) -> Option<&mut Live> {
        self.sessions.get_mut(&session).filter(|live| live.ends_at.is_none())
    }

    /// Does what a session's machine has decided, and reports it.
    fn follow(&mut self, session: SessionId, world: &mut Surroundings<'_>) -> Result<(), Violation> {
        let (now, index) = (self.clock(world.net.now), self.index);
        while let Some(live) = self.running(session)
            && let Some(event) = live.multipath.poll_event()
        {
            let peer = live.peer;
            if !matches!(event, MultipathEvent::Ready(_) | MultipathEvent::Quality(_)) {
                world.timeline.note(world.net.now, || format!("{index} to {peer}: {event:?}"));
            }
            let change = match event {
                MultipathEvent::Current(_, route) => {
                    live.moves += 1;
                    SessionChange::Path(route)
                }
                MultipathEvent::Down => SessionChange::Down,
                MultipathEvent::Status(status) => SessionChange::Status(status),
                MultipathEvent::Quality(quality) => SessionChange::Quality(quality),
                MultipathEvent::Ready(id) => {
                    if !live.transmit(id, index, now, world)? {
                        self.close(pipe_id(id), world);
                    }
                    continue;
                }
                MultipathEvent::Dead(id) => {
                    self.close(pipe_id(id), world);
                    continue;
                }
                MultipathEvent::Lost => return self.end_session(session, EndReason::NoPath, world),
            };
            let state = SessionState { status: live.multipath.status(), route: live.multipath.route() };
            self.engine.handle_session(session, device_id(peer), change, state, now);
        }
        Ok(())
    }

    /// Ends a session: its last frames leave, and after a moment its paths are closed.
    pub(super) fn end_session(
        &mut self,
        session: SessionId,
        reason: EndReason,
        world: &mut Surroundings<'_>,
    ) -> Result<(), Violation> {
        let (now, index) = (self.clock(world.net.now), self.index);
        let Some(live) = self.running(session) else { return Ok(()) };
        let peer = live.peer;
        live.multipath.end();
        live.app.finish(&mut live.multipath.session, &mut world.net.rng, now)?;
        live.multipath.close_paths();
        live.ends_at = Some((now + Duration::from_millis(world.net.rng.within(0..200)), reason));
        if let Some(ending) = reported_ending(reason, world.net.plan.fault) {
            self.report_end(session, SessionChange::Ending(ending), world);
        }
        for id in self
            .sessions
            .get(&session)
            .into_iter()
            .flat_map(|live| live.multipath.open_paths())
            .collect::<Vec<_>>()
        {
            if let Some(live) = self.sessions.get_mut(&session) {
                live.transmit(id, index, now, world)?;
            }
            self.close(pipe_id(id), world);
        }
        world.timeline.note(world.net.now, || format!("{index} ends its session with {peer}: {reason}"));
        Ok(())
    }

    fn finish_session(&mut self, session: SessionId, reason: EndReason, world: &mut Surroundings<'_>) {
        if world.net.plan.fault == Fault::LateCloses {
            self.report_end(session, SessionChange::Ending(reason), world);
        }
        self.report_end(session, SessionChange::Ended(reason), world);
        let pipes = self.sessions.remove(&session).into_iter();
        let pipes: Vec<_> = pipes.flat_map(|live| live.multipath.open_paths().collect::<Vec<_>>()).collect();
        pipes.into_iter().for_each(|id| self.close(pipe_id(id), world));
    }

    fn report_end(&mut self, session: SessionId, change: SessionChange, world: &Surroundings<'_>) {
        let now = self.clock(world.net.now);
        let Some(live) = self.sessions.get(&session) else { return };
        let state = SessionState { status: live.multipath.status(), route: live.multipath.route() };
        self.engine.handle_session(session, device_id(live.peer), change, state, now);
    }
}

/// The end of a session as the engine learns of it before the peer does.
fn reported_ending(reason: EndReason, fault: Fault) -> Option<EndReason> {
    match fault {
        Fault::SilentCloses | Fault::LateCloses => None,
        Fault::OwnCloses if reason.is_close() => Some(EndReason::Closed),
        _ => Some(reason),
    }
}

/// The acknowledgement of a DATA frame that its receiver has not yet made.
fn acknowledgement_of(frame: &bytes::Bytes) -> Option<bytes::Bytes> {
    let header = Header::read(&mut &frame[..]).ok().filter(|header| header.kind == FrameKind::Data)?;
    let mut out = bytes::BytesMut::new();
    Header { kind: FrameKind::Ack, seq: 0, ack: header.seq + 1 }.write(&mut out);
    Some(out.freeze())
}
