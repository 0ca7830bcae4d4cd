//! One device: the engine of `peers-proto`, its sessions and their apps, on the simulated network.
//!
//! No decision is made here. What tasks and transports do in `core/peers` happens in one thread: handshakes without their
//! cryptography, frames into pipes, and the moment that a session takes to close its paths.

mod checks;
mod negotiations;
mod outputs;
mod session;
mod tasks;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use peers_proto::end_reason::EndReason;
use peers_proto::engine::negotiations::NegotiationError;
use peers_proto::engine::{DialFailure, DialId, Engine, ReadyConnection, RequestId, SessionId, Way, Ways};
use peers_proto::id::{ConnectionId, DeviceId, UserId};
use peers_proto::network::AppState;
use peers_proto::path::{PathId, Route};
use peers_proto::session::{MemoryBudget, Resume};
use peers_proto::time::{Instant, earliest};
use peers_proto::timing::{HANDSHAKE_TIMEOUT, UPGRADE_TOGETHER};
use peers_proto::transport_kind::TransportKind;

use crate::failure::Violation;
use crate::net::Net;
use crate::pipe::{Packet, PipeId};
use crate::plan::Fault;
use crate::timeline::Timeline;
pub(crate) use checks::Loss;
use checks::Wakes;
use negotiations::Negotiating;
use session::Live;

/// What the world lends a device for one event.
pub(crate) struct Surroundings<'a> {
    pub(crate) net: &'a mut Net,
    pub(crate) timeline: &'a mut Timeline,
}

#[derive(Debug)]
enum Phase {
    /// Waits for M2.
    Dialing,
    /// Waits for M3.
    Answering,
    /// Has sent READY and waits for the peer's.
    Ready(Resume),
    /// Carries a session.
    Path(SessionId),
}

/// Learns the outcome of a handshake.
#[derive(Debug)]
enum Waiter {
    Dial(DialId, Way),
    Attempt(ConnectionId),
}

/// This device's end of a pipe.
#[derive(Debug)]
struct End {
    peer: usize,
    route: Route,
    phase: Phase,
    deadline: Instant,
    waiter: Option<Waiter>,
    /// This device's epoch when it dialed, if it did.
    epoch: Option<u64>,
}

pub(crate) struct Device {
    index: usize,
    /// How far its clock is ahead of the world's.
    offset: Duration,
    engine: Engine,
    negotiating: Negotiating,
    /// Its peers, and whether it looks for each by itself.
    peers: Vec<(usize, bool)>,
    sessions: BTreeMap<SessionId, Live>,
    ends: BTreeMap<PipeId, End>,
    budget: MemoryBudget,
    /// Sessions lost since the world last asked.
    losses: Vec<Loss>,
    /// Requests of the app without an answer, each with its peer.
    requests: BTreeMap<u64, usize>,
    /// The peer's epoch in the READY that was compared last, if it began a session.
    successor: Option<u64>,
    /// Sessions that something has happened to.
    touched: BTreeSet<SessionId>,
    hushed: bool,
    wakes: Wakes,
    pub(crate) timer: Option<Instant>,
}

fn device_id(index: usize) -> DeviceId {
    DeviceId::from_bytes([index as u8 + 1; 20])
}

fn index_of(device: DeviceId) -> usize {
    usize::from(device.as_bytes()[0]) - 1
}

/// A path is a pipe in use.
fn path_id(pipe: PipeId) -> PathId {
    PathId(pipe as u64)
}

fn pipe_id(path: PathId) -> PipeId {
    path.0 as PipeId
}

impl Device {
    pub(crate) fn new(index: usize, peers: &[(usize, bool)], net: &mut Net) -> Self {
        // An hour at least, so that a mix of two clocks fails loudly; minutes agree to the second, as real clocks' do.
        let offset = UPGRADE_TOGETHER * net.rng.within(12..100_000) as u32 + net.rng.millis(0..1000);
        Self::with_clock(index, offset, peers, net)
    }

    fn with_clock(index: usize, offset: Duration, peers: &[(usize, bool)], net: &mut Net) -> Self {
        let now = net.now + offset;
        let ways = Ways { webrtc: true, relay: net.plan.relayed_paths, ..Ways::default() };
        let mut engine = Engine::new(device_id(index), ways, net.rng.next(), now);
        for (peer, _) in peers.iter().filter(|(_, known)| *known) {
            engine.set_trust(device_id(*peer), net.plan.levels[*peer], now);
        }
        engine.handle_network(net.snapshot(index), now);
        Self {
            index,
            offset,
            engine,
            negotiating: Negotiating::new(index, net),
            peers: peers.to_vec(),
            sessions: BTreeMap::new(),
            ends: BTreeMap::new(),
            budget: MemoryBudget::default(),
            losses: Vec::new(),
            requests: BTreeMap::new(),
            successor: None,
            touched: BTreeSet::new(),
            hushed: false,
            wakes: Wakes::default(),
            timer: None,
        }
    }

