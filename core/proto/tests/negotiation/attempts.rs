//! Two negotiations and everything a relay and two networks can do to what they say, in virtual time, from a seed.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::limits::MAX_CANDIDATES;
use peers_proto::signaling::{Action, Body, Contents, Negotiation};

use crate::schedule::Schedule;

enum Event {
    Dial(usize),
    HangUp(usize),
    Signaling(usize, bool),
    Arrives(usize, Contents),
    Described(usize, ConnectionId),
    Gathered(usize, ConnectionId),
    /// ICE and DTLS finish, if both ends are still there.
    Meets(ConnectionId),
    Connected(usize, ConnectionId),
    Closed(usize, ConnectionId),
    Timeout(usize),
    /// A device's process ends, and another one begins that remembers nothing.
    Restart(usize),
    /// The relay delivers once more all that it ever had for a device.
    Replay(usize),
}

impl Event {
    /// True if it is about state of a process, and ends with it.
    fn ends_with(&self, device: usize) -> bool {
        match self {
            Self::Described(side, _) | Self::Gathered(side, _) | Self::Connected(side, _) => *side == device,
            Self::Closed(side, _) | Self::Timeout(side) => *side == device,
            _ => false,
        }
    }
}

#[derive(Default)]
struct PeerConnection {
    open: bool,
    initiator: bool,
    described: bool,
    remote_description: bool,
    candidates: usize,
    met: bool,
}

/// Faults of the network.
struct Faults {
    max_delay: Duration,
    duplicates: u64,
    loss: u64,
    hang_ups: bool,
    outages: bool,
    failures: u64,
}

struct World {
    schedule: Schedule<Event>,
    faults: Faults,
    instances: [u64; 2],
    machines: [Negotiation; 2],
    pcs: [HashMap<ConnectionId, PeerConnection>; 2],
    dials: u8,
    /// All that each device was ever sent.
    archive: [Vec<Contents>; 2],
    /// Attempts, and the instance that each offer was made for.
    offered: HashSet<(ConnectionId, Option<u64>)>,
}

fn device(side: usize) -> DeviceId {
    DeviceId::derive(if side == 0 { b"a" } else { b"b" })
}

fn negotiation(side: usize, instance: u64) -> Negotiation {
    Negotiation::new(device(side), device(1 - side), instance, true)
}

impl World {
    fn new(seed: u64, faults: Faults) -> Self {
        let instances = [40, 41];
        Self {
            schedule: Schedule::new(seed),
            faults,
            instances,
            machines: [0, 1].map(|side| negotiation(side, instances[side])),
            pcs: Default::default(),
            dials: 0,
            archive: Default::default(),
            offered: HashSet::new(),
        }
    }

    fn run(&mut self) {
        for _ in 0..100_000 {
            let Some(event) = self.schedule.next() else { return };
            self.handle(event);
            for side in 0..2 {
                self.act(side);
            }
        }
        panic!("the machines never come to rest");
    }

    fn handle(&mut self, event: Event) {
        let now = self.schedule.now;
        match event {
            Event::Dial(side) => {
                self.dials += 1;
                let (machine, id) = (&mut self.machines[side], ConnectionId::from_bytes([self.dials; 16]));
                // Either way has to lead to the same.
                if self.dials.is_multiple_of(2) && !machine.knows_remote() {
                    machine.ask(id, now);
                } else {
                    machine.dial(id, now);
                }
            }
            Event::HangUp(side) => self.machines[side].hang_up(now),
            Event::Signaling(side, up) => self.machines[side].handle_signaling(up, now),
            Event::Arrives(side, contents) => self.machines[side].handle_remote(contents, now),
            Event::Described(side, id) => {
                self.pcs[side].get_mut(&id).unwrap().described = true;
                self.machines[side].handle_local_description(id, "sdp".into(), [side as u8; 32], now);
            }
            Event::Gathered(side, id) => {
                let count = self.schedule.random.below(4) as usize;
                self.machines[side].handle_local_candidates(id, vec!["candidate".to_owned(); count], now);
            }
            Event::Meets(id) => {
                let fails = self.schedule.random.percent(self.faults.failures);
                let ready = |pc: &PeerConnection| pc.open && pc.described && pc.remote_description;
                let both = (0..2).all(|side| self.pcs[side].get(&id).is_some_and(ready));
                for side in 0..2 {
                    if both && !fails {
                        self.pcs[side].get_mut(&id).unwrap().met = true;
                        self.schedule.soon(1000, Event::Connected(side, id));
                    } else if both {
                        self.close(side, id);
                    }
                }
            }
            Event::Connected(side, id) => {
                let old = self.machines[side].established();
                if self.pcs[side][&id].open {
                    self.machines[side].handle_connected(id, now);
                    assert_eq!(self.machines[side].established(), Some(id));
                    // Make before break.
                    if let Some(old) = old {
                        self.close(side, old);
                    }
                }
            }
            Event::Closed(side, id) => self.close(side, id),
            Event::Timeout(side) => self.machines[side].handle_timeout(now),
            Event::Restart(side) => self.restart(side),
            Event::Replay(side) => {
                for contents in self.archive[side].clone() {
                    let delay = self.schedule.random.delay(self.faults.max_delay);
                    self.schedule.at(delay, Event::Arrives(side, contents));
                }
            }
        }
    }

