//! Two devices with sessions that they dial for and close, around [`Negotiations`]. A violated rule is an error, so that a fault
//! put in on purpose can be found.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use peers_proto::engine::DialId;
use peers_proto::engine::negotiations::{
    NegotiationConfig, NegotiationError, NegotiationOutput as Output, Negotiations, SignedDescription,
};
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::signaling::Contents;
use peers_proto::trust::TrustLevel;

use crate::schedule::Schedule;

/// The faults of a world, in percent where nothing else is said.
#[derive(Clone, Copy)]
struct Faults {
    max_delay: Duration,
    loss: u64,
    duplicates: u64,
    /// Envelopes that do not open.
    altered: u64,
    /// Peer connections that fail.
    failures: u64,
    /// The fault put in on purpose: the negotiations do not learn that sessions close.
    silent_closes: bool,
}

const ROUGH: Faults = Faults {
    max_delay: Duration::from_secs(10),
    loss: 10,
    duplicates: 20,
    altered: 5,
    failures: 15,
    silent_closes: false,
};

/// A rule that was violated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Violation {
    /// A dial has two conclusions, or one after it was cancelled.
    ConcludedTwice,
    /// A dial has no conclusion.
    NotConcluded,
    /// A connection that began for a closed session became a path.
    OutlivedSession,
    /// A dial was concluded by an attempt that began before its session was closed.
    PassedForTheNextDial,
    /// A dial goes on although its session was closed.
    OutlivedDial,
    /// A peer connection is not closed, or closed twice.
    Leaked,
    /// A dial failed although nothing went wrong.
    NotConnected,
}

enum Event {
    Dial(usize),
    Cancel(usize, DialId),
    /// The device closes the session, if there is one.
    Close(usize),
    /// The end of this session arrives from the other device.
    SessionEnds(usize, u64),
    Arrives(usize, usize),
    Opened(usize, usize),
    Made(usize, ConnectionId),
    Gathered(usize, ConnectionId),
    /// ICE and DTLS finish, if both ends are still there.
    Meets(ConnectionId),
    Connected(usize, ConnectionId),
    /// The handshake ends, if both ends are still there.
    Settles(ConnectionId),
    Fails(usize, ConnectionId),
    Closed(usize, ConnectionId),
    Timeout(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// A session has the transport.
    Settled,
    Closed,
}

struct PeerConnection {
    end: End,
    /// The epoch of the device when it was made.
    epoch: u64,
    /// The epoch of the dial, if it is of this device.
    dialed: Option<u64>,
    described: bool,
    remote_description: bool,
    met: bool,
    shakes_hands: bool,
    /// `Close` was asked for.
    closed: bool,
}

struct Dial {
    epoch: u64,
    concluded: Option<Result<(), NegotiationError>>,
    cancelled: bool,
}

struct Device {
    machine: Negotiations,
    /// Counts the sessions that ended here.
    epoch: u64,
    session: Option<u64>,
    dials: HashMap<DialId, Dial>,
    pcs: HashMap<ConnectionId, PeerConnection>,
}

struct World {
    schedule: Schedule<Event>,
    faults: Faults,
    devices: [Device; 2],
    sessions: u64,
    dialed: u64,
    sent: Vec<Contents>,
    violation: Option<Violation>,
}

fn id(side: usize) -> DeviceId {
    DeviceId::derive(if side == 0 { b"a" } else { b"b" })
}

impl World {
    fn new(seed: u64, faults: Faults) -> Self {
        let device = |side| {
            let config = NegotiationConfig { local: id(side), webrtc: true, relay_only: false };
            Device {
                machine: Negotiations::new(config, [side as u8; 32]),
                epoch: 0,
                // Through a relay, say.
                session: Some(0),
                dials: HashMap::new(),
                pcs: HashMap::new(),
            }
        };
        Self {
            schedule: Schedule::new(seed),
            faults,
            devices: [device(0), device(1)],
            sessions: 0,
            dialed: 0,
            sent: Vec::new(),
            violation: None,
        }
    }

    /// Both devices dial, and close sessions, at any time.
    fn random(seed: u64, faults: Faults) -> Self {
        let mut world = Self::new(seed, faults);
        for side in 0..2 {
            for _ in 0..world.schedule.random.below(5) {
                world.schedule.soon(60_000, Event::Dial(side));
            }
            for _ in 0..world.schedule.random.below(4) {
                world.schedule.soon(60_000, Event::Close(side));
            }
        }
        world
    }

