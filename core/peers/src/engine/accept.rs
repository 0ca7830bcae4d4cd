//! Connections that others begin.

use std::sync::Arc;

use peers_proto::certificate::DeviceCertificate;
use peers_proto::handshake::{Authenticated, Config, Expected, Handshake};
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::keys::DeviceKeys;
use peers_proto::session::Resume;
use peers_proto::timing::{APPROVAL_TIMEOUT, HANDSHAKE_TIMEOUT};
use peers_proto::trust::{Capability, KnownKeys, TrustLevel, allows};
use tokio::sync::oneshot;

use super::Engine;
use super::handshake::{self, Failure};
use super::trust::Admission;
use crate::event::Event;
use crate::incoming::Incoming;
use crate::random;
use crate::session::Session;
use crate::transport::Transport;

impl Engine {
    /// Runs the responder's side on a transport that somebody else dialed.
    pub(crate) async fn accept(
        self: &Arc<Self>,
        mut transport: Transport,
        connection: ConnectionId,
    ) -> Result<Option<Session>, Failure> {
        // Strangers may begin handshakes: beyond the limit each waits for its turn, until its caller has given up.
        let given_up = self.clock.now() + HANDSHAKE_TIMEOUT;
        let permit = tokio::select! {
            permit = self.handshakes.clone().acquire_owned() => permit.ok(),
            () = self.clock.sleep_until_any(Some(given_up)) => None,
        };
        let Some(_permit) = permit else {
            transport.sink.close().await;
            return Ok(None);
        };
        let handshake =
            Handshake::responder(self.handshake_config(&transport, connection), self.clock.now())?;
        self.shake_hands(transport, handshake, None).await
    }

    /// Runs the initiator's side on a transport that this device dialed when its name towards the peer was `name`.
    pub(crate) async fn initiate(
        self: &Arc<Self>,
        transport: Transport,
        connection: ConnectionId,
        peer: &DeviceCertificate,
        name: u64,
    ) -> Result<Option<Session>, Failure> {
        let device = peer.device_id();
        // Keys it was seen with before outweigh what a relay says now.
        let keys = self.trust.known_keys(device).unwrap_or_else(|| KnownKeys::of(peer));
        let expected = Expected { device, keys: Some(keys) };
        let config = self.handshake_config(&transport, connection);
        let handshake = Handshake::initiator(config, expected, self.clock.now())?;
        self.shake_hands(transport, handshake, Some(name)).await
    }

    /// Either side; `dialed_as`: this side's name when it dialed, if it did.
    async fn shake_hands(
        self: &Arc<Self>,
        mut transport: Transport,
        handshake: Handshake,
        dialed_as: Option<u64>,
    ) -> Result<Option<Session>, Failure> {
        let mut said = None;
        let decide = async |peer: Authenticated| {
            said = self.admit(peer, dialed_as).await;
            said.map(|resume: Resume| resume.encode().to_vec())
        };
        let established = handshake::run(&mut transport, handshake, &self.clock, decide).await?;
        let Some(said) = said else { return Ok(None) };
        Ok(self.establish(established, said, dialed_as.is_some(), transport))
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
            clock: self.clock.unix_now(),
            entropy: random::array(),
        }
    }

    /// Decides about a peer that has proven who it is: what READY tells it, or nothing.
    async fn admit(self: &Arc<Self>, peer: Authenticated, dialed_as: Option<u64>) -> Option<Resume> {
        let device = peer.certificate.device_id();
        let admitted = match self.trust.admit(&peer.certificate) {
            Admission::Admit => true,
            Admission::Refuse => false,
            Admission::Ask => self.ask(&peer).await,
        };
        if !admitted {
            return None;
        }
        if let Err(e) = self.trust.pin(&peer.certificate) {
            tracing::warn!(%device, error = %e, "refused");
            return None;
        }
        Some(self.registry.resume(device, dialed_as))
    }

    async fn ask(self: &Arc<Self>, peer: &Authenticated) -> bool {
        let (decision, decided) = oneshot::channel();
        let device = peer.certificate.device_id();
        self.events.send(Event::Incoming(Incoming {
            device,
            user: peer.certificate.user_id(),
            name: peer.certificate.name().to_owned(),
            sas: peer.sas.to_string(),
            decision,
        }));
        let accepted = matches!(tokio::time::timeout(APPROVAL_TIMEOUT, decided).await, Ok(Ok(true)));
        if accepted {
            self.believe(device, TrustLevel::Trusted);
        }
        accepted
    }

    /// A person's decision: remembered, and this device becomes visible to the other.
    pub(crate) fn believe(self: &Arc<Self>, device: DeviceId, level: TrustLevel) {
        self.trust.set(device, level);
        if let Some(session) = self.registry.get(device) {
            session.shared.inspect(|s| s.machine.set_ungrouped(allows(level, Capability::Messages)));
        }
        self.deliver_pending(device);
        let trusted = self.trust.trusted();
        for relay in self.relays.iter() {
            relay.watch_devices(trusted.clone());
        }
    }
}