    fn restart(&mut self, side: usize) {
        self.instances[side] = self.schedule.random.next();
        self.machines[side] = negotiation(side, self.instances[side]);
        self.schedule.retain(|event| !event.ends_with(side));
        for (id, pc) in std::mem::take(&mut self.pcs[side]) {
            if pc.open && pc.met {
                self.schedule.soon(2000, Event::Closed(1 - side, id));
            }
        }
    }

    /// The transport of `id` fails or is closed at `side`. Of an attempt under way the machine says what to do.
    fn close(&mut self, side: usize, id: ConnectionId) {
        let under_way = self.machines[side].current() == Some(id);
        let now = self.schedule.now;
        self.machines[side].handle_closed(id, now);
        if !under_way {
            self.drop_pc(side, id);
        }
    }

    /// The other end notices if the two had met.
    fn drop_pc(&mut self, side: usize, id: ConnectionId) {
        // The other process may be no more, and its peer connections with it.
        let Some(pc) = self.pcs[side].get_mut(&id) else { return };
        if std::mem::replace(&mut pc.open, false) && pc.met {
            self.schedule.soon(2000, Event::Closed(1 - side, id));
        }
    }

    fn act(&mut self, side: usize) {
        while let Some(action) = self.machines[side].poll_output() {
            match action {
                Action::Dial => {
                    self.dials += 1;
                    self.machines[side].dial(ConnectionId::from_bytes([self.dials; 16]), self.schedule.now);
                }
                Action::CreateOffer { connection_id } => self.create(side, connection_id, true),
                Action::CreateAnswer { connection_id, fingerprint, .. } => {
                    assert_eq!(fingerprint, [1 - side as u8; 32]);
                    let fresh = (connection_id, Some(self.instances[side]));
                    assert!(self.offered.contains(&fresh), "an offer for another instance is answered");
                    self.create(side, connection_id, false);
                }
                Action::ApplyAnswer { connection_id, fingerprint, .. } => {
                    assert_eq!(fingerprint, [1 - side as u8; 32]);
                    let pc = self.pcs[side].get_mut(&connection_id).unwrap();
                    assert!(pc.open && pc.initiator && !pc.remote_description);
                    pc.remote_description = true;
                    self.schedule.soon(500, Event::Meets(connection_id));
                }
                Action::AddCandidates { connection_id, candidates } => {
                    let pc = self.pcs[side].get_mut(&connection_id).unwrap();
                    assert!(pc.open && pc.remote_description, "candidates before the description");
                    pc.candidates += candidates.len();
                    assert!(pc.candidates <= MAX_CANDIDATES);
                }
                Action::Send(contents) => self.send(side, contents),
                Action::Abandon { connection_id, .. } => {
                    // A question without an answer has no peer connection.
                    if let Some(pc) = self.pcs[side].get(&connection_id) {
                        assert!(pc.open, "abandoned twice");
                        self.drop_pc(side, connection_id);
                    }
                }
            }
        }
        if let Some(at) = self.machines[side].poll_timeout() {
            self.schedule.at(at - self.schedule.now, Event::Timeout(side));
        }
    }

    fn create(&mut self, side: usize, id: ConnectionId, initiator: bool) {
        let pc =
            PeerConnection { open: true, initiator, remote_description: !initiator, ..Default::default() };
        assert!(self.pcs[side].insert(id, pc).is_none(), "one peer connection per attempt");
        self.schedule.soon(300, Event::Described(side, id));
        for _ in 0..3 {
            self.schedule.soon(1000, Event::Gathered(side, id));
        }
    }

    fn send(&mut self, side: usize, contents: Contents) {
        let decoded = Body::decode(&contents.body.encode().unwrap()).unwrap();
        assert_eq!(decoded, contents.body);
        if let Body::Offer { to, .. } = contents.body {
            self.offered.insert((contents.connection_id, to));
        }
        self.archive[1 - side].push(contents.clone());
        if self.schedule.random.percent(self.faults.loss) {
            return;
        }
        loop {
            let delay = self.schedule.random.delay(self.faults.max_delay);
            self.schedule.at(delay, Event::Arrives(1 - side, contents.clone()));
            if !self.schedule.random.percent(self.faults.duplicates) {
                return;
            }
        }
    }

    /// The connections of both ends after all events.
    fn outcome(&self, seed: u64) -> Option<ConnectionId> {
        let [a, b] = &self.machines;
        assert_eq!((a.current(), b.current()), (None, None), "seed {seed}");
        assert_eq!(a.established(), b.established(), "seed {seed}");
        for side in 0..2 {
            for (id, pc) in &self.pcs[side] {
                assert_eq!(pc.open, a.established() == Some(*id), "seed {seed}: leaked {id}");
            }
        }
        a.established()
    }
}