    /// The same device after its app was killed: it remembers nothing.
    pub(crate) fn restarted(&self, net: &mut Net) -> Self {
        let unused = net.connections.kill(self.index);
        for pipe in self.ends.keys().chain(&unused) {
            // The operating system may close the sockets of a killed app, or be killed with it.
            if net.rng.chance(50) {
                net.close(*pipe, self.index);
            } else {
                net.abandon(*pipe, self.index);
            }
        }
        Self { hushed: self.hushed, ..Self::with_clock(self.index, self.offset, &self.peers, net) }
    }

    pub(crate) fn leap(&mut self, by: Duration) {
        self.offset += by;
    }

    /// The device's time at the world's `now`.
    pub(crate) fn clock(&self, now: Instant) -> Instant {
        now + self.offset
    }

    /// The time at which it acts by itself, by the world's clock.
    pub(crate) fn poll_timeout(&self, net: &Net) -> Option<Instant> {
        let handshakes = self.ends.values().filter(|end| !matches!(end.phase, Phase::Path(_)));
        let mut next = earliest(handshakes.map(|end| end.deadline).min(), self.engine.poll_timeout());
        next = earliest(next, self.negotiating.poll_timeout());
        for live in self.sessions.values() {
            next = earliest(next, live.poll_timeout(self.index, net));
        }
        next.map(|at| Instant::from_micros(at.as_micros().saturating_sub(self.offset.as_micros() as u64)))
    }

    // ---- what the app and the system do ----

    /// The app says nothing new.
    pub(crate) fn hush(&mut self) {
        self.hushed = true;
        self.sessions.values_mut().for_each(|live| live.app.hush());
    }

    /// The app asks for the session with a peer.
    pub(crate) fn request(&mut self, peer: usize, net: &mut Net) {
        let id = net.rng.next();
        self.requests.insert(id, peer);
        self.engine.request(RequestId(id), device_id(peer));
    }

    /// The app closes its session with a peer.
    pub(crate) fn close_session(
        &mut self,
        peer: usize,
        world: &mut Surroundings<'_>,
    ) -> Result<(), Violation> {
        match self.engine.session(device_id(peer)) {
            Some(session) => self.end_session(session, EndReason::Closed, world),
            None => Ok(()),
        }
    }

    /// The system describes the network.
    pub(crate) fn network_changed(&mut self, world: &mut Surroundings<'_>) {
        let now = self.clock(world.net.now);
        self.engine.handle_network(world.net.snapshot(self.index), now);
    }

    pub(crate) fn set_app_state(&mut self, app: AppState, world: &mut Surroundings<'_>) {
        let now = self.clock(world.net.now);
        self.engine.set_app_state(app, now);
    }

    // ---- what happens to it ----

    pub(crate) fn handle_timeout(&mut self, world: &mut Surroundings<'_>) -> Result<(), Violation> {
        let now = self.clock(world.net.now);
        let late = |end: &End| !matches!(end.phase, Phase::Path(_)) && end.deadline <= now;
        let overdue: Vec<_> = self.ends.iter().filter(|(_, end)| late(end)).map(|(pipe, _)| *pipe).collect();
        for pipe in overdue {
            self.close(pipe, world);
        }
        self.run_tasks(world);
        self.engine.handle_timeout(now);
        self.touch_all();
        Ok(())
    }

    /// A pipe broke, or the peer closed it.
    pub(crate) fn handle_broken(&mut self, pipe: PipeId, world: &mut Surroundings<'_>) {
        self.close(pipe, world);
    }

