//! WebRTC negotiations: one task per peer around the sans-IO machine.
//!
//! ```text
//!  dial ─────────┐                      ┌─> Attempt::offer / answer, apply, add candidate
//!  envelopes ────┼─> Negotiation ─ Action ┼─> seal, send through the relays
//!  attempts ─────┘                      └─> close
//! ```

mod held;
mod negotiator;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::trust::TrustLevel;
use tokio::sync::{mpsc, oneshot};

use super::Engine;
use crate::error::Error;
use crate::transport::webrtc::{Names, WebRtcConfig};
use held::Held;
use negotiator::Negotiator;

/// Inputs that may wait for one peer's task. More than an attempt's envelopes and candidates is a flood, and dropped:
/// the attempt then ends by its deadline.
const INPUTS: usize = 128;

/// The negotiations of a client, by peer.
#[derive(Default)]
pub(crate) struct Negotiations {
    /// Those with something under way, or something lately: devices with trust alone have one.
    tasks: Mutex<HashMap<DeviceId, mpsc::Sender<Input>>>,
    held: Mutex<Held>,
    names: Names,
}

/// Something for the negotiation with one peer.
enum Input {
    Dial(oneshot::Sender<Result<(), Error>>),
    /// A sealed envelope in base64, and the attempt that the relay says it is of.
    Envelope(ConnectionId, String),
    /// The session is being closed, if `true` by this device.
    SessionCloses(bool),
}

impl Engine {
    /// Connects to a device by WebRTC: an attempt of this side, or of the other if both begin at once.
    pub(crate) async fn negotiate(self: &Arc<Self>, peer: DeviceId) -> Result<(), Error> {
        let (tell, outcome) = oneshot::channel();
        self.negotiation(peer, Input::Dial(tell));
        outcome.await.map_err(|_| Error::Unreachable("the negotiation has ended".into()))?
    }

    /// Takes sealed envelopes that a relay brought. The device that the relay names pays for opening them: its task does
    /// it. Addresses are for devices that are trusted (S135), so the envelopes of others wait, sealed, for a decision.
    pub(crate) fn handle_envelopes(
        self: &Arc<Self>,
        from: DeviceId,
        connection: ConnectionId,
        sealed: Vec<String>,
    ) {
        let level = self.level_of(from);
        if level >= TrustLevel::NewDevice {
            sealed.into_iter().for_each(|text| self.negotiation(from, Input::Envelope(connection, text)));
        } else if level > TrustLevel::Untrusted {
            let mut held = lock(&self.negotiations.held);
            sealed.into_iter().for_each(|text| held.push(from, connection, text));
        }
    }

    /// The level of a device may have changed: what it sent meanwhile counts, or is dropped.
    pub(crate) fn deliver_held(self: &Arc<Self>, device: DeviceId) {
        let held = lock(&self.negotiations.held).take(device);
        for (connection, text) in held {
            self.handle_envelopes(device, connection, vec![text]);
        }
    }

    /// The session with a device is being closed, if `own` by this one. Called before the peer hears of it: what it sends
    /// afterwards is for another session.
    pub(crate) fn session_closes(&self, device: DeviceId, own: bool) {
        if let Some(task) = lock(&self.negotiations.tasks).get(&device) {
            let _ = task.try_send(Input::SessionCloses(own));
        }
    }

    /// Gives the task of this peer something to do. A full queue is a flood, and drops it.
    fn negotiation(self: &Arc<Self>, peer: DeviceId, input: Input) {
        let mut tasks = lock(&self.negotiations.tasks);
        let task = tasks.entry(peer).or_insert_with(|| {
            let (tx, inputs) = mpsc::channel(INPUTS);
            self.spawn(Negotiator::new(self.clone(), peer, inputs).run());
            tx
        });
        let _ = task.try_send(input);
    }

    /// Forgets an idle task, unless something has arrived for it. Returns whether it ends.
    fn end_negotiation(&self, peer: DeviceId, inputs: &mpsc::Receiver<Input>) -> bool {
        let mut tasks = lock(&self.negotiations.tasks);
        let ends = inputs.is_empty();
        if ends {
            tasks.remove(&peer);
        }
        ends
    }

    /// Looks the names of STUN and TURN servers up, so that attempts need not wait.
    pub(crate) fn prepare_names(&self) {
        self.negotiations.names.prepare(&self.webrtc_config().ice_servers);
    }

    /// The same in another network, where they may have other addresses.
    pub(crate) fn prepare_names_anew(&self) {
        self.negotiations.names.forget();
        self.prepare_names();
    }

    fn webrtc_config(&self) -> WebRtcConfig {
        let named = self.settings.ice_servers.iter().cloned().chain(self.relays.ice_servers());
        WebRtcConfig {
            ice_servers: named.collect(),
            names: self.negotiations.names.clone(),
            relay_only: self.settings.relay_only,
            include_loopback: self.settings.loopback,
            ..WebRtcConfig::default()
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
