//! One device: its sessions, its dials, its clock. What tasks do in `core/peers` happens here in one thread.

mod connections;
mod sessions;

use std::collections::BTreeMap;
use std::time::Duration;

use peers_proto::dial::{Dialer, Purpose};
use peers_proto::end_reason::EndReason;
use peers_proto::id::DeviceId;
use peers_proto::path::{PathId, Paths, Preference};
use peers_proto::session::wire::{FrameKind, Header};
use peers_proto::session::{Instance, MemoryBudget, Resume, Session};
use peers_proto::time::{Instant, earliest};
use peers_proto::timing::{BEAT, HANDSHAKE_TIMEOUT};
use peers_proto::transport_kind::TransportKind;

use crate::app::App;
use crate::failure::Violation;
use crate::net::Net;
use crate::pipe::{Packet, PipeId};
use crate::timeline::Timeline;

/// What the world lends a device for one event.
pub(crate) struct Surroundings<'a> {
    pub(crate) net: &'a mut Net,
    pub(crate) timeline: &'a mut Timeline,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// No path came back in time.
    NoPath,
    /// The peer has forgotten it: it says that it is this instance now.
    Forgotten(u64),
    /// One of the peer's instances came back after another one, which cannot both be right.
    Void,
    /// There were too many.
    Evicted,
    /// The peer said goodbye: it had too many.
    Goodbye,
}

impl Ended {
    fn reason(self) -> EndReason {
        match self {
            Self::NoPath => EndReason::NoPath,
            Self::Forgotten(_) | Self::Void => EndReason::PeerRestarted,
            Self::Evicted => EndReason::Evicted,
            Self::Goodbye => EndReason::ClosedByPeer,
        }
    }
}

/// A session that the app was told is lost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loss {
    pub(crate) peer: usize,
    pub(crate) why: Ended,
}

#[derive(Debug)]
enum Phase {
    /// Waits for M2.
    Dialing,
    /// Waits for M3.
    Answering,
    /// Has said READY and waits for the peer's.
    Consented(Resume),
    /// Carries a session.
    Path,
}

#[derive(Debug)]
struct End {
    peer: usize,
    kind: TransportKind,
    phase: Phase,
    deadline: Instant,
    /// The dial of this device that it belongs to, until there is an outcome.
    dial: Option<Purpose>,
    /// What this device was called when it dialed.
    name: Option<u64>,
}

#[derive(Debug)]
struct Live {
    session: Session,
    paths: Paths,
    app: App,
    begun: Instant,
    /// Paths that it got, one after the other.
    moves: u32,
}

#[derive(Debug)]
struct Peer {
    instance: Instance,
    live: Option<Live>,
    /// Whether this device looks for it by itself.
    known: bool,
}

/// How often a device was woken.
#[derive(Debug, Clone, Copy, Default)]
struct Wakes {
    count: u32,
    last: Option<Instant>,
}

impl Wakes {
    /// It does something. What follows within a second belongs to the same time awake: no phone is asleep earlier.
    fn note(&mut self, now: Instant) {
        let awake = self.last.replace(now).is_some_and(|last| now - last < Duration::from_secs(1));
        self.count += u32::from(!awake);
    }
}

#[derive(Debug)]
pub(crate) struct Device {
    index: usize,
    /// How far its clock is ahead of the world's.
    offset: Duration,
    dialer: Dialer,
    peers: BTreeMap<usize, Peer>,
    ends: BTreeMap<PipeId, End>,
    budget: MemoryBudget,
    /// Sessions lost since the world last asked.
    losses: Vec<Loss>,
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

impl Device {
    pub(crate) fn new(index: usize, peers: &[(usize, bool)], net: &mut Net) -> Self {
        // An hour at least, so that whoever mixes two clocks fails loudly; beats agree to the second, as real clocks' do.
        let offset = BEAT * net.rng.within(120..1_000_000) as u32 + net.rng.millis(0..1000);
        Self::with_clock(index, offset, peers, net)
    }

