//! The network between the devices: pipes, and what they run through.

use std::collections::BTreeSet;
use std::time::Duration;

use peers_proto::network::{Medium, NetworkSnapshot};
use peers_proto::time::Instant;
use peers_proto::transport_kind::TransportKind;

use crate::envelopes::Envelope;
use crate::peer_connection::PeerConnections;
use crate::pipe::{Packet, Pipe, PipeId, Profile, Route};
use crate::plan::{Action, Fault, Place, Plan};
use crate::queue::{Event, Queue};
use crate::random::Rng;

/// A lost packet is sent again after about this long.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// NAT mappings are forgotten when a device says nothing for longer.
const MAPPING_LIFE: Duration = Duration::from_secs(60);

/// A relay, and how often it was restarted.
pub(crate) type RelayRun = (usize, u32);

#[derive(Debug)]
struct Attachment {
    place: Place,
    up: bool,
    awake: bool,
    /// Relays know it.
    registered: bool,
    /// Its app is suspended.
    suspended: bool,
    /// Data costs money.
    metered: bool,
    slept: Instant,
    /// Changes with the address.
    address: u32,
}

#[derive(Debug)]
struct Relay {
    up: bool,
    /// Changes when it is restarted.
    run: u32,
}

#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) rng: Rng,
    pub(crate) queue: Queue,
    pub(crate) plan: Plan,
    pub(crate) pipes: Vec<Pipe>,
    pub(crate) envelopes: Vec<Envelope>,
    pub(crate) connections: PeerConnections,
    attachments: Vec<Attachment>,
    relays: Vec<Relay>,
    turn_up: bool,
    blocked: BTreeSet<(usize, usize)>,
    /// Pipes that are deaf towards this end.
    deaf: BTreeSet<(PipeId, usize)>,
    /// Bytes of the largest packet that each device gets through directly. What is larger is sent again and again, and
    /// whatever follows it waits.
    widths: Vec<usize>,
}

impl Net {
    pub(crate) fn new(plan: Plan, rng: Rng) -> Self {
        let attach = |place: &Place| Attachment {
            place: *place,
            up: true,
            awake: true,
            registered: true,
            suspended: false,
            metered: false,
            slept: Instant::ZERO,
            address: 0,
        };
        Self {
            now: Instant::ZERO,
            rng,
            queue: Queue::default(),
            pipes: Vec::new(),
            envelopes: Vec::new(),
            connections: PeerConnections::default(),
            attachments: plan.places.iter().map(attach).collect(),
            relays: (0..plan.relays).map(|_| Relay { up: true, run: 0 }).collect(),
            turn_up: plan.turn,
            blocked: BTreeSet::new(),
            deaf: BTreeSet::new(),
            widths: vec![usize::MAX; plan.places.len()],
            plan,
        }
    }

    pub(crate) fn is_awake(&self, device: usize) -> bool {
        self.attachments[device].awake
    }

    /// The best direct way from one device to another now.
    pub(crate) fn direct(&self, a: usize, b: usize) -> Option<TransportKind> {
        let (at_a, at_b) = (self.attachments[a].place, self.attachments[b].place);
        if self.is_blocked(a, b) || !self.is_online(a) || !self.is_online(b) {
            return None;
        }
        if at_a.lan.is_some() && at_a.lan == at_b.lan {
            return Some(TransportKind::Lan);
        }
        let turned = self.turn_up && self.plan.turn;
        (at_a.nat.reaches(at_b.nat) || turned).then_some(TransportKind::WebRtc)
    }

    /// A relay both can use now.
    pub(crate) fn common_relay(&self, a: usize, b: usize) -> Option<usize> {
        let usable = self.is_online(a) && self.is_online(b);
        self.relays.iter().position(|relay| relay.up).filter(|_| usable)
    }

    /// Whether the two could find a usable path if they tried now.
    pub(crate) fn can_meet(&self, a: usize, b: usize) -> bool {
        let awake = [a, b].into_iter().all(|device| !self.attachments[device].suspended);
        awake && self.common_relay(a, b).is_some() && self.are_registered(a, b)
    }

    /// The network as the system describes it to a device.
    pub(crate) fn snapshot(&self, device: usize) -> NetworkSnapshot {
        let at = &self.attachments[device];
        NetworkSnapshot {
            online: at.up,
            network: Some(at.address.into()),
            medium: Medium::Wifi,
            metered: at.metered,
            validated: true,
            addresses: Vec::new(),
        }
    }

    /// A device registers at the relays, or leaves them; then what went through them is reset.
    pub(crate) fn set_registered(&mut self, device: usize, registered: bool) {
        self.attachments[device].registered = registered;
    }

