//! The loop: the earliest event, the device it concerns, the invariants.

mod actions;
mod checks;

use std::time::Duration;

use peers_proto::dial::Presence;
use peers_proto::time::Instant;

use crate::device::{Device, Surroundings};
use crate::failure::{Failure, Violation};
use crate::net::Net;
use crate::plan::{Action, Plan};
use crate::queue::Event;
use crate::random::Rng;
use crate::timeline::Timeline;

/// Time in which a healed world settles: a dead path is noticed (25 s), dialed again (8 s and a handshake), and the frames that
/// waited are sent. Calls end by their deadlines.
const SETTLE: Duration = Duration::from_secs(90);
/// More events than any scenario needs.
const MAX_EVENTS: u64 = 2_000_000;

/// What a run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) events: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) losses: u64,
    /// The first device's wake-ups in an hour in which it was left alone.
    pub(crate) wakes: u64,
}

pub(crate) struct World {
    net: Net,
    devices: Vec<Device>,
    pub(crate) timeline: Timeline,
    pairs: Vec<Pair>,
    tally: Tally,
    /// How often each device gave up a session for want of room.
    evictions: Vec<usize>,
}

/// What the world remembers about two devices that want to talk.
#[derive(Debug)]
struct Pair {
    ends: [usize; 2],
    /// Since when they could have met at any time.
    reachable: Option<Instant>,
    /// How often each was killed, and how often each lost a session by itself.
    crashes: [u32; 2],
    expiries: [u32; 2],
    /// How often each was told that the other has forgotten.
    forgotten: [u32; 2],
    /// When an app closed its session, unless an app has asked for another one since.
    closed: Option<Instant>,
    /// An app has closed a session of theirs: no device looks for another one by itself.
    was_closed: bool,
    /// How often the last words of an instance that was killed in the middle of a handshake came after its successor.
    ghosts: [u32; 2],
}

impl Pair {
    fn joins(&self, a: usize, b: usize) -> bool {
        self.ends == [a, b] || self.ends == [b, a]
    }

    fn other(&self, device: usize) -> Option<usize> {
        let [a, b] = self.ends;
        if a == device { Some(b) } else { (b == device).then_some(a) }
    }
}

impl World {
    pub(crate) fn new(plan: Plan, rng: Rng, timeline: Timeline) -> Self {
        let mut net = Net::new(plan, rng);
        let places = net.plan.places.len();
        let mut peers = vec![Vec::new(); places];
        for (a, b) in net.plan.pairs.clone() {
            peers[a].push((b, true));
            peers[b].push((a, net.plan.both_dial));
        }
        let devices =
            peers.iter().enumerate().map(|(index, peers)| Device::new(index, peers, &mut net)).collect();
        let pair = |(a, b): &(usize, usize)| Pair {
            ends: [*a, *b],
            reachable: Some(Instant::ZERO),
            crashes: [0; 2],
            expiries: [0; 2],
            forgotten: [0; 2],
            closed: None,
            was_closed: false,
            ghosts: [0; 2],
        };
        let pairs = net.plan.pairs.iter().map(pair).collect();
        let evictions = vec![0; places];
        Self { net, devices, timeline, pairs, tally: Tally::default(), evictions }
    }

    pub(crate) fn run(&mut self) -> Result<Tally, Failure> {
        self.simulate().map_err(|what| Failure { at: self.net.now, what })?;
        for device in &self.devices {
            let (sent, received) = device.objects();
            self.tally.sent += sent;
            self.tally.received += received;
        }
        Ok(self.tally)
    }

    fn simulate(&mut self) -> Result<(), Violation> {
        let heal = self.net.plan.heal;
        // From then on nothing breaks any more: what would, breaks just before.
        self.net.plan.actions.iter_mut().for_each(|(at, _)| *at = (*at).min(heal));
        self.net.plan.actions.extend([(heal, Action::Heal), (heal + SETTLE / 2, Action::AskAgain)]);
        for (index, (at, _)) in self.net.plan.actions.clone().into_iter().enumerate() {
            self.net.queue.plan(Instant::ZERO + at, Event::Act(index));
        }
        self.net.report_presence();
        for device in 0..self.devices.len() {
            self.reschedule(device);
        }
        let settled = Instant::ZERO + heal + SETTLE;
        self.run_until(settled)?;
        self.pairs.iter().filter(|pair| !self.is_left_out(pair)).try_for_each(|pair| {
            let [a, b] = pair.ends;
            self.devices[a].settled_with(&self.devices[b])
        })?;
        (0..self.devices.len()).try_for_each(|device| self.check_choice(device))?;
        self.check_moves()?;
        self.check_negotiations()?;
        self.rest(settled + self.net.plan.idle)
    }