    fn with_clock(index: usize, offset: Duration, peers: &[(usize, bool)], net: &mut Net) -> Self {
        let now = net.now + offset;
        let mut dialer = Dialer::new(device_id(index), Preference::default(), net.rng.next(), now);
        let peers = peers.iter().map(|(peer, known)| {
            if *known {
                dialer.set_trust(device_id(*peer), net.plan.levels[*peer], now);
            }
            (*peer, Peer { instance: Instance::new(net.rng.next()), live: None, known: *known })
        });
        let peers = peers.collect();
        Self {
            index,
            offset,
            dialer,
            peers,
            ends: BTreeMap::new(),
            budget: MemoryBudget::default(),
            losses: Vec::new(),
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
        let peers: Vec<_> = self.peers.iter().map(|(peer, state)| (*peer, state.known)).collect();
        Self { hushed: self.hushed, ..Self::with_clock(self.index, self.offset, &peers, net) }
    }

    pub(crate) fn leap(&mut self, by: Duration) {
        self.offset += by;
    }

    /// The device's time at the world's `now`.
    pub(crate) fn clock(&self, now: Instant) -> Instant {
        now + self.offset
    }

    /// When it wants to be woken, by the world's clock.
    pub(crate) fn poll_timeout(&self, net: &Net) -> Option<Instant> {
        let handshakes =
            self.ends.values().filter(|end| !matches!(end.phase, Phase::Path)).map(|end| end.deadline);
        let mut next = earliest(handshakes.min(), self.dialer.poll_timeout());
        for peer in self.peers.values() {
            next = earliest(next, peer.poll_timeout(self.index, net));
        }
        next.map(|at| Instant::from_micros(at.as_micros().saturating_sub(self.offset.as_micros() as u64)))
    }

    pub(crate) fn take_losses(&mut self) -> Vec<Loss> {
        std::mem::take(&mut self.losses)
    }

    /// Nobody says anything new.
    pub(crate) fn hush(&mut self) {
        self.hushed = true;
        self.peers.values_mut().filter_map(|peer| peer.live.as_mut()).for_each(|live| live.app.hush());
    }

    /// The network has changed: what failed may work now, and no path is relied on.
    pub(crate) fn network_changed(&mut self, world: &mut Surroundings<'_>) -> Result<(), Violation> {
        let now = self.clock(world.net.now);
        for live in self.peers.values_mut().filter_map(|peer| peer.live.as_mut()) {
            live.paths.network_changed(true, now);
        }
        // What began on the old network is given up.
        for (pipe, _) in self.ends.extract_if(.., |_, end| end.dial.is_some()) {
            world.net.close(pipe, self.index);
        }
        self.dialer.handle_network_change(true, now);
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            self.pump(peer, world)?;
        }
        Ok(())
    }

    // ---- what happens to it ----

    pub(crate) fn handle_timeout(&mut self, world: &mut Surroundings<'_>) -> Result<(), Violation> {
        let now = self.clock(world.net.now);
        let late = |end: &End| !matches!(end.phase, Phase::Path) && end.deadline <= now;
        let overdue: Vec<_> = self.ends.iter().filter(|(_, end)| late(end)).map(|(pipe, _)| *pipe).collect();
        for pipe in overdue {
            self.close(pipe, world);
        }
        self.dialer.handle_timeout(now);
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            self.pump(peer, world)?;
        }
        Ok(())
    }

    /// A pipe broke, or the peer closed it.
    pub(crate) fn handle_broken(
        &mut self,
        pipe: PipeId,
        world: &mut Surroundings<'_>,
    ) -> Result<(), Violation> {
        let Some(peer) = self.close(pipe, world) else { return Ok(()) };
        self.leave_path(peer, pipe, world)?;
        self.pump(peer, world)
    }

    /// A pipe has taken some of what it was given.
    pub(crate) fn handle_room(
        &mut self,
        pipe: PipeId,
        world: &mut Surroundings<'_>,
    ) -> Result<(), Violation> {
        match self.ends.get(&pipe).map(|end| end.peer) {
            Some(peer) => self.pump(peer, world),
            None => Ok(()),
        }
    }

