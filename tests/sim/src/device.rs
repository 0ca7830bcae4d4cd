//! One device: the engine of `peers-proto`, its sessions and their apps, on the simulated network.
//!
//! No decision is made here. What tasks and transports do in `core/peers` happens in one thread: handshakes without their
//! cryptography, frames into pipes, and the moment that a session takes to close its paths.

mod checks;
mod handshakes;
mod negotiations;
mod outputs;
mod session;
mod tasks;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;
use std::time::Duration;

use peers_proto::certificate::DeviceCertificate;
use peers_proto::dial::Presence;
use peers_proto::end_reason::EndReason;
use peers_proto::engine::{
    DialFailure, DialId, Engine, EngineConfig, HandshakeId, RequestId, SessionId, Way, Ways,
};
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::network::AppState;
use peers_proto::path::{PathId, Route};
use peers_proto::session::{MemoryBudget, Resume};
use peers_proto::time::{Instant, UnixTime, earliest};
use peers_proto::timing::{HANDSHAKE_TIMEOUT, UPGRADE_TOGETHER};
use peers_proto::transport_kind::TransportKind;
use peers_proto::trust::{Pins, TrustLevel};

use crate::app;
use crate::failure::Violation;
use crate::net::Net;
use crate::pipe::{Packet, PipeId};
use crate::timeline::Timeline;
pub(crate) use checks::Loss;
use checks::Wakes;
use session::Live;
use tasks::Tasks;

/// What the world lends a device for one event.
pub(crate) struct Surroundings<'a> {
    pub(crate) net: &'a mut Net,
    pub(crate) timeline: &'a mut Timeline,
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
    /// Dials that have not ended, each with its beginning.
    dials: BTreeMap<DialId, Instant>,
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
            pins: Pins::default(),
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
            dials: BTreeMap::new(),
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

    /// The app changes the level of a peer.
    pub(crate) fn set_trust(&mut self, peer: usize, level: TrustLevel, world: &mut Surroundings<'_>) {
        let now = self.clock(world.net.now);
        self.engine.set_trust(device_id(peer), level, now);
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

    /// A relay reports a peer.
    pub(crate) fn handle_presence(
        &mut self,
        relay: usize,
        peer: usize,
        presence: Presence,
        world: &mut Surroundings<'_>,
    ) {
        let now = self.clock(world.net.now);
        self.engine.handle_presence(relay, device_id(peer), presence, now);
    }

    /// A device without consent asks to be let in.
    pub(crate) fn handle_knock(&mut self, from: usize, world: &mut Surroundings<'_>) {
        let (level, now) = (self.level(from, world.net), self.clock(world.net.now));
        let connection = ConnectionId::from_bytes((u128::from(world.net.rng.next())).to_be_bytes());
        if self.engine.admits_knock(now) {
            // An error is for logs.
            let _ = self.engine.handle_knock(&CERTIFICATES[from], connection, level, now);
        }
    }

    // ---- connections ----

    /// Closes this end of a pipe: its session has one path less.
    fn close(&mut self, pipe: PipeId, world: &mut Surroundings<'_>) {
        self.fail(pipe, "closed", world);
    }

    /// The same if its handshake has failed for this reason.
    fn fail(&mut self, pipe: PipeId, why: &str, world: &mut Surroundings<'_>) {
        let now = self.clock(world.net.now);
        world.net.close(pipe, self.index);
        let Some(end) = self.remove_end(pipe, now) else { return };
        let relay = world.net.pipes[pipe].route.relay;
        let failure = match relay.filter(|run| !world.net.relays_of(self.index).any(|relay| relay == *run)) {
            Some(_) => DialFailure::Offline(why.into()),
            None => DialFailure::Unreachable(why.into()),
        };
        self.report_handshake(end.peer, end.waiter, Err(failure), world);
        if let Phase::Path(session) = end.phase
            && let Some(live) = self.sessions.get_mut(&session)
        {
            live.multipath.remove_path(path_id(pipe), now);
            self.touched.insert(session);
        }
    }
}