    pub(crate) fn handle_packet(
        &mut self,
        pipe: PipeId,
        packet: Packet,
        world: &mut Surroundings<'_>,
    ) -> Result<(), Violation> {
        let now = self.clock(world.net.now);
        let (peer, route) = world.net.pipes[pipe].seen_by(self.index);
        if let Packet::M1 = packet
            && route.kind == TransportKind::Relay
        {
            let deadline = now + HANDSHAKE_TIMEOUT;
            let end = End { peer, route, phase: Phase::Answering, deadline, waiter: None, epoch: None };
            self.ends.insert(pipe, end);
        }
        let Some(end) = self.ends.get(&pipe) else {
            self.handle_early(pipe, &packet, world);
            return Ok(());
        };
        match (&end.phase, packet) {
            (Phase::Answering, Packet::M1) => world.net.send(pipe, self.index, Packet::M2),
            (_, Packet::Close) => self.close(pipe, world),
            (Phase::Dialing, Packet::M2) => {
                world.net.send(pipe, self.index, Packet::M3);
                self.consent(pipe, world);
            }
            (Phase::Answering, Packet::M3) => self.consent(pipe, world),
            (Phase::Ready(ours), Packet::Ready(theirs)) => self.establish(pipe, *ours, theirs, world)?,
            (Phase::Path(session), Packet::Frame(frame)) => {
                let session = *session;
                self.touched.insert(session);
                self.handle_frame(session, pipe, &frame, world)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A pipe has taken some of what it was given.
    pub(crate) fn handle_room(&mut self, pipe: PipeId) {
        if let Some(End { phase: Phase::Path(session), .. }) = self.ends.get(&pipe) {
            self.touched.insert(*session);
        }
    }

    // ---- connections ----

    fn consent(&mut self, pipe: PipeId, world: &mut Surroundings<'_>) {
        let Some(end) = self.ends.get_mut(&pipe) else { return };
        let device = device_id(end.peer);
        let live = self.engine.session(device).and_then(|session| self.sessions.get(&session));
        let next = live.map_or(0, |live| live.multipath.session.next_expected());
        let fault = world.net.plan.fault;
        let epoch = end.epoch.filter(|_| fault != Fault::ForgetEpoch);
        let mut ours = self.engine.ready(device, epoch, next);
        if ours.with == 0 && fault == Fault::HideClosed {
            ours.next = 0;
        }
        end.phase = Phase::Ready(ours);
        world.net.send(pipe, self.index, Packet::Ready(ours));
    }

    fn establish(
        &mut self,
        pipe: PipeId,
        ours: Resume,
        theirs: Resume,
        world: &mut Surroundings<'_>,
    ) -> Result<(), Violation> {
        let now = self.clock(world.net.now);
        let Some(end) = self.ends.get(&pipe) else { return Ok(()) };
        let (peer, dialed) = (end.peer, end.epoch.is_some());
        let connection = ReadyConnection {
            device: device_id(peer),
            user: UserId::from_bytes([peer as u8; 20]),
            level: world.net.plan.levels[peer],
            groups: Default::default(),
            ours,
            theirs,
            dialed,
            route: end.route,
        };
        let used = |live: &Live| (device_id(live.peer), live.multipath.used());
        let join = self.engine.establish(connection, || self.sessions.values().map(used).collect(), now);
        self.successor = join.map(|_| theirs.epoch);
        let Some(join) = join else {
            if world.net.plan.fault == Fault::DropStale {
                world.net.discard(pipe, self.index);
            }
            self.fail(pipe, "the session changed while connecting", world);
            return Ok(());
        };
        if join.is_new {
            let live = Live::new(self.index, peer, &self.budget, self.hushed, now, world.net);
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

    fn report_handshake(
        &mut self,
        peer: usize,
        waiter: Option<Waiter>,
        outcome: Result<(), &str>,
        world: &mut Surroundings<'_>,
    ) {
        let now = self.clock(world.net.now);
        match waiter {
            Some(Waiter::Dial(dial, way)) => {
                let outcome = outcome.map_err(|why| DialFailure::Unreachable(why.into()));
                self.engine.handle_way(dial, &way, outcome, now);
            }
            Some(Waiter::Attempt(connection)) => {
                let outcome = outcome.map_err(|why| NegotiationError::Failed(why.into()));
                self.settle_attempt(peer, connection, outcome, world.net);
            }
            None => {}
        }
    }

    /// Closes this end of a pipe: its session has one path less.
    fn close(&mut self, pipe: PipeId, world: &mut Surroundings<'_>) {
        self.fail(pipe, "closed", world);
    }

    /// The same if its handshake has failed for this reason.
    fn fail(&mut self, pipe: PipeId, why: &str, world: &mut Surroundings<'_>) {
        let now = self.clock(world.net.now);
        world.net.close(pipe, self.index);
        let Some(end) = self.ends.remove(&pipe) else { return };
        self.report_handshake(end.peer, end.waiter, Err(why), world);
        if let Phase::Path(session) = end.phase
            && let Some(live) = self.sessions.get_mut(&session)
        {
            live.multipath.remove_path(path_id(pipe), now);
            self.touched.insert(session);
        }
    }
}
