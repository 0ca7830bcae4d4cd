//! Connections before they are paths: a task runs the handshake of each, by the steps that the machine decides on.

use std::sync::Arc;

use peers_proto::certificate::DeviceCertificate;
use peers_proto::engine::{Applicant, Engine, HandshakeId, QuestionId};
use peers_proto::handshake::{Authenticated, Config, Expected, Handshake};
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::keys::DeviceKeys;
use peers_proto::signaling::knock;
use peers_proto::signaling::{Body, Contents};
use peers_proto::time::Instant;
use peers_proto::timing::APPROVAL_TIMEOUT;
use peers_proto::trust::TrustLevel;
use tokio::sync::{mpsc, oneshot};

use super::EngineDriver;
use crate::event::{Event, EventSender};
use crate::handshake::{self, Failure, HandshakeCommand, HandshakeReports};
use crate::incoming::Incoming;
use crate::listen::HalfOpenPlace;
use crate::random;
use crate::session::Session;
use crate::transport::Transport;

/// Commands that may wait for a handshake: it gets each kind once at most.
const COMMANDS: usize = 4;

/// A handshake of the machine's, until it is a path or has failed.
struct HandshakeGuard {
    id: HandshakeId,
    commands: mpsc::Receiver<HandshakeCommand>,
    engine: Arc<EngineDriver>,
}

impl HandshakeGuard {
    fn new(engine: &Arc<EngineDriver>, input: impl FnOnce(&mut Engine, Instant) -> HandshakeId) -> Self {
        let (sender, commands) = mpsc::channel(COMMANDS);
        let id = engine.begin_handshake(sender, input);
        Self { id, commands, engine: engine.clone() }
    }
}

impl Drop for HandshakeGuard {
    fn drop(&mut self) {
        self.engine.end_handshake(self.id);
    }
}

/// The role of this device in a handshake.
enum HandshakeRole {
    Initiator,
    Responder(Option<HalfOpenPlace>),
}

/// The digits of a handshake that the app shows, until the peer has answered or the handshake has failed.
struct Comparison<'a> {
    events: &'a EventSender,
    device: DeviceId,
}

impl Drop for Comparison<'_> {
    fn drop(&mut self) {
        self.events.send(Event::Compared(self.device));
    }
}

impl EngineDriver {
    /// Runs the responder's side on a transport that another device dialed. `from`: the device that the transport's carrier
    /// names. `place`: given back when the peer has proven who it is.
    pub(crate) async fn accept(
        self: &Arc<Self>,
        mut transport: Transport,
        connection: ConnectionId,
        from: Option<DeviceId>,
        place: Option<HalfOpenPlace>,
    ) -> Result<Option<Session>, Failure> {
        let level = from.map_or(TrustLevel::Unknown, |device| self.level_of(device));
        let bounded = place.is_some();
        let mut pending = HandshakeGuard::new(self, |control, now| match bounded {
            true => control.handle_accepted(),
            false => control.handle_incoming(level, now),
        });
        if pending.commands.recv().await != Some(HandshakeCommand::Begin) {
            transport.sink.close().await;
            return Ok(None);
        }
        let config = self.handshake_config(&transport, connection);
        let handshake = Handshake::responder(config, self.clock.now())?;
        self.shake_hands(transport, handshake, pending, HandshakeRole::Responder(place)).await
    }

    /// Runs the initiator's side on a transport that this device dialed in this epoch.
    pub(crate) async fn initiate(
        self: &Arc<Self>,
        transport: Transport,
        connection: ConnectionId,
        device: DeviceId,
        epoch: u64,
    ) -> Result<Option<Session>, Failure> {
        let pending = HandshakeGuard::new(self, |control, _| control.handle_outgoing(epoch));
        let expected = Expected { device, keys: self.keys_of(device) };
        let config = self.handshake_config(&transport, connection);
        let handshake = Handshake::initiator(config, expected, self.clock.now())?;
        self.shake_hands(transport, handshake, pending, HandshakeRole::Initiator).await
    }

