//! One device: the engine of `peers-proto`, its sessions and their apps, on the simulated network.
//!
//! No decision is made here. What tasks and transports do in `core/peers` happens in one thread: handshakes without their
//! cryptography, frames into pipes, and the moment that a session takes to close its paths.

mod session;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;
use std::time::Duration;

use peers_proto::certificate::DeviceCertificate;
use peers_proto::end_reason::EndReason;
use peers_proto::engine::{
    AppEvent, Applicant, DialFailure, DialId, Engine, EngineConfig, HandshakeId, HandshakeStep, Output,
    RelayInput, RequestId, SessionId, Way, Ways,
};
use peers_proto::id::DeviceId;
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::limits::MAX_CONNECTIONS;
use peers_proto::network::AppState;
use peers_proto::path::{PathId, Route};
use peers_proto::session::{MemoryBudget, Resume};
use peers_proto::time::{Instant, UnixTime, earliest};
use peers_proto::timing::{BEAT, HANDSHAKE_TIMEOUT, WEBRTC_ESTABLISHMENT};
use peers_proto::transport_kind::TransportKind;
use peers_proto::trust::TrustLevel;

use crate::app;
use crate::failure::Violation;
use crate::net::Net;
use crate::pipe::{Packet, PipeId};
use crate::plan::Fault;
use crate::timeline::Timeline;
use session::Live;

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
    /// Waits for a place, then for M3.
    Answering(HandshakeId),
    /// The peer has proven who it is. Waits for the consent of both: whether this side has given it, and READY of the peer.
    Deciding(HandshakeId, bool, Option<Resume>),
    /// Carries a session.
    Path(SessionId),
}

/// This device's end of a pipe.
#[derive(Debug)]
struct End {
    peer: usize,
    route: Route,
    phase: Phase,
    deadline: Instant,
    /// The dial that waits for it.
    dial: Option<(DialId, Way)>,
    /// This device's epoch when it dialed, if it did.
    epoch: Option<u64>,
}

/// How often a device was woken.
#[derive(Debug, Clone, Copy, Default)]
struct Wakes {
    count: u32,
    last: Option<Instant>,
}

