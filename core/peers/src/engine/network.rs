//! What the app and the operating system tell: changes of network, and whether a person looks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use peers_proto::network::{AppState, Monitor, NetworkChange, NetworkSnapshot};
use peers_proto::path::Status;
use peers_proto::timing::{AWAY, GOODBYE};
use tokio::sync::{Notify, oneshot, watch};

use super::Engine;
use crate::event::Event;
use crate::relay_client::{RelayClient, RelayState};
use crate::session::{Session, Shared};

/// What is known of the device's surroundings.
pub(crate) struct Surroundings {
    monitor: Mutex<Monitor>,
    told: Notify,
    metered: AtomicBool,
    app: watch::Sender<AppState>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            monitor: Mutex::default(),
            told: Notify::new(),
            metered: AtomicBool::new(false),
            app: watch::Sender::default(),
        }
    }
}

impl Surroundings {
    /// Whether a person looks.
    pub(crate) fn app(&self) -> AppState {
        *self.app.borrow()
    }

    /// Whether data costs money.
    pub(crate) fn is_metered(&self) -> bool {
        self.metered.load(Ordering::Relaxed)
    }

    fn monitor<R>(&self, f: impl FnOnce(&mut Monitor) -> R) -> R {
        f(&mut self.monitor.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Engine {
    /// A fact about the network. What follows from it happens when the facts have settled.
    pub(crate) fn network_changed(&self, snapshot: NetworkSnapshot) {
        let now = self.clock.now();
        self.surroundings.monitor(|monitor| monitor.handle(snapshot, now));
        self.surroundings.told.notify_one();
    }

    /// Waits for facts to settle and acts on them. Never returns.
    pub(crate) async fn watch_network(self: Arc<Self>) {
        loop {
            self.follow_cost();
            let due = self.surroundings.monitor(|monitor| monitor.poll_timeout());
            tokio::select! {
                () = self.clock.sleep_until_any(due) => {}
                () = self.surroundings.told.notified() => continue,
            }
            let now = self.clock.now();
            if let Some(change) = self.surroundings.monitor(|monitor| monitor.poll_output(now))
                && self.surroundings.app() != AppState::Suspended
            {
                tracing::info!(?change, "the network changed");
                self.follow_network(change);
            }
        }
    }

    /// What data costs may have changed.
    fn follow_cost(&self) {
        let metered = self.surroundings.monitor(|monitor| monitor.is_metered());
        if self.surroundings.metered.swap(metered, Ordering::Relaxed) == metered {
            return;
        }
        tracing::info!(metered, "network cost changed");
        for session in self.registry.all() {
            self.apply_cost(&session.shared);
        }
        self.decide(|dialer, now| dialer.set_metered(metered, now));
        self.events.send(Event::Metered(metered));
    }

    /// Lets a session go by what data costs.
    pub(crate) fn apply_cost(&self, shared: &Shared) {
        let metered = self.surroundings.is_metered();
        shared.set_metered(metered, metered && !self.settings.bulk_on_metered);
    }

    fn follow_network(self: &Arc<Self>, change: NetworkChange) {
        let another = change != NetworkChange::Same;
        if change != NetworkChange::Lost {
            if another {
                self.dials.forget();
                self.prepare_names_anew();
            }
            self.relays.iter().for_each(|relay| relay.network_changed(another));
        }
        self.ask_again();
        let now = self.clock.now();
        for session in self.registry.all() {
            session.shared.inspect(|s| s.paths.network_changed(another, now));
        }
        if change != NetworkChange::Lost {
            self.decide(|dialer, now| dialer.handle_network_change(another, now));
        }
    }

    /// The app came to the front, went away from it, or is about to be stopped. Returns when that is done: suspending says
    /// goodbye to peers and relays, within [`GOODBYE`] each.
    pub(crate) async fn set_app_state(self: &Arc<Self>, state: AppState) {
        let before = self.surroundings.app.send_replace(state);
        // Timers of the operating system may have stood still.
        self.clock.resumed();
        let now = self.clock.now();
        for session in self.registry.all() {
            session.shared.inspect(|s| s.paths.set_app_state(state, now));
        }
        match (before, state) {
            (AppState::Suspended, AppState::Suspended) => {}
            (_, AppState::Suspended) => {
                self.decide(|dialer, now| dialer.set_app_state(state, now));
                self.suspend().await;
            }
            (AppState::Suspended, _) => {
                self.resume();
                self.decide(|dialer, now| dialer.set_app_state(state, now));
            }
            (_, _) => {
                if before == AppState::Background && state == AppState::Foreground {
                    self.follow_network(NetworkChange::Same);
                }
                self.decide(|dialer, now| dialer.set_app_state(state, now));
            }
        }
        if before != state && state == AppState::Foreground {
            // A person looks at this process: of those with the same identity it is the one to be reached.
            self.relays.iter().for_each(RelayClient::reclaim);
        }
    }

    async fn suspend(self: &Arc<Self>) {
        self.publish_state();
        let sessions = self.registry.all();
        for session in &sessions {
            session.shared.go_away(AWAY.max(self.settings.resume_window));
        }
        let (engine, (done, over)) = (self.clone(), oneshot::channel());
        // Not in the caller's task: an app that waits no longer is suspended all the same.
        self.spawn(async move {
            engine.say_goodbyes(&sessions).await;
            let _ = done.send(());
        });
        // An error: the client is over.
        let _ = over.await;
    }

    async fn say_goodbyes(&self, sessions: &[Session]) {
        let goodbyes = async {
            for session in sessions {
                // Ends too when the session does.
                let _ = session.watch_status().wait_for(|s| matches!(s, Status::Away | Status::Down)).await;
            }
        };
        let mut app = self.surroundings.app.subscribe();
        tokio::select! {
            _ = self.clock.timeout(GOODBYE, goodbyes) => {}
            // The sender is in `self`.
            _ = app.wait_for(|state| *state != AppState::Suspended) => return,
        }
        self.relays.iter().for_each(RelayClient::suspend);
        // The app may have come back in between, and its relays were resumed before they were suspended.
        if self.surroundings.app() != AppState::Suspended {
            return self.relays.iter().for_each(RelayClient::resume);
        }
        for relay in self.relays.iter() {
            let asleep =
                |state: &RelayState| !matches!(state, RelayState::Registered | RelayState::Connecting);
            let _ = self.clock.timeout(GOODBYE, relay.state().wait_for(asleep)).await;
        }
    }

    fn resume(&self) {
        self.registry.all().iter().for_each(|session| session.shared.come_back());
        self.dials.forget();
        self.prepare_names_anew();
        self.relays.iter().for_each(RelayClient::resume);
        self.ask_again();
    }

    /// What was known of the relays is in doubt until one of them answers.
    fn ask_again(&self) {
        self.relays.doubt();
        self.publish_state();
    }
}