    fn run_until(&mut self, end: Instant) -> Result<(), Violation> {
        while let Some((at, event)) = self.net.queue.next(end) {
            self.net.now = at;
            self.tally.events += 1;
            if self.tally.events > MAX_EVENTS {
                return Err(Violation::Storm);
            }
            self.handle(event)?;
        }
        self.net.now = end;
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Act(index) => self.act(index),
            Event::Timer(device) => {
                if self.devices[device].timer != Some(self.net.now) {
                    return Ok(()); // another one has taken its place
                }
                self.devices[device].timer = None;
                self.wake(device)
            }
            Event::Arrival(pipe, to) => {
                let ends = self.net.pipes[pipe].ends;
                let was_full = !self.net.pipes[pipe].is_writable(1 - to);
                let Some(packet) = self.net.arrival(pipe, to) else { return Ok(()) };
                self.with(ends[to], |device, world| device.handle_packet(pipe, packet, world))?;
                if was_full {
                    self.with(ends[1 - to], |device, _| {
                        device.handle_room(pipe);
                        Ok(())
                    })?;
                }
                Ok(())
            }
            Event::Envelope(envelope, relay) => match self.net.recipient(envelope, relay) {
                Some(to) => self.with(to, |device, world| {
                    device.handle_envelope(envelope, world);
                    Ok(())
                }),
                None => Ok(()),
            },
            Event::Presence((relay, device, peer)) if self.net.is_awake(device) => {
                let Some(presence) = self.net.presence_of((relay, device, peer)) else { return Ok(()) };
                if presence == Presence::Offline {
                    // It may be another process when it is back.
                    let pair = self.pairs.iter_mut().find(|pair| pair.joins(device, peer));
                    pair.into_iter().for_each(|pair| pair.closed = None);
                }
                self.with(device, |device, world| {
                    device.handle_presence(relay, peer, presence, world);
                    Ok(())
                })?;
                self.net.report_presence();
                Ok(())
            }
            // It is reported when the device is awake.
            Event::Presence(view) => {
                self.net.presence.delay(view);
                Ok(())
            }
            Event::Knock(from, to) if self.net.can_meet(from, to) => self.with(to, |device, world| {
                device.handle_knock(from, world);
                Ok(())
            }),
            Event::Knock(..) => Ok(()),
            Event::Check(connection, [a, b]) => {
                if let Some(pipe) = self.net.connect(connection, [a, b]) {
                    for (device, peer) in [(a, b), (b, a)] {
                        self.devices[device].handle_joined(peer, connection, pipe, &mut self.net);
                        self.reschedule(device);
                    }
                }
                Ok(())
            }
            Event::Broken(pipe, side) => {
                let device = self.net.pipes[pipe].ends[side];
                self.with(device, |device, world| {
                    device.handle_broken(pipe, world);
                    Ok(())
                })
            }
        }
    }

    fn wake(&mut self, device: usize) -> Result<(), Violation> {
        self.with(device, |device, world| device.handle_timeout(world))
    }

    /// Lets a device act, unless it sleeps; then counts what it lost and asks when it wants to be woken.
    fn with(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut Device, &mut Surroundings<'_>) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        if !self.net.is_awake(index) {
            return Ok(());
        }
        self.devices[index].woken(self.net.now);
        let mut world = Surroundings { net: &mut self.net, timeline: &mut self.timeline };
        act(&mut self.devices[index], &mut world)?;
        self.devices[index].settle(&mut world)?;
        if std::mem::take(&mut self.net.registrations_changed) {
            self.net.report_presence();
        }
        self.count_losses(index)?;
        self.check_closed(index)?;
        self.reschedule(index);
        Ok(())
    }

    fn reschedule(&mut self, index: usize) {
        let device = &mut self.devices[index];
        let Some(at) = device.poll_timeout(&self.net) else { return };
        let at = at.max(self.net.now);
        if device.timer != Some(at) {
            device.timer = Some(at);
            self.net.queue.plan(at, Event::Timer(index));
        }
    }
}
