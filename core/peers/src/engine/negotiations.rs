//! The driver of the WebRTC negotiations: one task performs the outputs of [`Negotiations`].
//!
//! ```text
//!  dial, envelopes, sessions ──> Negotiations ── run_negotiations ─┬─> a task per envelope: open it
//!            ^                       ^                             ├─> a task per peer connection (rtc_task)
//!            └── outcome             └── results of the tasks ─────┴─> relays: seal and send
//! ```
//!
//! The lock around the machine is held for an input or an output, never while an envelope is opened or sealed. No other lock is
//! taken under it.

mod rtc_task;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peers_proto::engine::DialId;
use peers_proto::engine::negotiations::{
    NegotiationConfig, NegotiationError, NegotiationOutput, Negotiations,
};
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::signaling::{Contents, IceServer};
use peers_proto::time::Instant;
use tokio::sync::{Notify, oneshot};

use super::Engine;
use crate::error::Error;
use crate::random;
use crate::relay_client::RelayClient;
use crate::transport::webrtc::{Names, WebRtcConfig};
use rtc_task::{RtcCommand, RtcTask};

/// The negotiations of a client, with the dials that wait for them.
pub(crate) struct NegotiationDriver {
    driven: Mutex<Driven>,
    /// Wakes the task that performs outputs.
    changed: Notify,
    names: Names,
}

struct Driven {
    machine: Negotiations,
    dials: HashMap<DialId, oneshot::Sender<Result<(), NegotiationError>>>,
}

/// The peer connections of attempts. Two peers may use the same connection id.
type RtcTasks = HashMap<(DeviceId, ConnectionId), RtcTask>;

impl NegotiationDriver {
    pub(crate) fn new(config: NegotiationConfig) -> Self {
        let machine = Negotiations::new(config, random::array());
        Self {
            driven: Mutex::new(Driven { machine, dials: HashMap::new() }),
            changed: Notify::new(),
            names: Names::default(),
        }
    }

