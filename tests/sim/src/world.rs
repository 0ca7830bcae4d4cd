//! The loop: the earliest event, the device it concerns, the invariants.

use std::time::Duration;

use peers_proto::limits::MAX_CONNECTIONS;
use peers_proto::time::Instant;

use peers_proto::end_reason::EndReason;
use peers_proto::network::AppState;

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
/// A session must not be lost for want of a path if there could have been one for this long.
const PATIENCE: Duration = Duration::from_secs(40);
/// What a goodbye needs to arrive.
const TOLD: Duration = Duration::from_secs(5);
/// A device that finds no room tries again, but rarely; and one more trusted that comes later costs another its place.
const EVICTIONS_EACH: usize = 6;
/// The first device of a world that is left alone may wake up no more often.
const WAKES_AN_HOUR: u64 = 150;
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
        self.rest(settled + self.net.plan.idle)
    }

    /// Nobody does anything, and devices may sleep.
    fn rest(&mut self, end: Instant) -> Result<(), Violation> {
        let (begin, before) = (self.net.now, self.devices[0].wakes());
        self.run_until(end)?;
        let wakes = u64::from(self.devices[0].wakes() - before);
        self.tally.wakes = wakes * 3600 / (end - begin).as_secs().max(1);
        if self.tally.wakes > WAKES_AN_HOUR {
            return Err(Violation::Restless(format!("{wakes} wake-ups in {:?}", end - begin)));
        }
        Ok(())
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

    /// Whether there was no room for it. Both ends know that.
    fn is_left_out(&self, pair: &Pair) -> bool {
        pair.ends.into_iter().any(|end| {
            let [other] = pair.ends.into_iter().filter(|e| *e != end).collect::<Vec<_>>()[..] else {
                return false;
            };
            let full = self.devices[end].is_full();
            let meet = |a: usize, b: usize, age| self.devices[a].partners(age, &self.net).contains(&b);
            full && !meet(end, other, Duration::ZERO) && !meet(other, end, TOLD)
        })
    }

    /// Of too many peers the right ones were kept, and not in turns.
    fn check_choice(&self, device: usize) -> Result<(), Violation> {
        let kept = self.devices[device].partners(Duration::ZERO, &self.net);
        let wanted: Vec<_> = self.pairs.iter().filter_map(|pair| pair.other(device)).collect();
        let fail = |what: String| Err(Violation::Choice(format!("{device} {what}")));
        if wanted.len() <= MAX_CONNECTIONS {
            return Ok(());
        }
        if kept.len() != MAX_CONNECTIONS {
            return fail(format!("has {} sessions, {} want one", kept.len(), wanted.len()));
        }
        let level = |peer: &usize| self.net.plan.levels[*peer];
        let left_out = wanted.iter().filter(|peer| !kept.contains(peer)).map(level).max();
        if left_out > kept.iter().map(level).min() {
            return fail("left out a more trusted device".into());
        }
        if self.evictions[device] > EVICTIONS_EACH * (wanted.len() - kept.len()) {
            return fail(format!("gave up {} sessions for {} places", self.evictions[device], kept.len()));
        }
        Ok(())
    }

    /// No session was moved to and fro.
    fn check_moves(&self) -> Result<(), Violation> {
        let most = self.devices.iter().map(Device::moves).max().unwrap_or(0);
        if most > self.net.plan.moves {
            return Err(Violation::Restless(format!("a session got a path {most} times")));
        }
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
            Event::Check(connection, [a, b]) => {
                if let Some(pipe) = self.net.connect(connection, [a, b]) {
                    for (device, peer) in [(a, b), (b, a)] {
                        self.devices[device].handle_way(peer, connection, pipe, &mut self.net);
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

    fn act(&mut self, index: usize) -> Result<(), Violation> {
        let (_, action) = self.net.plan.actions[index];
        self.timeline.note(self.net.now, || format!("-- {action:?}"));
        self.net.act(action);
        let now = self.net.now;
        for pair in &mut self.pairs {
            let [a, b] = pair.ends;
            pair.reachable = if self.net.can_meet(a, b) { pair.reachable.or(Some(now)) } else { None };
            // Paths that were there may be gone without a word, and another one is needed now.
            if matches!(action, Action::Move(..) | Action::OneWay(..) | Action::Block(..) | Action::Jump(..))
            {
                pair.reachable = pair.reachable.map(|_| now);
            }
        }
        match action {
            Action::Jump(device, by) => self.devices[device].leap(by),
            Action::Crash(device) => {
                self.devices[device] = self.devices[device].restarted(&mut self.net);
                for pair in &mut self.pairs {
                    // It does not know that the session was closed.
                    pair.closed = pair.closed.filter(|_| !pair.ends.contains(&device));
                    for side in 0..2 {
                        pair.crashes[side] += u32::from(pair.ends[side] == device);
                    }
                }
            }
            Action::Close(device, peer) => {
                let asked = self.devices[device].asks(peer) || self.devices[peer].asks(device);
                let was_there = self.devices[device].has_session(peer) && !asked;
                if let Some(pair) = self.pairs.iter_mut().find(|pair| pair.joins(device, peer)) {
                    pair.closed = pair.closed.or(was_there.then_some(now));
                    pair.was_closed = true;
                }
                self.with(device, |device, world| device.close_session(peer, world))?;
            }
            Action::Request(device, peer) => {
                let pair = self.pairs.iter_mut().find(|pair| pair.joins(device, peer));
                pair.into_iter().for_each(|pair| pair.closed = None);
                self.with(device, |device, world| {
                    device.request(peer, world.net);
                    Ok(())
                })?;
            }
            Action::Suspend(device) => self.set_app_state(device, AppState::Suspended)?,
            Action::Resume(device) => self.set_app_state(device, AppState::Foreground)?,
            Action::Heal => {
                self.devices.iter_mut().for_each(Device::hush);
                for pair in self.pairs.iter_mut().filter(|pair| pair.was_closed) {
                    let [a, b] = pair.ends;
                    pair.closed = None;
                    self.devices[a].request(b, &mut self.net);
                }
            }
            Action::AskAgain => {
                for pair in self.pairs.iter().filter(|pair| pair.was_closed) {
                    let [a, b] = pair.ends;
                    if !self.devices[a].has_session(b) {
                        self.devices[a].request(b, &mut self.net);
                    }
                }
            }
            _ => {}
        }
        // Timers that came while a device slept are due now, and all others look at the new world.
        for device in 0..self.devices.len() {
            let told = match action {
                Action::Down(who) | Action::Up(who) | Action::Metered(who, _) => who == device,
                Action::Move(who, _) | Action::Wake(who) => who == device,
                Action::Heal => true,
                _ => false,
            };
            if told {
                self.with(device, |device, world| {
                    device.network_changed(world);
                    Ok(())
                })?;
            }
            self.devices[device].timer = None;
            self.wake(device)?;
        }
        Ok(())
    }

    /// Nothing brings a session back that an app has closed, but an app.
    fn check_closed(&self, index: usize) -> Result<(), Violation> {
        for pair in self.pairs.iter().filter(|pair| pair.ends.contains(&index)) {
            let [a, b] = pair.ends;
            let heard = pair.closed.is_some_and(|at| self.net.now >= at + TOLD);
            if heard && self.devices[a].has_session(b) && self.devices[b].has_session(a) {
                return Err(Violation::Needless(format!("{a} and {b} have a session that was closed")));
            }
        }
        Ok(())
    }

    fn set_app_state(&mut self, device: usize, state: AppState) -> Result<(), Violation> {
        self.with(device, |device, world| {
            device.set_app_state(state, world);
            Ok(())
        })
    }

    /// Every loss has a reason: the peer was killed, or lost the session itself, or no path could be had.
    fn count_losses(&mut self, index: usize) -> Result<(), Violation> {
        let now = self.net.now;
        for loss in self.devices[index].take_losses() {
            self.tally.losses += 1;
            let of = |pair: &&mut Pair| pair.ends.contains(&index) && pair.ends.contains(&loss.peer);
            let Some(pair) = self.pairs.iter_mut().find(of) else { continue };
            let side = usize::from(pair.ends[1] == index);
            let text = format!("{index} lost its session with {}", loss.peer);
            match loss.reason {
                EndReason::NoPath => {
                    pair.expiries[side] += 1;
                    if pair.reachable.is_some_and(|since| now >= since + PATIENCE) {
                        return Err(Violation::Needless(format!(
                            "{text}: there was a way since {:?}",
                            pair.reachable
                        )));
                    }
                }
                EndReason::Evicted => {
                    self.evictions[index] += 1;
                    pair.expiries[side] += 1;
                    let all = self.pairs.iter().filter(|pair| pair.ends.contains(&index)).count();
                    if all <= MAX_CONNECTIONS {
                        return Err(Violation::Needless(format!("{text}: there was room for all")));
                    }
                }
                EndReason::Closed | EndReason::ClosedByPeer => pair.expiries[side] += 1,
                EndReason::PeerRestarted => {
                    let Some(successor) = loss.successor else {
                        pair.ghosts[side] += 1;
                        continue;
                    };
                    pair.forgotten[side] += 1;
                    if self.devices[loss.peer].epoch(index) != successor {
                        pair.ghosts[side] += 1;
                    }
                    // One for each life of the peer's session that ended, and no more. A ghost takes a session, and
                    // its successor takes one back.
                    let ghosts = 2 * (pair.ghosts[0] + pair.ghosts[1]);
                    let reasons = pair.crashes[1 - side] + pair.expiries[1 - side] + ghosts;
                    if pair.forgotten[side] > reasons {
                        return Err(Violation::Needless(format!(
                            "{text}: the peer had no reason to forget it"
                        )));
                    }
                }
                EndReason::Protocol | EndReason::Overloaded | EndReason::NoRuntime => {
                    return Err(Violation::Needless(format!("{text}: {}", loss.reason)));
                }
            }
        }
        Ok(())
    }
}
