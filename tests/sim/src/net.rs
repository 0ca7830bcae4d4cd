//! The network between the devices: pipes, and what they run through.

mod actions;

use std::collections::BTreeSet;
use std::time::Duration;

use peers_proto::network::{Medium, NetworkSnapshot};
use peers_proto::time::Instant;
use peers_proto::transport_kind::TransportKind;

use crate::envelopes::Envelope;
use crate::peer_connection::PeerConnections;
use crate::pipe::{Packet, Pipe, PipeId, Profile, Route};
use crate::plan::{Fault, Place, Plan};
use crate::presence::Reported;
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
    pub(crate) presence: Reported,
    /// A device has registered or left since presence was reported.
    pub(crate) registrations_changed: bool,
    attachments: Vec<Attachment>,
    relays: Vec<Relay>,
    turn_up: bool,
    blocked: BTreeSet<(usize, usize)>,
    /// Pipes that are deaf towards this end.
    deaf: BTreeSet<(PipeId, usize)>,
    /// Senders and recipients of READYs that are to be lost.
    lost_readies: BTreeSet<(usize, usize)>,
    /// Pipes that lose what this end sends: READY and what follows it.
    cut: BTreeSet<(PipeId, usize)>,
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
            presence: Reported::default(),
            registrations_changed: false,
            attachments: plan.places.iter().map(attach).collect(),
            relays: (0..plan.relays).map(|_| Relay { up: true, run: 0 }).collect(),
            turn_up: plan.turn,
            blocked: BTreeSet::new(),
            deaf: BTreeSet::new(),
            lost_readies: BTreeSet::new(),
            cut: BTreeSet::new(),
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
        self.registrations_changed = true;
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
        if matches!(packet, Packet::Ready(_)) {
            self.lose_ready(pipe, side);
        }
        self.deliver_late(pipe, side, packet);
    }

    /// Cuts the pipe if a READY of this end is to be lost. The other end waits for it in vain, or learns soon that the pipe is
    /// broken.
    fn lose_ready(&mut self, pipe: PipeId, side: usize) {
        let ends = self.pipes[pipe].ends;
        if self.lost_readies.remove(&(ends[side], ends[1 - side])) {
            self.cut.insert((pipe, side));
            if self.rng.chance(50) {
                let delay = self.pipes[pipe].profile.delay * 2 + self.rng.millis(0..500);
                self.queue.plan(self.now + delay, Event::Broken(pipe, 1 - side));
            }
        }
    }

    fn deliver_late(&mut self, pipe: PipeId, side: usize, packet: Packet) {
        if self.cut.contains(&(pipe, side)) {
            return;
        }
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

    /// READYs between two devices that were lost.
    pub(crate) fn readies_lost(&self, ends: [usize; 2]) -> u32 {
        let between =
            |(pipe, _): &&(PipeId, usize)| self.pipes[*pipe].ends.iter().all(|end| ends.contains(end));
        self.cut.iter().filter(between).count() as u32
    }

    /// Packets that a device has sent and its peer has not received are lost.
    pub(crate) fn discard(&mut self, pipe: PipeId, device: usize) {
        let side = self.pipes[pipe].side_of(device);
        while self.pipes[pipe].deliver(1 - side).is_some() {}
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
}