    fn are_registered(&self, a: usize, b: usize) -> bool {
        self.attachments[a].registered && self.attachments[b].registered
    }

    fn is_online(&self, device: usize) -> bool {
        self.attachments[device].up && self.attachments[device].awake
    }

    fn is_blocked(&self, a: usize, b: usize) -> bool {
        self.blocked.contains(&(a.min(b), a.max(b)))
    }

    /// Relays that a device can use now.
    pub(crate) fn relays_of(&self, device: usize) -> impl Iterator<Item = RelayRun> {
        let usable = self.is_online(device) && self.attachments[device].registered;
        let up = |(relay, at): (usize, &Relay)| at.up.then_some((relay, at.run));
        self.relays.iter().enumerate().filter_map(up).filter(move |_| usable)
    }

    /// Begins a transport through a relay.
    pub(crate) fn dial(&mut self, from: usize, to: usize) -> Option<PipeId> {
        let relay = self.common_relay(from, to).filter(|_| self.are_registered(from, to))?;
        let pipe = self.join([from, to], TransportKind::Relay, Some((relay, self.relays[relay].run)));
        self.send(pipe, from, Packet::M1);
        Some(pipe)
    }

    /// A new pipe between two devices.
    pub(crate) fn join(&mut self, ends: [usize; 2], kind: TransportKind, relay: Option<RelayRun>) -> PipeId {
        let [a, b] = ends.map(|device| &self.attachments[device]);
        let route = Route {
            kind,
            relay,
            turn: kind == TransportKind::WebRtc && !a.place.nat.reaches(b.place.nat),
            addresses: [a.address, b.address],
        };
        self.pipes.push(Pipe::new(ends, route, self.plan.profile(kind)));
        self.pipes.len() - 1
    }

    pub(crate) fn is_writable(&self, pipe: PipeId, device: usize) -> bool {
        let pipe = &self.pipes[pipe];
        pipe.is_writable(pipe.side_of(device))
    }

    pub(crate) fn send(&mut self, pipe: PipeId, device: usize, packet: Packet) {
        let side = self.pipes[pipe].side_of(device);
        if self.pipes[pipe].closed[side] {
            return;
        }
        if self.plan.fault == Fault::DropFrames && matches!(packet, Packet::Frame(_)) && self.rng.chance(1) {
            return;
        }
        self.deliver_late(pipe, side, packet);
    }

    fn deliver_late(&mut self, pipe: PipeId, side: usize, packet: Packet) {
        let late = self.lateness(self.pipes[pipe].profile);
        let due = self.pipes[pipe].send(side, packet, self.now, late);
        self.queue.plan(due, Event::Arrival(pipe, 1 - side));
    }

    /// The time that jitter and retransmissions add to a path's delay.
    pub(crate) fn lateness(&mut self, profile: Profile) -> Duration {
        let mut late = Duration::from_micros(self.rng.within(0..profile.jitter.as_micros() as u64 + 1));
        let mut again = RETRANSMISSION.max(2 * profile.delay);
        while self.rng.chance(profile.loss) {
            late += again;
            again *= 2;
        }
        late
    }

    /// A device closes its end; the other learns it if the network still carries.
    pub(crate) fn close(&mut self, pipe: PipeId, device: usize) {
        let side = self.pipes[pipe].side_of(device);
        if !self.pipes[pipe].closed[side] {
            self.deliver_late(pipe, side, Packet::Close);
            self.pipes[pipe].closed[side] = true;
        }
    }

    /// An end disappears without a word.
    pub(crate) fn abandon(&mut self, pipe: PipeId, device: usize) {
        let side = self.pipes[pipe].side_of(device);
        self.pipes[pipe].closed[side] = true;
    }

    /// The packet that is due at this end, if the network brings it.
    pub(crate) fn arrival(&mut self, pipe: PipeId, to: usize) -> Option<Packet> {
        if self.carries(pipe, to) {
            let packet = self.pipes[pipe].deliver(to)?;
            (!self.pipes[pipe].closed[to]).then_some(packet)
        } else {
            self.pipes[pipe].hold(to);
            None
        }
    }

    fn carries(&self, pipe: PipeId, to: usize) -> bool {
        let Pipe { ends: [a, b], route, .. } = &self.pipes[pipe];
        let same_address =
            [a, b].into_iter().zip(route.addresses).all(|(at, was)| self.attachments[*at].address == was);
        let through = match route.relay {
            Some((relay, run)) => self.relays[relay].up && self.relays[relay].run == run,
            None => !self.is_blocked(*a, *b) && (!route.turn || self.turn_up) && self.fits(pipe, to),
        };
        let sender_up = self.attachments[if to == 0 { *b } else { *a }].up;
        let receiver = if to == 0 { *a } else { *b };
        same_address && through && sender_up && self.is_online(receiver) && !self.deaf.contains(&(pipe, to))
    }

