//! Connections that others begin.

use std::sync::Arc;

use peers_proto::certificate::DeviceCertificate;
use peers_proto::end_reason::EndReason;
use peers_proto::handshake::{Authenticated, Config, Expected, Handshake, Sas};
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::keys::DeviceKeys;
use peers_proto::session::Resume;
use peers_proto::timing::{APPROVAL_TIMEOUT, GOODBYE, HANDSHAKE_TIMEOUT};
use peers_proto::trust::TrustLevel;
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};

use super::Engine;
use super::handshake::{self, Asking, Failure};
use super::trust::Admission;
use crate::event::Event;
use crate::incoming::Incoming;
use crate::random;
use crate::session::Session;
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

    /// Runs the initiator's side on a transport that this device dialed in this epoch.
    pub(crate) async fn initiate(
        self: &Arc<Self>,
        transport: Transport,
        connection: ConnectionId,
        device: DeviceId,
        epoch: u64,
    ) -> Result<Option<Session>, Failure> {
        let expected = Expected { device, keys: self.keys_of(device) };
        let config = self.handshake_config(&transport, connection);
        let handshake = Handshake::initiator(config, expected, self.clock.now())?;
        self.shake_hands(transport, handshake, Some(epoch), None).await
    }

    /// Either side; `dialed_as`: this side's epoch when it dialed, if it did; `place`: kept until the peer has proven an
    /// identity, since what follows waits for the app.
    async fn shake_hands(
        self: &Arc<Self>,
        mut transport: Transport,
        handshake: Handshake,
        dialed_as: Option<u64>,
        mut place: Option<OwnedSemaphorePermit>,
    ) -> Result<Option<Session>, Failure> {
        let (mut said, mut caller, asks) = (None, None, Arc::<Notify>::default());
        let there = |peer: Authenticated| {
            let device = peer.certificate.device_id();
            self.events.send(Event::Comparing { device, sas: peer.sas.to_string() });
        };
        let asking = Asking { here: asks.clone(), there };
        let decide = async |peer: Authenticated| {
            place.take();
            caller = Some(peer.certificate.device_id());
            said = self.admit(peer, dialed_as, &asks).await;
            said.map(|resume: Resume| resume.encode().to_vec())
        };
        let outcome = handshake::run(&mut transport, handshake, &self.clock, asking, decide).await;
        if said.is_none()
            && let Some(device) = caller
            && self.trust.compares(device)
        {
            self.withdraw(device);
        }
        let established = outcome?;
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
    async fn admit(
        self: &Arc<Self>,
        peer: Authenticated,
        dialed_as: Option<u64>,
        asks: &Notify,
    ) -> Option<Resume> {
        let device = peer.certificate.device_id();
        if dialed_as.is_none() {
            let ready = self.admissions.handle_arrival(device, self.clock.now());
            if ready.is_some() {
                self.clock.sleep_until_any(ready).await;
            }
        }
        let admitted = match self.trust.level(device, Some(peer.certificate.user_id())).into() {
            Admission::Refuse => false,
            Admission::Ask => self.compare(&peer, asks).await,
            Admission::Admit => {
                self.let_in(device);
                true
            }
        };
        if !admitted {
            return None;
        }
        if let Err(e) = self.trust.pin(&peer.certificate) {
            tracing::warn!(%device, error = %e, "handshake refused");
            return None;
        }
        Some(self.controlled.ready(device, dialed_as))
    }

    /// A device is let in without a question: from now on it may reach this one.
    pub(crate) fn let_in(&self, device: DeviceId) {
        if self.trust.handle_admitted(device) {
            self.publish_visible();
        }
    }

    /// People compare the digits of a handshake at both ends, and the one here decides for good.
    async fn compare(self: &Arc<Self>, peer: &Authenticated, asks: &Notify) -> bool {
        let device = peer.certificate.device_id();
        let accepted = self.ask(&peer.certificate, Some((peer.sas, asks))).await;
        if accepted {
            self.set_trust(device, TrustLevel::Trusted);
        }
        accepted
    }

    /// A device that came to be compared was refused: it may not reach this one any more. Without consent the relay delivers
    /// nothing, so what was said last has a moment to arrive.
    fn withdraw(self: &Arc<Self>, device: DeviceId) {
        let engine = self.clone();
        self.spawn(async move {
            engine.clock.sleep(GOODBYE).await;
            if engine.trust.handle_refused(device) {
                engine.publish_visible();
            }
        });
    }

    /// The app's word about a device: about a handshake with these digits, of which the peer is told, or about a knock.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        peer: &DeviceCertificate,
        digits: Option<(Sas, &Notify)>,
    ) -> bool {
        let device = peer.device_id();
        let Some(_question) = self.admissions.question(device) else { return false };
        let (decision, decided) = oneshot::channel();
        let sas = digits.map(|(sas, asks)| {
            asks.notify_one();
            sas.to_string()
        });
        self.events.send(Event::Incoming(Incoming {
            device,
            user: peer.user_id(),
            name: peer.name().to_owned(),
            sas,
            decision,
        }));
        matches!(self.clock.timeout(APPROVAL_TIMEOUT, decided).await, Some(Ok(true)))
    }

    /// A decision of the app: the session there is follows at once, and what was held for it goes on.
    pub(crate) fn set_trust(self: &Arc<Self>, device: DeviceId, level: TrustLevel) {
        self.trust.set(device, level);
        // A session that is being established sees the new level, or is in the registry by now.
        if let Some(session) = self.controlled.session(device) {
            if level <= TrustLevel::Untrusted {
                session.shared.end(EndReason::Closed.into());
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