    async fn shake_hands(
        self: &Arc<Self>,
        mut transport: Transport,
        handshake: Handshake,
        mut pending: HandshakeGuard,
        role: HandshakeRole,
    ) -> Result<Option<Session>, Failure> {
        let (id, mut comparison) = (pending.id, None);
        let reports = HandshakeReports {
            commands: &mut pending.commands,
            authenticated: async |peer: Authenticated| {
                let (device, user) = (peer.certificate.device_id(), peer.certificate.user_id());
                if let HandshakeRole::Responder(place) = role {
                    drop(place);
                    let ready = self.control(|control, now| control.handle_arrival(device, now));
                    if ready.is_some() {
                        self.clock.sleep_until_any(ready).await;
                    }
                }
                let applicant = Applicant { certificate: peer.certificate, sas: Some(peer.sas) };
                self.control_judged(device, Some(user), |control, level, now| {
                    control.handle_authenticated(id, applicant, level, now);
                });
            },
            peer_asks: |peer: Authenticated| {
                let device = peer.certificate.device_id();
                self.events.send(Event::Comparing { device, sas: peer.sas.to_string() });
                comparison = Some(Comparison { events: &self.events, device });
            },
        };
        let established = handshake::run(&mut transport, handshake, &self.clock, reports).await?;
        drop(comparison);
        Ok(self.establish(id, established, transport))
    }

    fn handshake_config(&self, transport: &Transport, connection_id: ConnectionId) -> Config {
        Config {
            keys: DeviceKeys::from_seed(*self.keys.seed()),
            certificate: self.certificate.clone(),
            kind: transport.route.kind,
            connection_id,
            binding: transport.binding.clone(),
            require_sealing: self.settings.require_sealing,
            pairing: false,
            entropy: random::array(),
        }
    }

    /// Asks the app about a device, and gives its answer to the machine. The machine refuses the device itself after
    /// [`APPROVAL_TIMEOUT`].
    pub(super) fn ask(self: &Arc<Self>, question: QuestionId, applicant: &Applicant) {
        let certificate = &applicant.certificate;
        let (decision, decided) = oneshot::channel();
        self.events.send(Event::Incoming(Incoming {
            device: certificate.device_id(),
            user: certificate.user_id(),
            name: certificate.name().to_owned(),
            sas: applicant.sas.map(|sas| sas.to_string()),
            decision,
        }));
        let engine = self.clone();
        self.spawn(async move {
            let decided = engine.clock.timeout(APPROVAL_TIMEOUT, decided).await;
            let accepted = matches!(decided, Some(Ok(true)));
            engine.control(|control, now| control.handle_answer(question, accepted, now));
        });
    }

    // ---- knocks ----

    /// Asks a device that does not let this one in.
    pub(super) fn knock(&self, device: DeviceId) {
        let connection = ConnectionId::from_bytes(random::array());
        let knock = knock::make(&self.keys, &self.certificate, device, connection);
        self.relays.knock(device, connection, &knock);
    }

    /// A device without consent asks to be let in.
    pub(crate) fn handle_knock(self: &Arc<Self>, from: DeviceId, connection: ConnectionId, knock: Vec<u8>) {
        if !self.control(|control, now| control.admits_knock(now)) {
            tracing::info!(device = %from, "knock dropped");
            return;
        }
        let engine = self.clone();
        self.spawn(async move {
            let handled = engine.open_knock(from, connection, &knock).and_then(|certificate| {
                let user = Some(certificate.user_id());
                let handled = engine.control_judged(from, user, |control, level, now| {
                    control.handle_knock(&certificate, connection, level, now)
                });
                handled.map_err(|e| e.to_string())
            });
            if let Err(error) = handled {
                tracing::info!(device = %from, %error, "knock refused");
            }
        });
    }

    fn open_knock(
        &self,
        from: DeviceId,
        connection: ConnectionId,
        bytes: &[u8],
    ) -> Result<DeviceCertificate, String> {
        let certificate = knock::open(bytes, self.device_id(), connection).map_err(|e| e.to_string())?;
        if certificate.device_id() != from {
            return Err("the relay put another label on it".into());
        }
        Ok(certificate)
    }

    /// Answers a knock, by which the device learns the keys of this one.
    pub(super) fn welcome(self: &Arc<Self>, device: DeviceId, connection_id: ConnectionId) {
        let engine = self.clone();
        self.spawn(async move {
            let welcome = Contents { connection_id, attempt: 0, fingerprint: None, body: Body::Welcome };
            if let Err(error) = engine.send_envelope(device, &welcome) {
                tracing::info!(%device, %error, "welcome lost");
            }
        });
    }
}
