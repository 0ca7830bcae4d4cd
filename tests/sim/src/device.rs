//! One device: the engine of `peers-proto`, its sessions and their apps, on the simulated network.
//!
//! No decision is made here. What tasks and transports do in `core/peers` happens in one thread: handshakes without their
//! cryptography, frames into pipes, and the moment that a session takes to close its paths.

mod checks;
mod handshakes;
mod negotiations;
mod session;
mod tasks;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;
use std::time::Duration;

use peers_proto::certificate::DeviceCertificate;
use peers_proto::end_reason::EndReason;
use peers_proto::engine::{
    AppEvent, DialFailure, DialId, Engine, EngineConfig, HandshakeId, Output, RelayInput, RequestId,
    SessionId, Way, Ways,
};
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::network::AppState;
use peers_proto::path::{PathId, Route};
use peers_proto::session::{MemoryBudget, Resume};
use peers_proto::time::{Instant, UnixTime, earliest};
use peers_proto::timing::{HANDSHAKE_TIMEOUT, UPGRADE_TOGETHER};
use peers_proto::transport_kind::TransportKind;

use crate::app;
use crate::failure::Violation;
use crate::net::Net;
use crate::pipe::{Packet, PipeId};
use crate::timeline::Timeline;
use checks::Wakes;
use session::Live;
use tasks::Tasks;

/// What the world lends a device for one event.
pub(crate) struct Surroundings<'a> {
    pub(crate) net: &'a mut Net,
    pub(crate) timeline: &'a mut Timeline,
}

/// A session that the app was told is lost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loss {
    pub(crate) peer: usize,
    pub(crate) reason: EndReason,
    /// The peer's epoch in the session that takes its place, if one does.
    pub(crate) successor: Option<u64>,
}

