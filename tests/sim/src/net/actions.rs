//! Changes of the network.

use super::{MAPPING_LIFE, Net};
use crate::plan::{Action, Place};
use crate::queue::Event;

impl Net {
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
            Action::LoseReady(from, to) => drop(self.lost_readies.insert((from, to))),
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
            Action::Close(..) | Action::Request(..) | Action::AskAgain | Action::Trust(..) => {}
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
                self.lost_readies.clear();
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

    /// Packets that were held back move again where the network carries again.
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