#[derive(Debug)]
pub(crate) struct Device {
    index: usize,
    /// How far its clock is ahead of the world's.
    offset: Duration,
    engine: Engine,
    /// Its peers, and whether it looks for each by itself.
    peers: Vec<(usize, bool)>,
    sessions: BTreeMap<SessionId, Live>,
    ends: BTreeMap<PipeId, End>,
    budget: MemoryBudget,
    /// Sessions lost since the world last asked.
    losses: Vec<Loss>,
    /// Requests of the app without an answer.
    requests: BTreeSet<u64>,
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
        // An hour at least, so that a mix of two clocks fails loudly; beats agree to the second, as real clocks' do.
        let offset = BEAT * net.rng.within(120..1_000_000) as u32 + net.rng.millis(0..1000);
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
        let mut engine = Engine::new(config, net.rng.next(), now);
        engine.handle_network(net.snapshot(index), now);
        Self {
            index,
            offset,
            engine,
            peers: peers.to_vec(),
            sessions: BTreeMap::new(),
            ends: BTreeMap::new(),
            budget: MemoryBudget::default(),
            losses: Vec::new(),
            requests: BTreeSet::new(),
            successor: None,
            touched: BTreeSet::new(),
            hushed: false,
            wakes: Wakes::default(),
            timer: None,
        }
    }

    /// The same device after its app was killed: it remembers nothing.
    pub(crate) fn restarted(&self, net: &mut Net) -> Self {
        for pipe in self.ends.keys() {
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
        self.requests.insert(id);
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

    /// True if it has a session with a peer that does not end.
    pub(crate) fn has_session(&self, peer: usize) -> bool {
        self.live(peer).is_some()
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
        if let Packet::M1 = packet {
            let (peer, route) = world.net.pipes[pipe].seen_by(self.index);
            let deadline = now + HANDSHAKE_TIMEOUT;
            let phase = Phase::Answering(self.engine.handle_incoming(self.level(peer, world.net), now));
            self.ends.insert(pipe, End { peer, route, phase, deadline, dial: None, epoch: None });
            return Ok(());
        }
        let Some(end) = self.ends.get(&pipe) else { return Ok(()) };
        match (&end.phase, packet) {
            (_, Packet::Close) => self.close(pipe, world),
            (Phase::Dialing, Packet::M2) => {
                world.net.send(pipe, self.index, Packet::M3);
                self.dialed(pipe, world);
            }
            (Phase::Answering(id), Packet::M3) => self.authenticated(pipe, *id, world),
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

    /// The level of a peer, which the app's rule gives where the app has given none.
    fn level(&self, peer: usize, net: &Net) -> TrustLevel {
        let (judgement, _) = self.engine.judge(device_id(peer), Some(CERTIFICATES[peer].user_id()));
        judgement.level.unwrap_or(net.plan.levels[peer])
    }

    /// The peer that this device has dialed answers.
    fn dialed(&mut self, pipe: PipeId, world: &mut Surroundings<'_>) {
        let Some(End { peer, epoch: Some(epoch), .. }) = self.ends.get(&pipe) else { return };
        let forgets = world.net.plan.fault == Fault::ForgetEpoch;
        let epoch = if forgets { self.engine.epoch(device_id(*peer)) } else { *epoch };
        let id = self.engine.handle_outgoing(epoch);
        self.authenticated(pipe, id, world);
    }

    fn authenticated(&mut self, pipe: PipeId, id: HandshakeId, world: &mut Surroundings<'_>) {
        let now = self.clock(world.net.now);
        let Some(end) = self.ends.get_mut(&pipe) else { return };
        end.phase = Phase::Deciding(id, false, None);
        let peer = end.peer;
        let applicant = Applicant { certificate: CERTIFICATES[peer].clone(), sas: None };
        let level = self.level(peer, world.net);
        self.engine.handle_authenticated(id, applicant, level, now);
    }

    /// The next step of a handshake.
    fn step(
        &mut self,
        id: HandshakeId,
        step: HandshakeStep,
        world: &mut Surroundings<'_>,
    ) -> Result<(), Violation> {
        let is_its =
            |end: &End| matches!(end.phase, Phase::Answering(of) | Phase::Deciding(of, ..) if of == id);
        let Some((&pipe, _)) = self.ends.iter().find(|(_, end)| is_its(end)) else { return Ok(()) };
        match step {
            HandshakeStep::Begin => world.net.send(pipe, self.index, Packet::M2),
            HandshakeStep::Ask => {}
            HandshakeStep::Refuse => self.close(pipe, world),
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

    fn establish(
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
            self.close(pipe, world);
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
        let (route, dial) = (end.route, end.dial.take());
        end.phase = Phase::Path(join.session);
        live.multipath.add_path(path_id(pipe), route, join.next, now).map_err(Violation::Protocol)?;
        self.touched.insert(join.session);
        if let Some((dial, way)) = dial {
            self.engine.handle_way(dial, &way, Ok(()), now);
        }
        Ok(())
    }

    fn take(&mut self, dial: DialId, to: usize, way: Way, world: &mut Surroundings<'_>) {
        let now = self.clock(world.net.now);
        let (kind, patience) = match way {
            Way::Relay | Way::Address(_) => (TransportKind::Relay, HANDSHAKE_TIMEOUT),
            Way::WebRtc => (TransportKind::WebRtc, WEBRTC_ESTABLISHMENT),
        };
        let joins = |end: &End| {
            let same = kind == TransportKind::WebRtc && end.route.kind != TransportKind::Relay;
            same && end.peer == to && !matches!(end.phase, Phase::Path(_))
        };
        // A negotiation joins the attempt that is under way.
        if let Some(end) = self.ends.values_mut().find(|end| joins(end)) {
            end.dial = Some((dial, way));
            return;
        }
        let Some(pipe) = world.net.dial(self.index, to, kind) else {
            let failure = DialFailure::Unreachable("no network".into());
            return self.engine.handle_way(dial, &way, Err(failure), now);
        };
        world.timeline.note(world.net.now, || format!("{} dials {to} by {way:?}: pipe {pipe}", self.index));
        let (_, route) = world.net.pipes[pipe].seen_by(self.index);
        let epoch = self.engine.epoch_of(dial);
        let deadline = now + patience;
        let end = End { peer: to, route, phase: Phase::Dialing, deadline, dial: Some((dial, way)), epoch };
        self.ends.insert(pipe, end);
    }

    /// Closes this end of a pipe: its dial has failed, its session has one path less.
    fn close(&mut self, pipe: PipeId, world: &mut Surroundings<'_>) {
        let now = self.clock(world.net.now);
        world.net.close(pipe, self.index);
        let Some(end) = self.ends.remove(&pipe) else { return };
        if let Phase::Answering(id) | Phase::Deciding(id, ..) = end.phase {
            self.engine.end_handshake(id, now);
        }
        if let Some((dial, way)) = end.dial {
            let failure = DialFailure::Unreachable("closed".into());
            self.engine.handle_way(dial, &way, Err(failure), now);
        }
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
            Output::Closing(device, own) => self.hang_up(index_of(device), own, world),
            Output::Answer(request, answer) => {
                world.timeline.note(world.net.now, || format!("{index} has an answer: {answer:?}"));
                if !self.requests.remove(&request.0) {
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

    /// A dial has ended. A pipe through a relay closes; an attempt by WebRTC is the negotiation's.
    fn stop(&mut self, dial: DialId, world: &mut Surroundings<'_>) {
        let of_dial = |end: &End| end.dial.as_ref().is_some_and(|(id, _)| *id == dial);
        let pipes: Vec<_> = self.ends.iter().filter(|(_, end)| of_dial(end)).map(|(pipe, _)| *pipe).collect();
        for pipe in pipes {
            let Some(end) = self.ends.get_mut(&pipe) else { continue };
            end.dial = None;
            if end.route.kind == TransportKind::Relay {
                self.close(pipe, world);
            }
        }
    }

    /// A session closes: what was negotiated for it is given up by the side that knows.
    fn hang_up(&mut self, peer: usize, own: bool, world: &mut Surroundings<'_>) {
        let given_up = |end: &End| {
            let negotiated = end.route.kind != TransportKind::Relay && !matches!(end.phase, Phase::Path(_));
            end.peer == peer && negotiated && (own || end.epoch.is_some())
        };
        let pipes: Vec<_> =
            self.ends.iter().filter(|(_, end)| given_up(end)).map(|(pipe, _)| *pipe).collect();
        pipes.into_iter().for_each(|pipe| self.close(pipe, world));
    }

    // ---- what the world checks at the end ----

    /// Peers it has a session with that is older than `age`.
    pub(crate) fn partners(&self, age: Duration, net: &Net) -> Vec<usize> {
        let now = self.clock(net.now);
        self.lives().filter(|live| now - live.begun >= age).map(|live| live.peer).collect()
    }

    /// Whether this device and `other` share one session on a path that works, with nothing left to say.
    pub(crate) fn settled_with(&self, other: &Self) -> Result<(), Violation> {
        let names = format!("{} and {}", self.index, other.index);
        let stuck = |what: &str| Err(Violation::Stuck(format!("{names}: {what}")));
        let (Some(here), Some(there)) = (self.live(other.index), other.live(self.index)) else {
            return stuck("no session");
        };
        if here.multipath.current().is_none() || there.multipath.current().is_none() {
            return stuck("no path");
        }
        here.app.settled(&there.app)?;
        there.app.settled(&here.app)?;
        if !here.multipath.session.is_drained() || !there.multipath.session.is_drained() {
            return stuck("something is left to say");
        }
        if !self.requests.is_empty() {
            return stuck("a request has no answer");
        }
        Ok(())
    }

    fn lives(&self) -> impl Iterator<Item = &Live> {
        self.sessions.values().filter(|live| live.ends_at.is_none())
    }

    fn live(&self, peer: usize) -> Option<&Live> {
        self.sessions.get(&self.engine.session(device_id(peer))?).filter(|live| live.ends_at.is_none())
    }

    /// True if it has as many sessions as a device may have.
    pub(crate) fn is_full(&self) -> bool {
        self.lives().count() >= MAX_CONNECTIONS
    }

    /// Paths that its most restless session got.
    pub(crate) fn moves(&self) -> u32 {
        self.lives().map(|live| live.moves).max().unwrap_or(0)
    }

    /// Its epoch towards a peer.
    pub(crate) fn epoch(&mut self, peer: usize) -> u64 {
        self.engine.epoch(device_id(peer))
    }

    /// It does something now. What follows within a second belongs to the same time awake: no phone is asleep earlier.
    pub(crate) fn woken(&mut self, now: Instant) {
        let awake = self.wakes.last.replace(now).is_some_and(|last| now - last < Duration::from_secs(1));
        self.wakes.count += u32::from(!awake);
    }

    /// How often it was woken until now.
    pub(crate) fn wakes(&self) -> u32 {
        self.wakes.count
    }

    /// Objects sent and received in the sessions that live.
    pub(crate) fn objects(&self) -> (u64, u64) {
        self.lives().map(|live| live.app.objects()).fold((0, 0), |(s, r), (sent, got)| (s + sent, r + got))
    }
}