    fn dial(&self, peer: DeviceId, id: DialId, epoch: u64, now: Instant) -> PendingDial<'_> {
        let (tell, outcome) = oneshot::channel();
        let mut driven = self.lock();
        driven.dials.insert(id, tell);
        driven.machine.dial(peer, id, epoch, now);
        drop(driven);
        self.changed.notify_one();
        PendingDial { driver: self, peer, id, outcome }
    }

    fn conclude(&self, dials: &[DialId], outcome: &Result<(), NegotiationError>) {
        let mut driven = self.lock();
        for tell in dials.iter().filter_map(|dial| driven.dials.remove(dial)) {
            let _ = tell.send(outcome.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Driven> {
        self.driven.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A dial without an outcome. Dropping it cancels the dial.
struct PendingDial<'a> {
    driver: &'a NegotiationDriver,
    peer: DeviceId,
    id: DialId,
    outcome: oneshot::Receiver<Result<(), NegotiationError>>,
}

impl Drop for PendingDial<'_> {
    fn drop(&mut self) {
        let mut driven = self.driver.lock();
        if driven.dials.remove(&self.id).is_some() {
            driven.machine.cancel_dial(self.peer, self.id);
        }
    }
}

impl Engine {
    /// Connects to a device by WebRTC, by an attempt of either side. `epoch`: our session epoch when the dial started.
    pub(crate) async fn negotiate(&self, peer: DeviceId, dial: DialId, epoch: u64) -> Result<(), Error> {
        let mut dial = self.negotiations.dial(peer, dial, epoch, self.clock.now());
        match (&mut dial.outcome).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(NegotiationError::Denied)) => Err(Error::Denied),
            Ok(Err(error)) => Err(Error::Unreachable(error.to_string())),
            Err(_) => Err(self.closed()),
        }
    }

    /// Takes sealed envelopes that a relay delivered.
    pub(crate) fn handle_envelopes(&self, from: DeviceId, connection: ConnectionId, sealed: Vec<String>) {
        let level = self.level_of(from);
        self.with_negotiations(|machine, now| {
            for text in sealed {
                machine.handle_sealed(from, connection, text, level, now);
            }
        });
    }

    /// The level of a device may have changed: its held envelopes are delivered or dropped.
    pub(super) fn release_held(self: &Arc<Self>, device: DeviceId) {
        let engine = self.clone();
        // A task: the app's rule may be asked.
        self.spawn(async move {
            let level = engine.level_of(device);
            engine.with_negotiations(|machine, now| machine.release(device, level, now));
        });
    }

    /// The session with a device is being closed, by this device if `own`. To be called before the peer learns of it.
    pub(crate) fn session_closes(&self, device: DeviceId, own: bool) {
        self.with_negotiations(|machine, now| machine.session_closes(device, own, now));
    }

    /// Gives an input to the machine. Its outputs are performed soon.
    fn with_negotiations(&self, input: impl FnOnce(&mut Negotiations, Instant)) {
        let now = self.clock.now();
        input(&mut self.negotiations.lock().machine, now);
        self.negotiations.changed.notify_one();
    }

    /// Performs the outputs of the negotiations. Never returns.
    pub(crate) async fn run_negotiations(self: Arc<Self>) {
        let driver = &self.negotiations;
        let next = || driver.lock().machine.poll_output();
        let mut rtc = RtcTasks::new();
        loop {
            while let Some(output) = next() {
                self.perform_negotiation(output, &mut rtc);
            }
            let deadline = driver.lock().machine.poll_timeout();
            tokio::select! {
                () = driver.changed.notified() => {}
                () = self.clock.sleep_until_any(deadline) => {
                    self.with_negotiations(Negotiations::handle_timeout);
                }
            }
        }
    }

    fn perform_negotiation(self: &Arc<Self>, output: NegotiationOutput, rtc: &mut RtcTasks) {
        let command = |peer, connection, command| {
            if let Some(task) = rtc.get(&(peer, connection)) {
                task.send(command);
            }
        };
        match output {
            NegotiationOutput::Open { peer, connection, sealed } => {
                let engine = self.clone();
                self.spawn(async move { engine.open_envelope(peer, connection, &sealed) });
            }
            NegotiationOutput::Make { peer, connection, offer } => {
                rtc.insert((peer, connection), RtcTask::spawn(self, peer, connection, offer));
            }
            NegotiationOutput::Apply { peer, connection, answer } => {
                command(peer, connection, RtcCommand::Apply(answer));
            }
            NegotiationOutput::AddCandidates { peer, connection, candidates } => {
                command(peer, connection, RtcCommand::AddCandidates(candidates));
            }
            NegotiationOutput::Handshake { peer, connection, epoch } => {
                command(peer, connection, RtcCommand::Handshake { epoch });
            }
            NegotiationOutput::Close { peer, connection } => {
                let task = rtc.remove(&(peer, connection));
                let refusal = task.as_ref().and_then(RtcTask::turn_refusal);
                let ended = task.as_ref().and_then(RtcTask::ended);
                drop(task);
                self.with_negotiations(|machine, now| {
                    if let Some(refusal) = refusal {
                        machine.handle_turn_refusal(peer, connection, refusal.0, refusal.to_string());
                    }
                    machine.handle_closed(peer, connection, ended, now);
                });
            }
            NegotiationOutput::Send { peer, contents } => {
                if let Err(error) = self.send_envelope(peer, &contents) {
                    tracing::info!(device = %peer, %error, "envelope lost");
                }
            }
            NegotiationOutput::RenewCredentials => self.relays.iter().for_each(RelayClient::renew_ice),
            NegotiationOutput::Concluded { dials, outcome } => self.negotiations.conclude(&dials, &outcome),
        }
    }

    fn open_envelope(self: &Arc<Self>, from: DeviceId, connection: ConnectionId, sealed: &str) {
        let opened = self.checked_contents(from, connection, sealed);
        if let Err(error) = &opened {
            tracing::info!(device = %from, %error, "envelope refused");
        }
        let takes_offers = self.controlled.takes_offers(from);
        self.with_negotiations(|machine, now| machine.handle_opened(from, opened, takes_offers, now));
    }

    /// Opens an envelope and compares its certificate with the keys that the device is known with.
    fn checked_contents(
        self: &Arc<Self>,
        from: DeviceId,
        connection: ConnectionId,
        sealed: &str,
    ) -> Result<Contents, String> {
        let opened = Contents::open(sealed, &self.keys, from, connection);
        let (sender, contents) = opened.map_err(|e| e.to_string())?;
        let checked = self.control(|control, now| control.handle_certificate(&sender, now));
        checked.map_err(|e| e.to_string())?;
        Ok(contents)
    }

    /// Seals contents for a device whose keys are known, and sends them through the relays.
    pub(in crate::engine) fn send_envelope(&self, to: DeviceId, contents: &Contents) -> Result<(), String> {
        let keys = self.keys_of(to).ok_or("no keys of this device are known")?;
        let sealed = contents.seal(&self.keys, &self.certificate, &keys, random::array());
        let envelopes = vec![sealed.map_err(|e| e.to_string())?];
        self.relays.send(contents.kind(), to, contents.connection_id, envelopes).map_err(|e| e.to_string())
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

    /// True if a TURN server is known.
    pub(crate) fn knows_turn(&self) -> bool {
        self.ice_servers().any(|server| server.urls.iter().any(|url| url.starts_with("turn")))
    }

    /// STUN and TURN servers of the settings and of the relays.
    fn ice_servers(&self) -> impl Iterator<Item = IceServer> {
        self.settings.ice_servers.iter().cloned().chain(self.relays.ice_servers())
    }

    fn webrtc_config(&self) -> WebRtcConfig {
        WebRtcConfig {
            ice_servers: self.ice_servers().collect(),
            names: self.negotiations.names.clone(),
            relay_only: self.settings.relay_only,
            include_loopback: self.settings.loopback,
            ..WebRtcConfig::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: DeviceId = DeviceId::from_bytes([1; 20]);

    fn driver() -> NegotiationDriver {
        let local = DeviceId::from_bytes([2; 20]);
        NegotiationDriver::new(NegotiationConfig { local, webrtc: true, relay_only: false })
    }

    /// The dials that end with the time of an attempt, without an answer.
    fn concluded(driver: &NegotiationDriver) -> Vec<DialId> {
        let mut driven = driver.lock();
        let deadline = driven.machine.poll_timeout().unwrap();
        driven.machine.handle_timeout(deadline);
        let outputs = std::iter::from_fn(|| driven.machine.poll_output());
        let concluded = outputs.filter_map(|output| match output {
            NegotiationOutput::Concluded { dials, .. } => Some(dials),
            _ => None,
        });
        concluded.flatten().collect()
    }

    #[tokio::test]
    async fn each_dial_gets_its_outcome_and_a_dropped_one_leaves_nothing() {
        let driver = driver();
        let mut kept = driver.dial(PEER, DialId(1), 1, Instant::ZERO);
        drop(driver.dial(PEER, DialId(2), 1, Instant::ZERO));
        let dials = concluded(&driver);
        assert_eq!(dials, [kept.id], "the dropped dial is cancelled");
        let failed = Err(NegotiationError::Failed("no answer".into()));
        driver.conclude(&dials, &failed);
        assert_eq!((&mut kept.outcome).await, Ok(failed));
        drop(kept);
        assert!(driver.lock().dials.is_empty());
    }
}
