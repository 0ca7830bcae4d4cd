//! The actions of the plan.

use peers_proto::network::AppState;
use peers_proto::trust::TrustLevel;

use super::World;
use crate::device::Device;
use crate::failure::Violation;
use crate::plan::Action;

impl World {
    pub(super) fn act(&mut self, index: usize) -> Result<(), Violation> {
        let (_, action) = self.net.plan.actions[index];
        self.timeline.note(self.net.now, || format!("-- {action:?}"));
        self.net.act(action);
        self.follow_reach(action);
        self.net.report_presence();
        match action {
            Action::Jump(device, by) => self.devices[device].leap(by),
            Action::Crash(device) => self.crash(device),
            Action::Close(device, peer) => self.close(device, peer)?,
            Action::Request(device, peer) => {
                let pair = self.pairs.iter_mut().find(|pair| pair.joins(device, peer));
                pair.into_iter().for_each(|pair| pair.closed = None);
                self.with(device, |device, world| {
                    device.request(peer, world.net);
                    Ok(())
                })?;
            }
            Action::Trust(device, peer, level) => self.set_trust(device, peer, level)?,
            Action::Suspend(device) => self.set_app_state(device, AppState::Suspended)?,
            Action::Resume(device) => self.set_app_state(device, AppState::Foreground)?,
            Action::Heal => {
                self.devices.iter_mut().for_each(Device::hush);
                self.ask_for_closed();
            }
            Action::AskAgain => self.ask_for_closed(),
            _ => {}
        }
        self.wake_all(action)
    }

    /// Notes the time since which two devices could have met.
    fn follow_reach(&mut self, action: Action) {
        let now = self.net.now;
        for pair in &mut self.pairs {
            let [a, b] = pair.ends;
            pair.reachable = if self.net.can_meet(a, b) { pair.reachable.or(Some(now)) } else { None };
            // Paths that were there, or those that are made next, may be gone without a word, and another one is needed now.
            if matches!(
                action,
                Action::Move(..)
                    | Action::OneWay(..)
                    | Action::LoseReady(..)
                    | Action::Block(..)
                    | Action::Jump(..)
            ) {
                pair.reachable = pair.reachable.map(|_| now);
            }
        }
    }

    fn crash(&mut self, device: usize) {
        self.devices[device] = self.devices[device].restarted(&mut self.net);
        self.net.forget_presence(device);
        self.net.report_presence();
        for pair in &mut self.pairs {
            // It does not know that the session was closed.
            pair.closed = pair.closed.filter(|_| !pair.ends.contains(&device));
            for side in 0..2 {
                pair.crashes[side] += u32::from(pair.ends[side] == device);
            }
        }
    }

    fn close(&mut self, device: usize, peer: usize) -> Result<(), Violation> {
        // An app that waits for a session gets the next one.
        let asked = self.devices[device].asks(peer) || self.devices[peer].asks(device);
        let was_there = self.devices[device].has_session(peer) && !asked;
        let now = self.net.now;
        if let Some(pair) = self.pairs.iter_mut().find(|pair| pair.joins(device, peer)) {
            pair.closed = pair.closed.or(was_there.then_some(now));
            pair.was_closed = true;
        }
        self.with(device, |device, world| device.close_session(peer, world))
    }

    fn set_trust(&mut self, device: usize, peer: usize, level: TrustLevel) -> Result<(), Violation> {
        let now = self.net.now;
        if let Some(pair) = self.pairs.iter_mut().find(|pair| pair.joins(device, peer)) {
            let refused = level <= TrustLevel::Untrusted;
            pair.closed = refused.then_some(now);
            pair.was_closed = true;
        }
        self.with(device, |device, world| {
            device.set_trust(peer, level, world);
            Ok(())
        })
    }

    /// Apps whose session was closed ask for another one.
    fn ask_for_closed(&mut self) {
        for pair in self.pairs.iter_mut().filter(|pair| pair.was_closed) {
            let [a, b] = pair.ends;
            pair.closed = None;
            self.devices[a].request(b, &mut self.net);
        }
    }

    /// Timers that came while a device slept are due now, and all others look at the new world.
    fn wake_all(&mut self, action: Action) -> Result<(), Violation> {
        for device in 0..self.devices.len() {
            let changed = match action {
                Action::Down(who) | Action::Up(who) | Action::Metered(who, _) => who == device,
                Action::Move(who, _) | Action::Wake(who) => who == device,
                Action::Heal => true,
                _ => false,
            };
            if changed {
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

    fn set_app_state(&mut self, device: usize, state: AppState) -> Result<(), Violation> {
        self.with(device, |device, world| {
            device.set_app_state(state, world);
            Ok(())
        })
    }
}
