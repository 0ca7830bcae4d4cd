//! Changes of network and of the app's state: the machine decides what follows, and this module performs it.

use std::sync::Arc;

use peers_proto::engine::{RelayInput, SessionInput};
use peers_proto::network::{AppState, NetworkSnapshot};
use peers_proto::timing::{AWAY, GOODBYE};
use tokio::sync::oneshot;

use super::EngineDriver;
use crate::relay_client::{RelayClient, RelayState};
use crate::session::Shared;

impl EngineDriver {
    /// A fact about the network. What follows from it happens when the facts have settled.
    pub(crate) fn network_changed(self: &Arc<Self>, snapshot: NetworkSnapshot) {
        self.control(|control, now| control.handle_network(snapshot, now));
    }

    /// The app came to the foreground, left it, or is about to be stopped. Returns when that is done: a suspension closes
    /// sessions' paths and relays, within [`GOODBYE`] each.
    pub(crate) async fn set_app_state(self: &Arc<Self>, state: AppState) {
        // Timers of the operating system may have stood still.
        self.clock.resumed();
        let suspended = self.change_app_state(state);
        self.publish_state();
        if let Some(suspended) = suspended {
            // An error: the client has ended.
            let _ = suspended.await;
        }
    }

    pub(super) fn instruct(&self, shared: &Shared, input: SessionInput) {
        let now = self.clock.now();
        match input {
            SessionInput::NetworkChanged { another } => {
                shared.inspect(|s| s.multipath.network_changed(another, now));
            }
            SessionInput::AppState(state) => shared.inspect(|s| s.multipath.set_app_state(state, now)),
            SessionInput::Metered(metered) => self.set_cost(shared, metered),
            SessionInput::Suspend => shared.suspend(AWAY.max(self.settings.resume_window)),
            SessionInput::Resume => shared.resume(),
        }
    }

    pub(super) fn set_cost(&self, shared: &Shared, metered: bool) {
        shared.set_metered(metered, metered && !self.settings.bulk_on_metered);
    }

    pub(super) fn instruct_relays(&self, input: RelayInput) {
        match input {
            RelayInput::NetworkChanged { another } => {
                self.relays.iter().for_each(|relay| relay.network_changed(another));
            }
            RelayInput::Doubt => {
                self.relays.doubt();
                self.publish_state();
            }
            RelayInput::Suspend => self.relays.iter().for_each(RelayClient::suspend),
            RelayInput::Resume => self.relays.iter().for_each(RelayClient::resume),
            RelayInput::Reclaim => self.relays.iter().for_each(RelayClient::reclaim),
        }
    }

    /// Ends the wait of those who asked for a suspension, once the relays are closed.
    pub(super) fn finish_suspension(self: &Arc<Self>, waiting: Vec<oneshot::Sender<()>>) {
        if waiting.is_empty() {
            return;
        }
        let (engine, mut app) = (self.clone(), self.app.subscribe());
        // A task of its own: an app that waits no longer is suspended all the same.
        self.spawn(async move {
            let closed = async {
                let mut listening = engine.listening.at.subscribe();
                let _ = engine.clock.timeout(GOODBYE, listening.wait_for(Option::is_none)).await;
                for relay in engine.relays.iter() {
                    let closed = |state: &RelayState| {
                        !matches!(state, RelayState::Registered | RelayState::Connecting)
                    };
                    let _ = engine.clock.timeout(GOODBYE, relay.state().wait_for(closed)).await;
                }
            };
            tokio::select! {
                () = closed => {}
                // The sender is in `engine`.
                _ = app.wait_for(|state| *state != AppState::Suspended) => {}
            }
            for done in waiting {
                let _ = done.send(());
            }
        });
    }
}
