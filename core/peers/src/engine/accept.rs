//! Connections that others begin.

use std::sync::Arc;

use peers_proto::certificate::DeviceCertificate;
use peers_proto::handshake::{Authenticated, Config, Expected, Handshake};
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::keys::DeviceKeys;
use peers_proto::session::Resume;
use peers_proto::timing::{APPROVAL_TIMEOUT, HANDSHAKE_TIMEOUT};
use peers_proto::trust::TrustLevel;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Engine;
use super::handshake::{self, Failure};
use super::trust::Admission;
use crate::event::Event;
use crate::incoming::Incoming;
use crate::random;
use crate::session::{Ended, Session};
use crate::transport::Transport;

impl Engine {
    /// Runs the responder's side on a transport that another device dialed. `from`: the device that what carries the
    /// transport names.
    pub(crate) async fn accept(
        self: &Arc<Self>,
        mut transport: Transport,
        connection: ConnectionId,
        from: Option<DeviceId>,
    ) -> Result<Option<Session>, Failure> {
        let known = from.is_some_and(|device| Admission::Admit == self.level_of(device).into());
        // Beyond the places each waits for its turn, until its caller has given up.
        let given_up = self.clock.now() + HANDSHAKE_TIMEOUT;
        let place = tokio::select! {
            place = self.admissions.place(known) => place,
            () = self.clock.sleep_until_any(Some(given_up)) => None,
        };
        if place.is_none() {
            transport.sink.close().await;
            return Ok(None);
        }
        let handshake =
            Handshake::responder(self.handshake_config(&transport, connection), self.clock.now())?;
        self.shake_hands(transport, handshake, None, place).await
    }

    /// Runs the initiator's side on a transport that this device dialed when its name towards the peer was `name`.
    pub(crate) async fn initiate(
        self: &Arc<Self>,
        transport: Transport,
        connection: ConnectionId,
        device: DeviceId,
        name: u64,
    ) -> Result<Option<Session>, Failure> {
        let expected = Expected { device, keys: self.keys_of(device) };
        let config = self.handshake_config(&transport, connection);
        let handshake = Handshake::initiator(config, expected, self.clock.now())?;
        self.shake_hands(transport, handshake, Some(name), None).await
    }

    /// Either side; `dialed_as`: this side's name when it dialed, if it did; `place`: kept until the peer has proven an
    /// identity, since what follows waits for the app.
    async fn shake_hands(
        self: &Arc<Self>,
        mut transport: Transport,
        handshake: Handshake,
        dialed_as: Option<u64>,
        mut place: Option<OwnedSemaphorePermit>,
    ) -> Result<Option<Session>, Failure> {
        let mut said = None;
        let decide = async |peer: Authenticated| {
            place.take();
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
            entropy: random::array(),
        }
    }

    /// Decides about a peer that has proven its identity: READY's contents, or nothing.
    async fn admit(self: &Arc<Self>, peer: Authenticated, dialed_as: Option<u64>) -> Option<Resume> {
        let device = peer.certificate.device_id();
        if dialed_as.is_none() {
            let ready = self.admissions.handle_arrival(device, self.clock.now());
            if ready.is_some() {
                self.clock.sleep_until_any(ready).await;
            }
        }
        if !self.admits(&peer.certificate, Some(peer.sas.to_string())).await {
            return None;
        }
        if let Err(e) = self.trust.pin(&peer.certificate) {
            tracing::warn!(%device, error = %e, "handshake refused");
            return None;
        }
        Some(self.registry.resume(device, dialed_as))
    }

    /// Whether the owner of this certificate may reach this device, by its level or by a decision of the app. `sas`: the
    /// digits of the handshake, if there is one.
    pub(crate) async fn admits(self: &Arc<Self>, peer: &DeviceCertificate, sas: Option<String>) -> bool {
        let device = peer.device_id();
        match self.trust.level(device, Some(peer.user_id())).into() {
            Admission::Refuse => false,
            Admission::Ask => self.ask(peer, sas).await,
            Admission::Admit => {
                if self.trust.handle_admitted(device) {
                    self.publish_visible();
                }
                true
            }
        }
    }

    async fn ask(self: &Arc<Self>, peer: &DeviceCertificate, sas: Option<String>) -> bool {
        let device = peer.device_id();
        let Some(_question) = self.admissions.question(device) else { return false };
        let (decision, decided) = oneshot::channel();
        self.events.send(Event::Incoming(Incoming {
            device,
            user: peer.user_id(),
            name: peer.name().to_owned(),
            sas,
            decision,
        }));
        let accepted = matches!(self.clock.timeout(APPROVAL_TIMEOUT, decided).await, Some(Ok(true)));
        if accepted {
            self.set_trust(device, TrustLevel::Trusted);
        }
        accepted
    }

    /// A decision of the app: the session there is follows at once, and what was held for it goes on.
    pub(crate) fn set_trust(self: &Arc<Self>, device: DeviceId, level: TrustLevel) {
        self.trust.set(device, level);
        // A session that is being established sees the new level, or is in the registry by now.
        if let Some(session) = self.registry.get(device) {
            if level <= TrustLevel::Untrusted {
                session.shared.end(Ended::Local);
            }
            self.apply_level(&session.shared, level);
        }
        self.deliver_held(device);
        self.publish_visible();
    }

    /// Tells the relays the devices that may reach this one.
    pub(crate) fn publish_visible(&self) {
        let visible = self.trust.visible();
        self.relays.iter().for_each(|relay| relay.watch_devices(visible.clone()));
    }
}