#[derive(Debug)]
enum Phase {
    /// Waits for M2.
    Dialing,
    /// Waits for a place and for M1, then for M3.
    Answering { id: HandshakeId, begun: bool, called: bool },
    /// The peer has proven who it is. Waits for the consent of both: whether this side has given it, and READY of the peer.
    Deciding(HandshakeId, bool, Option<Resume>),
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
    tasks: Tasks,
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

/// More devices than a world has.
const DEVICES: usize = 64;

/// The certificates of all devices. Each has a user of its own.
static CERTIFICATES: LazyLock<Vec<DeviceCertificate>> = LazyLock::new(|| {
    let issue = |seed: u8| {
        let (user, keys) = (UserKeys::from_seed([seed; 32]), DeviceKeys::from_seed([seed; 32]));
        DeviceCertificate::issue(&user, &keys, UnixTime(1000), "simulated")
    };
    (0..DEVICES as u8).flat_map(issue).collect()
});

static INDICES: LazyLock<HashMap<DeviceId, usize>> = LazyLock::new(|| {
    CERTIFICATES.iter().enumerate().map(|(index, certificate)| (certificate.device_id(), index)).collect()
});

fn device_id(index: usize) -> DeviceId {
    CERTIFICATES[index].device_id()
}

fn index_of(device: DeviceId) -> usize {
    INDICES[&device]
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
        let known = peers.iter().filter(|(_, known)| *known);
        let config = EngineConfig {
            local: device_id(index),
            own_user: CERTIFICATES[index].user_id(),
            ways,
            levels: known.map(|(peer, _)| (device_id(*peer), net.plan.levels[*peer])).collect(),
            groups: app::groups().into_iter().collect(),
            members: peers
                .iter()
                .map(|(peer, _)| (device_id(*peer), app::groups().into_iter().collect()))
                .collect(),
            open: false,
        };
        let mut entropy = [0; 32];
        entropy.as_chunks_mut::<8>().0.iter_mut().for_each(|bytes| *bytes = net.rng.next().to_be_bytes());
        let mut engine = Engine::new(config, entropy, now);
        engine.handle_network(net.snapshot(index), now);
        Self {
            index,
            offset,
            engine,
            tasks: Tasks::default(),
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
        next = earliest(next, self.tasks.poll_timeout());
        for live in self.sessions.values() {
            next = earliest(next, live.poll_timeout(self.index, net));
        }
        next.map(|at| Instant::from_micros(at.as_micros().saturating_sub(self.offset.as_micros() as u64)))
    }

    pub(crate) fn take_losses(&mut self) -> Vec<Loss> {
        std::mem::take(&mut self.losses)
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
        let level = self.level(peer, net);
        self.engine.request(RequestId(id), device_id(peer), level);
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
            let phase = self.answering(peer, true, world.net);
            self.ends.insert(pipe, End { peer, route, phase, deadline, waiter: None, epoch: None });
            return Ok(());
        }
        let Some(end) = self.ends.get(&pipe) else {
            self.handle_early(pipe, &packet, world);
            return Ok(());
        };
        match (&end.phase, packet) {
            (Phase::Answering { .. }, Packet::M1) => {
                self.answer(pipe, world.net, |_, called| *called = true);
            }
            (_, Packet::Close) => self.close(pipe, world),
            (Phase::Dialing, Packet::M2) => {
                world.net.send(pipe, self.index, Packet::M3);
                self.dialed(pipe, world);
            }
            (Phase::Answering { id, .. }, Packet::M3) => self.authenticated(pipe, *id, world),
            (Phase::Deciding(id, false, None), Packet::Ready(theirs)) => {
                let phase = Phase::Deciding(*id, false, Some(theirs));
                self.ends.entry(pipe).and_modify(|end| end.phase = phase);
            }
            (Phase::Deciding(id, true, _), Packet::Ready(theirs)) => {
                self.establish(pipe, *id, theirs, world)?;
            }
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

    fn take(&mut self, dial: DialId, to: usize, way: Way, world: &mut Surroundings<'_>) {
        let now = self.clock(world.net.now);
        let Some(epoch) = self.engine.epoch_of(dial) else { return };
        let Some(pipe) = world.net.dial(self.index, to) else {
            let failure = DialFailure::Unreachable("no network".into());
            return self.engine.handle_way(dial, &way, Err(failure), now);
        };
        world.timeline.note(world.net.now, || format!("{} dials {to} by {way:?}: pipe {pipe}", self.index));
        let (_, route) = world.net.pipes[pipe].seen_by(self.index);
        let (deadline, waiter) = (now + HANDSHAKE_TIMEOUT, Some(Waiter::Dial(dial, way)));
        let end = End { peer: to, route, phase: Phase::Dialing, deadline, waiter, epoch: Some(epoch) };
        self.ends.insert(pipe, end);
    }

    /// Closes this end of a pipe: its session has one path less.
    fn close(&mut self, pipe: PipeId, world: &mut Surroundings<'_>) {
        self.fail(pipe, "closed", world);
    }

    /// The same if its handshake has failed for this reason.
    fn fail(&mut self, pipe: PipeId, why: &str, world: &mut Surroundings<'_>) {
        let now = self.clock(world.net.now);
        world.net.close(pipe, self.index);
        let Some(end) = self.remove_end(pipe, now) else { return };
        self.report_handshake(end.peer, end.waiter, Err(why), world);
        if let Phase::Path(session) = end.phase
            && let Some(live) = self.sessions.get_mut(&session)
        {
            live.multipath.remove_path(path_id(pipe), now);
            self.touched.insert(session);
        }
    }

    // ---- what the engine decides ----

    /// Lets everything happen that can happen now.
    pub(crate) fn settle(&mut self, world: &mut Surroundings<'_>) -> Result<(), Violation> {
        loop {
            self.pump_touched(world)?;
            let Some(output) = self.engine.poll_output() else { return Ok(()) };
            self.perform(output, world)?;
        }
    }

    fn perform(&mut self, output: Output, world: &mut Surroundings<'_>) -> Result<(), Violation> {
        let (now, index) = (self.clock(world.net.now), self.index);
        match output {
            Output::FindRelay(dial, _) => self.engine.handle_relay(dial, Ok(()), now),
            Output::FetchCertificate(dial, device) => {
                self.engine.handle_fetched(dial, Some(&CERTIFICATES[index_of(device)]), now);
            }
            Output::Handshake(id, step) => self.step(id, step, world)?,
            Output::Scope(session, scope) => {
                if let Some(live) = self.running(session) {
                    live.multipath.session.set_groups(scope.groups);
                    live.multipath.session.set_ungrouped(scope.ungrouped);
                }
            }
            Output::Knock(_) | Output::Welcome(..) | Output::Presence(..) | Output::Ask(..) => {}
            Output::Release(_) | Output::Visible => {}
            Output::Take(dial, device, way) => self.take(dial, index_of(device), way, world),
            Output::Stop(dial) => self.stop(dial, world),
            Output::End(session, reason) => self.end_session(session, reason, world)?,
            Output::Evict(session, device, why) => {
                world
                    .timeline
                    .note(world.net.now, || format!("{index} gives up {}: {why}", index_of(device)));
                self.end_session(session, EndReason::Evicted, world)?;
            }
            Output::Sessions(input) => {
                self.sessions.values_mut().for_each(|live| live.instruct(input, now));
                self.touch_all();
            }
            Output::Relays(RelayInput::Suspend) => world.net.set_registered(index, false),
            Output::Relays(RelayInput::Resume) => world.net.set_registered(index, true),
            Output::Relays(_) | Output::RenewNames | Output::Suspended => {}
            Output::Network(_) | Output::Metered(_) => {}
            Output::Negotiation(output) => self.negotiate(output, world)?,
            Output::Answer(request, answer) => {
                world.timeline.note(world.net.now, || format!("{index} has an answer: {answer:?}"));
                if self.requests.remove(&request.0).is_none() {
                    return Err(Violation::Call("a request was answered twice".into()));
                }
                if world.net.plan.calm && answer.is_err() {
                    return Err(Violation::Needless(format!("{index}: a request failed: {answer:?}")));
                }
                if answer.is_ok_and(|session| self.running(session).is_none()) {
                    return Err(Violation::Call("a request was answered with a session that ends".into()));
                }
            }
            Output::Event(_, device, AppEvent::Disconnected(reason)) => {
                let (peer, successor) = (index_of(device), self.successor);
                self.losses.push(Loss { peer, reason, successor });
                world
                    .timeline
                    .note(world.net.now, || format!("{index} lost its session with {peer}: {reason}"));
            }
            Output::Event(..) => {}
        }
        Ok(())
    }

    /// A dial has ended: what is under way for it is given up.
    fn stop(&mut self, dial: DialId, world: &mut Surroundings<'_>) {
        let of_dial = |end: &End| matches!(&end.waiter, Some(Waiter::Dial(id, _)) if *id == dial);
        let pipes: Vec<_> = self.ends.iter().filter(|(_, end)| of_dial(end)).map(|(pipe, _)| *pipe).collect();
        for pipe in pipes {
            if let Some(end) = self.ends.get_mut(&pipe) {
                end.waiter = None;
            }
            self.close(pipe, world);
        }
    }
}