    fn fits(&self, pipe: PipeId, to: usize) -> bool {
        let pipe = &self.pipes[pipe];
        pipe.next_len(to) <= self.widths[pipe.ends[1 - to]]
    }

    /// Changes the network. What devices themselves must do is up to the world.
    pub(crate) fn act(&mut self, action: Action) {
        match action {
            Action::Down(device) => self.attachments[device].up = false,
            Action::Up(device) => self.attachments[device].up = true,
            Action::Move(device, place) => self.relocate(device, place),
            Action::Block(a, b) => drop(self.blocked.insert((a.min(b), a.max(b)))),
            Action::Unblock(a, b) => drop(self.blocked.remove(&(a.min(b), a.max(b)))),
            Action::OneWay(from, to) => {
                for (id, pipe) in self.pipes.iter().enumerate() {
                    if pipe.ends == [from, to] || pipe.ends == [to, from] {
                        self.deaf.insert((id, pipe.side_of(to)));
                    }
                }
            }
            Action::Narrow(device, width) => self.widths[device] = width,
            Action::RelayDown(relay) => self.stop_relay(relay),
            Action::RelayUp(relay) => self.start_relay(relay),
            Action::TurnDown => self.turn_up = false,
            Action::TurnUp => self.turn_up = true,
            Action::Sleep(device) => {
                let attachment = &mut self.attachments[device];
                if attachment.awake {
                    (attachment.awake, attachment.slept) = (false, self.now);
                }
            }
            Action::Wake(device) => self.wake(device),
            Action::Jump(..) | Action::Crash(_) => {}
            Action::Close(..) | Action::Request(..) | Action::AskAgain => {}
            Action::Suspend(device) => self.attachments[device].suspended = true,
            Action::Resume(device) => self.attachments[device].suspended = false,
            Action::Metered(device, metered) => self.attachments[device].metered = metered,
            Action::Heal => {
                (0..self.attachments.len()).for_each(|device| {
                    self.wake(device);
                    self.attachments[device].up = true;
                });
                (0..self.relays.len()).for_each(|relay| self.start_relay(relay));
                self.turn_up = true;
                self.blocked.clear();
            }
        }
        self.flush();
    }

    fn relocate(&mut self, device: usize, place: Place) {
        let attachment = &mut self.attachments[device];
        attachment.place = place;
        attachment.address += 1;
    }

    fn wake(&mut self, device: usize) {
        let attachment = &mut self.attachments[device];
        if !attachment.awake && self.now - attachment.slept > MAPPING_LIFE {
            attachment.address += 1;
        }
        attachment.awake = true;
    }

    /// A relay that is stopped resets its sockets; one that loses its power says nothing until it is back.
    fn stop_relay(&mut self, relay: usize) {
        self.relays[relay].up = false;
        if self.rng.chance(50) {
            self.reset_pipes_of(relay);
        }
    }

    fn start_relay(&mut self, relay: usize) {
        if !self.relays[relay].up {
            self.reset_pipes_of(relay);
            self.relays[relay].up = true;
            self.relays[relay].run += 1;
        }
    }

    fn reset_pipes_of(&mut self, relay: usize) {
        for pipe in 0..self.pipes.len() {
            let is_its = self.pipes[pipe]
                .route
                .relay
                .is_some_and(|(of, run)| of == relay && run == self.relays[relay].run);
            for side in (0..2).filter(|_| is_its) {
                let device = self.pipes[pipe].ends[side];
                if !self.pipes[pipe].closed[side] && self.is_online(device) {
                    let delay = self.rng.millis(5..200);
                    self.queue.plan(self.now + delay, Event::Broken(pipe, side));
                }
            }
        }
    }

    /// What was held back moves again where the network carries again.
    fn flush(&mut self) {
        for pipe in 0..self.pipes.len() {
            for to in 0..2 {
                if self.pipes[pipe].closed[to] || !self.carries(pipe, to) {
                    continue;
                }
                let due = self.pipes[pipe].release(to);
                if due > 0 {
                    let delay = self.rng.millis(1..2000);
                    (0..due).for_each(|_| self.queue.plan(self.now + delay, Event::Arrival(pipe, to)));
                }
            }
        }
    }
}