    pub(crate) fn handle_packet(
        &mut self,
        pipe: PipeId,
        packet: Packet,
        world: &mut Surroundings<'_>,
    ) -> Result<(), Violation> {
        let (now, index) = (self.clock(world.net.now), self.index);
        if let Packet::M1 = packet {
            let Pipe { peer, kind } = self.pipe(pipe, world.net);
            let deadline = now + HANDSHAKE_TIMEOUT;
            let end = End { peer, kind, phase: Phase::Answering, deadline, dial: None, name: None };
            self.ends.insert(pipe, end);
            world.net.send(pipe, index, Packet::M2);
            return Ok(());
        }
        if let Packet::Close = packet {
            return self.handle_broken(pipe, world);
        }
        let Some(end) = self.ends.get_mut(&pipe) else { return Ok(()) };
        let peer = end.peer;
        match (&end.phase, packet) {
            (Phase::Dialing, Packet::M2) => {
                world.net.send(pipe, index, Packet::M3);
                self.consent(pipe, world);
            }
            (Phase::Answering, Packet::M3) => self.consent(pipe, world),
            (Phase::Consented(said), Packet::Ready(theirs)) => {
                let said = *said;
                self.establish(pipe, said, theirs, world)?;
            }
            (Phase::Path, Packet::Frame(frame)) => {
                let Some(live) = self.peers.get_mut(&peer).and_then(|peer| peer.live.as_mut()) else {
                    return Ok(());
                };
                let header = Header::read(&mut &frame[..]).map_err(|e| Violation::Protocol(e.into()))?;
                let (id, data) = (path_id(pipe), matches!(header.kind, FrameKind::Data | FrameKind::Ack));
                live.paths.received(id, frame.len(), data, now);
                match header.kind {
                    FrameKind::Leave => return self.handle_broken(pipe, world),
                    FrameKind::Bye => return self.end_session(peer, Ended::Goodbye, world),
                    FrameKind::Ping => live.paths.handle_ping(id, header.seq),
                    FrameKind::Pong => live.paths.handle_pong(id, header.seq, now),
                    _ => {}
                }
                live.session.handle_frame(&frame, now).map_err(Violation::Protocol)?;
            }
            _ => {}
        }
        self.pump(peer, world)
    }

    // ---- what the world checks at the end ----

    /// Peers it has a session with that is older than `age`.
    pub(crate) fn partners(&self, age: Duration, net: &Net) -> Vec<usize> {
        let now = self.clock(net.now);
        let lives = self.peers.iter().filter_map(|(peer, state)| Some((*peer, state.live.as_ref()?)));
        lives.filter(|(_, live)| now - live.begun >= age).map(|(peer, _)| peer).collect()
    }

    /// Whether this device and `other` share one session on a path that works, with nothing left to say.
    pub(crate) fn settled_with(&self, other: &Self) -> Result<(), Violation> {
        let names = format!("{} and {}", self.index, other.index);
        let stuck = |what: &str| Err(Violation::Stuck(format!("{names}: {what}")));
        let (Some(ours), Some(theirs)) = (self.peers.get(&other.index), other.peers.get(&self.index)) else {
            return stuck("they do not know each other");
        };
        let (Some(here), Some(there)) = (&ours.live, &theirs.live) else { return stuck("no session") };
        let (here_with, there_with) = (ours.instance.with(), theirs.instance.with());
        if here_with != Some(theirs.instance.epoch()) || there_with != Some(ours.instance.epoch()) {
            return stuck("each has another session");
        }
        if here.paths.current().is_none() || there.paths.current().is_none() {
            return stuck("no path");
        }
        here.app.settled(&there.app)?;
        there.app.settled(&here.app)?;
        if !here.session.is_drained() || !there.session.is_drained() {
            return stuck("something is left to say");
        }
        Ok(())
    }

    /// Paths that its most restless session got.
    pub(crate) fn moves(&self) -> u32 {
        self.peers.values().filter_map(|peer| peer.live.as_ref()).map(|live| live.moves).max().unwrap_or(0)
    }

    /// Its instance towards a peer.
    pub(crate) fn epoch(&self, peer: usize) -> Option<u64> {
        self.peers.get(&peer).map(|peer| peer.instance.epoch())
    }

    /// It does something now, because of a timer or because something arrived.
    pub(crate) fn woken(&mut self, now: Instant) {
        self.wakes.note(now);
    }

    /// How often it was woken until now.
    pub(crate) fn wakes(&self) -> u32 {
        self.wakes.count
    }

    /// Objects sent and received in the sessions that live.
    pub(crate) fn objects(&self) -> (u64, u64) {
        let lives = self.peers.values().filter_map(|peer| peer.live.as_ref());
        lives.map(|live| live.app.objects()).fold((0, 0), |(s, r), (sent, got)| (s + sent, r + got))
    }
}

/// A path is a pipe in use.
fn path_id(pipe: PipeId) -> PathId {
    PathId(pipe as u64)
}

fn pipe_id(path: PathId) -> PipeId {
    path.0 as PipeId
}

/// The part of a pipe that its device knows.
struct Pipe {
    peer: usize,
    kind: TransportKind,
}
