//! The driver of WebRTC negotiations: one task performs their outputs, in their order.
//!
//! ```text
//!  EngineDriver ── Output::Negotiation ── run_negotiations ─┬─> a task per envelope: open it
//!    ^                                                ├─> a task per peer connection (rtc_task)
//!    └────────── results of the tasks ────────────────┴─> relays: seal and send
//! ```
//!
//! Envelopes are opened and sealed without the lock of the engine.

use std::collections::HashMap;
use std::sync::Arc;

use peers_proto::engine::negotiations::{NegotiationOutput, Negotiations};
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::signaling::{Contents, IceServer};
use peers_proto::time::Instant;
use tokio::sync::mpsc;

use super::EngineDriver;
use crate::random;
use crate::relay_client::RelayClient;
use crate::rtc_task::{RtcCommand, RtcTask};
use crate::transport::webrtc::{Names, WebRtcConfig};

/// The negotiations' way to the task that performs them.
pub(crate) struct NegotiationDriver {
    /// The machine bounds the outputs.
    outputs: mpsc::UnboundedSender<NegotiationOutput>,
    names: Names,
}

/// The peer connections of attempts. Two peers may use the same connection id.
type RtcTasks = HashMap<(DeviceId, ConnectionId), RtcTask>;

impl NegotiationDriver {
    /// The driver, and the outputs for [`EngineDriver::run_negotiations`].
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<NegotiationOutput>) {
        let (outputs, performed) = mpsc::unbounded_channel();
        (Self { outputs, names: Names::default() }, performed)
    }

    pub(super) fn perform(&self, output: NegotiationOutput) {
        // An error: the client has ended.
        let _ = self.outputs.send(output);
    }
}

impl EngineDriver {
    /// Takes sealed envelopes that a relay delivered.
    pub(crate) fn handle_envelopes(
        self: &Arc<Self>,
        from: DeviceId,
        connection: ConnectionId,
        sealed: Vec<String>,
    ) {
        self.control_judged(from, None, |control, level, now| {
            control.handle_envelopes(from, connection, sealed, level, now);
        });
    }

    /// The level of a device may have changed: its held envelopes are delivered or dropped.
    pub(super) fn release_held(self: &Arc<Self>, device: DeviceId) {
        let engine = self.clone();
        // A task: the app's rule may be asked.
        self.spawn(async move {
            engine.control_judged(device, None, |control, level, now| control.release(device, level, now));
        });
    }

    /// Performs the outputs of the negotiations. Never returns.
    pub(crate) async fn run_negotiations(
        self: Arc<Self>,
        mut outputs: mpsc::UnboundedReceiver<NegotiationOutput>,
    ) {
        let mut rtc = RtcTasks::new();
        while let Some(output) = outputs.recv().await {
            self.perform_negotiation(output, &mut rtc);
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
                self.report_connection(|machine, now| {
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
            // The machine's own.
            NegotiationOutput::Concluded { .. } => {}
        }
    }

    /// Reports what a peer connection does.
    pub(crate) fn report_connection(self: &Arc<Self>, report: impl FnOnce(&mut Negotiations, Instant)) {
        self.control(|control, now| control.report_connection(now, report));
    }

    fn open_envelope(self: &Arc<Self>, from: DeviceId, connection: ConnectionId, sealed: &str) {
        let opened = Contents::open(sealed, &self.keys, from, connection).map_err(|e| e.to_string());
        if let Err(error) = self.control(|control, now| control.handle_opened(from, opened, now)) {
            tracing::info!(device = %from, %error, "envelope refused");
        }
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

    pub(crate) fn webrtc_config(&self) -> WebRtcConfig {
        WebRtcConfig {
            ice_servers: self.ice_servers().collect(),
            names: self.negotiations.names.clone(),
            relay_only: self.settings.relay_only,
            include_loopback: self.settings.loopback,
            ..WebRtcConfig::default()
        }
    }
}
