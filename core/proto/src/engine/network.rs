//! The consequences of a change of network, of its cost, and of the app's state, in their order.
//!
//! | change | in this order |
//! |---|---|
//! | another network | names and relays begin again, sessions doubt their paths, dials begin again |
//! | the same network | relays and sessions ask whether their connections live, waiting dials begin |
//! | no network | sessions doubt their paths |
//! | suspended | nothing is dialed, sessions ask their peers to wait and close their paths, then relays close |
//! | back | sessions wait as usual, names and relays begin again, dials begin |
//! | foreground | this process is the one that relays reach of those with its identity |

use std::collections::BTreeSet;

use super::{Engine, Output, SessionId};
use crate::network::{AppState, NetworkChange, NetworkSnapshot};
use crate::path::Status;
use crate::time::{Instant, earliest};
use crate::timing::GOODBYE;

/// An instruction to every session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionInput {
    /// The network may have changed; `another` if it has.
    NetworkChanged {
        /// No path can be relied on before it answers.
        another: bool,
    },
    /// The app's state.
    AppState(AppState),
    /// True if data costs money.
    Metered(bool),
    /// The device is suspended: ask the peer to wait, and close every path.
    Suspend,
    /// The device is back.
    Resume,
}

/// An instruction to every relay connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayInput {
    /// The network may have changed; `another` if it has.
    NetworkChanged {
        /// Addresses are others now.
        another: bool,
    },
    /// Its state is in doubt until it answers.
    Doubt,
    /// Close it, without a timer.
    Suspend,
    /// Connect again.
    Resume,
    /// Take the registration from other processes with the same identity.
    Reclaim,
}

/// A suspension that waits for the last frames of sessions.
#[derive(Debug)]
pub(super) struct Suspension {
    waiting: BTreeSet<SessionId>,
    until: Instant,
}

impl Engine {
    /// The operating system describes the network, as often as it has something to say.
    pub fn handle_network(&mut self, snapshot: NetworkSnapshot, now: Instant) {
        self.monitor.handle(snapshot, now);
        self.follow_cost(now);
        self.follow_dialer();
    }

    /// The app came to the foreground, left it, or is about to be stopped by the system. [`Output::Suspended`] follows when a
    /// suspension has closed its sessions' paths, or after [`GOODBYE`] at the latest.
    pub fn set_app_state(&mut self, app: AppState, now: Instant) {
        let before = std::mem::replace(&mut self.app, app);
        self.outputs.push_back(Output::Sessions(SessionInput::AppState(app)));
        match (before, app) {
            (AppState::Suspended, AppState::Suspended) => {}
            (_, AppState::Suspended) => self.suspend(now),
            (AppState::Suspended, _) => self.resume(now),
            (AppState::Background, AppState::Foreground) => {
                self.follow_network(NetworkChange::Same, now);
                self.dialer.set_app_state(app, now);
            }
            (_, _) => self.dialer.set_app_state(app, now),
        }
        if before != app && app == AppState::Foreground {
            self.outputs.push_back(Output::Relays(RelayInput::Reclaim));
        }
        self.follow_dialer();
    }

    /// The app's state.
    pub fn app_state(&self) -> AppState {
        self.app
    }

    /// True if data costs money.
    pub fn is_metered(&self) -> bool {
        self.metered
    }

    pub(super) fn network_timeout(&self) -> Option<Instant> {
        let suspension = self.suspension.as_ref().map(|suspension| suspension.until);
        earliest(self.monitor.poll_timeout(), suspension)
    }

    pub(super) fn handle_network_timeout(&mut self, now: Instant) {
        let change = self.monitor.poll_output(now);
        self.follow_cost(now);
        if let Some(change) = change.filter(|_| self.app != AppState::Suspended) {
            self.outputs.push_back(Output::Network(change));
            self.follow_network(change, now);
        }
        self.end_suspension(|suspension| suspension.until <= now);
    }

    /// A session has closed its paths, or has ended.
    pub(super) fn follow_suspension(&mut self, session: SessionId, status: Status) {
        let Some(suspension) = &mut self.suspension else { return };
        if matches!(status, Status::Away | Status::Down) {
            suspension.waiting.remove(&session);
        }
        self.end_suspension(|suspension| suspension.waiting.is_empty());
    }

    fn suspend(&mut self, now: Instant) {
        self.dialer.set_app_state(AppState::Suspended, now);
        let waiting = self
            .peers
            .live()
            .filter(|(_, live)| live.usable || live.joining)
            .map(|(_, live)| live.id)
            .collect();
        self.suspension = Some(Suspension { waiting, until: now + GOODBYE });
        self.outputs.push_back(Output::Sessions(SessionInput::Suspend));
        self.end_suspension(|suspension| suspension.waiting.is_empty());
    }

    /// Sessions send their last frames through relays: those go last.
    fn end_suspension(&mut self, is_done: impl FnOnce(&Suspension) -> bool) {
        if self.suspension.take_if(|suspension| is_done(suspension)).is_some() {
            self.outputs.push_back(Output::Relays(RelayInput::Suspend));
            self.outputs.push_back(Output::Suspended);
        }
    }

    fn resume(&mut self, now: Instant) {
        // A suspension that still waits is over: it must not close the relays of an app that is back.
        if self.suspension.take().is_some() {
            self.outputs.push_back(Output::Suspended);
        }
        self.outputs.push_back(Output::Sessions(SessionInput::Resume));
        self.outputs.push_back(Output::RenewNames);
        self.outputs.push_back(Output::Relays(RelayInput::Resume));
        self.outputs.push_back(Output::Relays(RelayInput::Doubt));
        self.stop_all_dials();
        self.dialer.set_app_state(self.app, now);
    }

    fn follow_network(&mut self, change: NetworkChange, now: Instant) {
        let another = change != NetworkChange::Same;
        if change != NetworkChange::Lost {
            if another {
                self.stop_all_dials();
                self.outputs.push_back(Output::RenewNames);
            }
            self.outputs.push_back(Output::Relays(RelayInput::NetworkChanged { another }));
        }
        self.outputs.push_back(Output::Relays(RelayInput::Doubt));
        self.outputs.push_back(Output::Sessions(SessionInput::NetworkChanged { another }));
        if change != NetworkChange::Lost {
            self.dialer.handle_network_change(another, now);
        }
    }

    fn follow_cost(&mut self, now: Instant) {
        let metered = self.monitor.is_metered();
        if std::mem::replace(&mut self.metered, metered) != metered {
            self.outputs.push_back(Output::Sessions(SessionInput::Metered(metered)));
            self.dialer.set_metered(metered, now);
            self.outputs.push_back(Output::Metered(metered));
        }
    }
}