#[test]
fn both_ends_agree_on_one_connection_whatever_is_delayed_reordered_and_repeated() {
    for seed in 0..10_000 {
        let max_delay = Duration::from_millis(2000);
        let faults =
            Faults { max_delay, duplicates: 30, loss: 0, hang_ups: false, outages: false, failures: 0 };
        let mut world = World::new(seed, faults);
        // One dials, or both at once, or both some time after each other, or again.
        for side in 0..2 {
            let dials =
                if side == 0 { 1 + world.schedule.random.below(2) } else { world.schedule.random.below(3) };
            for _ in 0..dials {
                world.schedule.soon(3000, Event::Dial(side));
            }
        }
        world.run();
        assert!(world.outcome(seed).is_some(), "seed {seed}: no connection");
    }
}

#[test]
fn both_ends_dialing_at_the_same_instant_agree() {
    for seed in 0..2_000 {
        let max_delay = Duration::from_millis(300);
        let faults =
            Faults { max_delay, duplicates: 10, loss: 0, hang_ups: false, outages: false, failures: 0 };
        let mut world = World::new(seed, faults);
        world.schedule.at(Duration::ZERO, Event::Dial(0));
        world.schedule.at(Duration::ZERO, Event::Dial(1));
        world.run();
        assert!(world.outcome(seed).is_some(), "seed {seed}: no connection");
    }
}

#[test]
fn both_ends_agree_or_both_fail_when_messages_are_lost_and_everything_else_breaks_too() {
    let mut connected = 0;
    for seed in 0..10_000 {
        let max_delay = Duration::from_secs(30);
        let faults =
            Faults { max_delay, duplicates: 30, loss: 15, hang_ups: true, outages: true, failures: 20 };
        let mut world = World::new(seed, faults);
        for side in 0..2 {
            for _ in 0..world.schedule.random.below(4) {
                world.schedule.soon(40_000, Event::Dial(side));
            }
            if world.faults.hang_ups && world.schedule.random.percent(30) {
                world.schedule.soon(40_000, Event::HangUp(side));
            }
            if world.faults.outages && world.schedule.random.percent(50) {
                let down = world.schedule.random.delay(Duration::from_secs(40));
                let back = world.schedule.random.delay(Duration::from_secs(30));
                world.schedule.at(down, Event::Signaling(side, false));
                world.schedule.at(down + back, Event::Signaling(side, true));
            }
        }
        world.run();
        connected += u32::from(world.outcome(seed).is_some());
    }
    assert!(connected > 1000, "only {connected}: the faults prove nothing");
    assert!(connected < 9000, "{connected}: the faults are not felt");
}

#[test]
fn a_restarted_device_answers_nothing_old_and_the_next_dial_connects() {
    let mut connected = 0;
    for seed in 0..10_000 {
        let faults = Faults {
            max_delay: Duration::from_secs(5),
            duplicates: 30,
            loss: 5,
            hang_ups: false,
            outages: false,
            failures: 5,
        };
        let mut world = World::new(seed, faults);
        for side in 0..2 {
            for _ in 0..world.schedule.random.below(4) {
                world.schedule.soon(40_000, Event::Dial(side));
            }
            for _ in 0..world.schedule.random.below(3) {
                world.schedule.soon(40_000, Event::Restart(side));
            }
            for _ in 0..world.schedule.random.below(3) {
                world.schedule.soon(60_000, Event::Replay(side));
            }
        }
        world.run();
        connected += u32::from(world.outcome(seed).is_some());
        // Nothing old is under way any more, whatever each end takes for the other's instance.
        (world.faults.loss, world.faults.failures) = (0, 0);
        world.schedule.at(Duration::from_secs(10), Event::Dial(seed as usize % 2));
        world.run();
        assert!(world.outcome(seed).is_some(), "seed {seed}: the next dial does not connect");
    }
    assert!(connected > 1000, "only {connected}: the faults prove nothing");
}

#[test]
fn the_first_offer_between_two_instances_costs_one_round_trip_more_and_no_other_does() {
    let faults = Faults {
        max_delay: Duration::from_millis(10),
        duplicates: 0,
        loss: 0,
        hang_ups: false,
        outages: false,
        failures: 0,
    };
    let mut world = World::new(1, faults);
    let offers = |world: &mut World, side: usize| {
        let before = world.archive[1 - side].len();
        world.schedule.at(Duration::ZERO, Event::Dial(side));
        world.run();
        assert!(world.outcome(1).is_some());
        let sent = &world.archive[1 - side][before..];
        sent.iter().filter(|contents| matches!(contents.body, Body::Offer { .. })).count()
    };
    assert_eq!([0, 0, 1, 1].map(|side| offers(&mut world, side)), [2, 1, 1, 1]);
    world.restart(1);
    world.run();
    assert_eq!([0, 1].map(|side| offers(&mut world, side)), [2, 1]);
    world.restart(1);
    world.run();
    assert_eq!([1, 0].map(|side| offers(&mut world, side)), [2, 1]);
}