    fn violate(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    /// Runs until nothing happens any more.
    fn run(&mut self) -> Result<(), Violation> {
        while let Some(event) = self.schedule.next() {
            assert!(self.schedule.order < 100_000, "the machines never come to rest");
            self.handle(event);
            for side in 0..2 {
                self.act(side);
            }
            if let Some(violation) = self.violation {
                return Err(violation);
            }
        }
        for device in &self.devices {
            assert_eq!(device.machine.poll_timeout(), None, "every negotiation is forgotten");
            if device.dials.values().any(|dial| dial.concluded.is_none() && !dial.cancelled) {
                return Err(Violation::NotConcluded);
            }
            if device.pcs.values().any(|pc| pc.end == End::Open || !pc.closed) {
                return Err(Violation::Leaked);
            }
        }
        Ok(())
    }

    fn handle(&mut self, event: Event) {
        let now = self.schedule.now;
        match event {
            Event::Dial(side) => {
                self.dialed += 1;
                let (dial, device) = (DialId(self.dialed), &mut self.devices[side]);
                let epoch = device.epoch;
                device.dials.insert(dial, Dial { epoch, concluded: None, cancelled: false });
                device.machine.dial(id(1 - side), dial, epoch, now);
                if self.schedule.random.percent(10) {
                    self.schedule.soon(20_000, Event::Cancel(side, dial));
                }
            }
            Event::Cancel(side, dial) => {
                let device = &mut self.devices[side];
                let Some(waiting) = device.dials.get_mut(&dial).filter(|dial| dial.concluded.is_none())
                else {
                    return;
                };
                waiting.cancelled = true;
                device.machine.cancel_dial(id(1 - side), dial);
            }
            Event::Close(side) => {
                if let Some(session) = self.devices[side].session {
                    self.end_session(side, true);
                    let delay = self.schedule.random.delay(self.faults.max_delay);
                    self.schedule.at(delay, Event::SessionEnds(1 - side, session));
                }
            }
            Event::SessionEnds(side, session) if self.devices[side].session == Some(session) => {
                self.end_session(side, false);
            }
            Event::SessionEnds(..) => {}
            Event::Arrives(side, at) => {
                let connection = self.sent[at].connection_id;
                let machine = &mut self.devices[side].machine;
                machine.handle_sealed(id(1 - side), connection, at.to_string(), TrustLevel::Trusted, now);
            }
            Event::Opened(side, at) => {
                let altered = self.schedule.random.percent(self.faults.altered);
                let opened = if altered { Err("altered".to_owned()) } else { Ok(self.sent[at].clone()) };
                self.devices[side].machine.handle_opened(id(1 - side), opened, true, now);
            }
            Event::Made(side, connection) => {
                if let Some(pc) = self.pc(side, connection) {
                    pc.described = true;
                }
                let local = SignedDescription { sdp: "sdp".into(), fingerprint: [side as u8; 32] };
                self.devices[side].machine.handle_made(id(1 - side), connection, local, now);
            }
            Event::Gathered(side, connection) => {
                let machine = &mut self.devices[side].machine;
                machine.handle_local_candidate(id(1 - side), connection, "candidate".into(), now);
            }
            Event::Meets(connection) => self.meet(connection),
            Event::Connected(side, connection) => {
                self.devices[side].machine.handle_connected(id(1 - side), connection);
            }
            Event::Settles(connection) => self.settle(connection),
            Event::Fails(side, connection) => {
                let Some(shakes_hands) = self.pc(side, connection).map(|pc| pc.shakes_hands) else { return };
                let (machine, peer) = (&mut self.devices[side].machine, id(1 - side));
                if shakes_hands {
                    let failed = Err(NegotiationError::Failed("the connection ended".into()));
                    machine.handle_settled(peer, connection, failed, now);
                } else {
                    machine.handle_failed(peer, connection, "the connection ended".into(), now);
                }
            }
            Event::Closed(side, connection) => {
                self.devices[side].machine.handle_closed(id(1 - side), connection, None, now);
            }
            Event::Timeout(side) => self.devices[side].machine.handle_timeout(now),
        }
    }

    fn end_session(&mut self, side: usize, own: bool) {
        let device = &mut self.devices[side];
        (device.session, device.epoch) = (None, device.epoch + 1);
        if !self.faults.silent_closes {
            device.machine.session_closes(id(1 - side), own, self.schedule.now);
        }
    }

    /// A peer connection that is open.
    fn pc(&mut self, side: usize, connection: ConnectionId) -> Option<&mut PeerConnection> {
        self.devices[side].pcs.get_mut(&connection).filter(|pc| pc.end == End::Open)
    }

    fn meet(&mut self, connection: ConnectionId) {
        let fails = self.schedule.random.percent(self.faults.failures);
        let ready = |pc: &mut PeerConnection| pc.described && pc.remote_description && !pc.met;
        if !(0..2).all(|side| self.pc(side, connection).is_some_and(ready)) {
            return;
        }
        for side in 0..2 {
            if let Some(pc) = self.pc(side, connection) {
                pc.met = true;
            }
            let then =
                if fails { Event::Fails(side, connection) } else { Event::Connected(side, connection) };
            self.schedule.soon(1000, then);
        }
    }

    fn settle(&mut self, connection: ConnectionId) {
        if (0..2).any(|side| self.pc(side, connection).is_none_or(|pc| !pc.shakes_hands)) {
            return;
        }
        let [a, b] = &mut self.devices;
        // READY tells both ends: one of them has closed the session that the other speaks for.
        let agree = a.session == b.session;
        if agree && a.session.is_none() {
            self.sessions += 1;
            (a.session, b.session) = (Some(self.sessions), Some(self.sessions));
        }
        let outlived = [a, b].into_iter().any(|device| {
            let pc = &device.pcs[&connection];
            pc.dialed.is_some_and(|epoch| epoch != device.epoch)
        });
        if agree && outlived {
            self.violate(Violation::OutlivedSession);
        }
        for side in 0..2 {
            let pc = self.devices[side].pcs.get_mut(&connection).unwrap();
            pc.end = if agree { End::Settled } else { End::Closed };
            let made = pc.epoch;
            let outcome = match agree {
                true => Ok(()),
                false => Err(NegotiationError::Failed("the session changed while connecting".into())),
            };
            let waiting = self.waiting(side);
            self.devices[side].machine.handle_settled(id(1 - side), connection, outcome, self.schedule.now);
            self.act(side);
            let device = &self.devices[side];
            let passed =
                |dial: &DialId| device.dials[dial].concluded.is_some() && device.dials[dial].epoch != made;
            if waiting.iter().any(passed) {
                self.violate(Violation::PassedForTheNextDial);
            }
        }
    }

    fn waiting(&self, side: usize) -> Vec<DialId> {
        let dials = self.devices[side].dials.iter();
        dials.filter(|(_, dial)| dial.concluded.is_none() && !dial.cancelled).map(|(dial, _)| *dial).collect()
    }

    fn act(&mut self, side: usize) {
        while let Some(output) = self.devices[side].machine.poll_output() {
            self.perform(side, output);
        }
        if let Some(at) = self.devices[side].machine.poll_timeout() {
            self.schedule.at(at - self.schedule.now, Event::Timeout(side));
        }
    }

    fn perform(&mut self, side: usize, output: Output) {
        let peer = 1 - side;
        match output {
            Output::Open { sealed, .. } => {
                self.schedule.soon(50, Event::Opened(side, sealed.parse().unwrap()))
            }
            Output::Make { connection, offer, .. } => self.make(side, connection, offer.as_ref()),
            Output::Apply { connection, answer, .. } => {
                assert_eq!(answer.fingerprint, [peer as u8; 32]);
                if let Some(pc) = self.pc(side, connection) {
                    pc.remote_description = true;
                    self.schedule.soon(500, Event::Meets(connection));
                }
            }
            Output::AddCandidates { connection, .. } => {
                assert!(self.pc(side, connection).is_none_or(|pc| pc.remote_description));
            }
            Output::Handshake { connection, epoch, .. } => {
                if let Some(pc) = self.pc(side, connection) {
                    (pc.shakes_hands, pc.dialed) = (true, epoch);
                    self.schedule.soon(300, Event::Settles(connection));
                }
            }
            Output::Close { connection, .. } => {
                let pc = self.devices[side].pcs.get_mut(&connection).unwrap();
                if std::mem::replace(&mut pc.closed, true) {
                    self.violate(Violation::Leaked);
                } else if pc.end == End::Open {
                    pc.end = End::Closed;
                    if pc.met {
                        self.schedule.soon(2000, Event::Fails(peer, connection));
                    }
                }
                self.schedule.soon(50, Event::Closed(side, connection));
            }
            Output::Send { contents, .. } => {
                self.sent.push(contents);
                while !self.schedule.random.percent(self.faults.loss) {
                    let delay = self.schedule.random.delay(self.faults.max_delay);
                    self.schedule.at(delay, Event::Arrives(peer, self.sent.len() - 1));
                    if !self.schedule.random.percent(self.faults.duplicates) {
                        break;
                    }
                }
            }
            Output::RenewCredentials => {}
            Output::Concluded { dials, outcome } => {
                for dial in dials {
                    self.conclude(side, dial, &outcome);
                }
            }
        }
    }

    fn make(&mut self, side: usize, connection: ConnectionId, offer: Option<&SignedDescription>) {
        assert!(offer.is_none_or(|offer| offer.fingerprint == [1 - side as u8; 32]));
        let device = &mut self.devices[side];
        let pc = PeerConnection {
            end: End::Open,
            epoch: device.epoch,
            dialed: None,
            described: false,
            remote_description: offer.is_some(),
            met: false,
            shakes_hands: false,
            closed: false,
        };
        assert!(device.pcs.insert(connection, pc).is_none(), "one peer connection for an attempt");
        self.schedule.soon(300, Event::Made(side, connection));
        self.schedule.soon(1000, Event::Gathered(side, connection));
    }

    fn conclude(&mut self, side: usize, dial: DialId, outcome: &Result<(), NegotiationError>) {
        let device = &mut self.devices[side];
        let epoch = device.epoch;
        let dial = device.dials.get_mut(&dial).unwrap();
        let closed = *outcome == Err(NegotiationError::SessionClosed);
        let violation = if dial.cancelled || dial.concluded.is_some() {
            Some(Violation::ConcludedTwice)
        } else if dial.epoch != epoch && !closed {
            Some(Violation::OutlivedDial)
        } else {
            None
        };
        dial.concluded = Some(outcome.clone());
        if let Some(violation) = violation {
            self.violate(violation);
        }
    }

    /// A dial of `side` now, with nothing to disturb it.
    fn dial_undisturbed(&mut self, side: usize) -> Result<(), Violation> {
        self.faults = Faults { loss: 0, altered: 0, failures: 0, ..self.faults };
        // Envelopes pass on time.
        self.faults.max_delay = Duration::from_secs(1);
        self.schedule.at(Duration::from_secs(1), Event::Dial(side));
        self.run()?;
        let last = &self.devices[side].dials[&DialId(self.dialed)];
        if last.cancelled || last.concluded == Some(Ok(())) { Ok(()) } else { Err(Violation::NotConnected) }
    }
}

#[test]
fn every_dial_is_concluded_once_and_nothing_outlives_the_session_it_began_for() {
    let mut concluded = BTreeMap::<bool, u32>::new();
    for seed in 0..5_000 {
        let mut world = World::random(seed, ROUGH);
        assert_eq!(world.run(), Ok(()), "seed {seed}");
        let outcomes = world.devices.iter().flat_map(|device| device.dials.values());
        outcomes.filter_map(|dial| dial.concluded.as_ref()).for_each(|outcome| {
            *concluded.entry(outcome.is_ok()).or_default() += 1;
        });
        assert_eq!(world.dial_undisturbed(seed as usize % 2), Ok(()), "seed {seed}");
    }
    assert!(concluded.values().all(|count| *count > 1000), "{concluded:?}: the faults prove nothing");
}

#[test]
fn both_devices_dialing_at_once_share_one_connection_and_both_dials_are_concluded() {
    for seed in 0..1_000 {
        let faults =
            Faults { loss: 0, altered: 0, failures: 0, max_delay: Duration::from_millis(300), ..ROUGH };
        let mut world = World::new(seed, faults);
        world.schedule.at(Duration::ZERO, Event::Dial(0));
        world.schedule.at(Duration::ZERO, Event::Dial(1));
        assert_eq!(world.run(), Ok(()), "seed {seed}");
        for device in &world.devices {
            assert!(
                device.dials.values().all(|dial| dial.cancelled || dial.concluded == Some(Ok(()))),
                "seed {seed}"
            );
            let settled = device.pcs.values().filter(|pc| pc.end == End::Settled).count();
            assert_eq!(settled, 1, "seed {seed}");
        }
    }
}

/// The rules about closed sessions, switched off: a session that closes is nothing to the negotiation.
#[test]
fn the_exchange_finds_negotiations_that_do_not_learn_of_closed_sessions() {
    let silent = Faults { silent_closes: true, ..ROUGH };
    let found = |wanted| (0..1_000).any(|seed| World::random(seed, silent).run() == Err(wanted));
    for violation in [Violation::OutlivedSession, Violation::PassedForTheNextDial, Violation::OutlivedDial] {
        assert!(found(violation), "{violation:?}");
    }
}
