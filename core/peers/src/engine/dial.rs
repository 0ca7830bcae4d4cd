//! Connections that this device begins: the ways of the dials that the machine has decided on.

use std::sync::Arc;

use peers_proto::engine::{DialFailure, DialId, Way};
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::timing::REGISTRATION_TIMEOUT;

use super::EngineDriver;
use crate::error::Error;
use crate::handshake::Failure;
use crate::random;
use crate::session::Session;
use crate::transport::websocket::{self, DialOptions};

impl EngineDriver {
    /// The session with a device, dialing it if there is no path.
    pub(crate) async fn session(self: &Arc<Self>, device: DeviceId) -> Result<Session, Error> {
        if device == self.device_id() {
            return Err(Error::Config("a device cannot dial itself".into()));
        }
        if self.over.is_cancelled() {
            return Err(self.closed());
        }
        let mut request = self.request(device);
        let answer = tokio::select! {
            () = self.over.cancelled() => return Err(self.closed()),
            answer = &mut request.answer => answer.map_err(|_| self.closed())?,
        };
        answer.map_err(Error::from)
    }

    pub(super) async fn find_relay(self: Arc<Self>, dial: DialId, device: DeviceId) {
        let found = self.relays.online(&self.clock, REGISTRATION_TIMEOUT).await;
        let found = found.map_err(|error| match error {
            Error::Offline(why) => why,
            other => other.to_string(),
        });
        if let Err(error) = &found {
            tracing::info!(%device, %error, "dial failed");
        }
        self.control(|control, now| control.handle_relay(dial, found, now));
    }

    pub(super) async fn fetch_certificate(self: Arc<Self>, dial: DialId, device: DeviceId) {
        let certificate = self.relays.certificate(device).await;
        if certificate.is_none() {
            tracing::info!(%device, "certificate missing");
        }
        self.control(|control, now| control.handle_fetched(dial, certificate.as_ref(), now));
    }

    /// Takes one way of a dial that began in this epoch.
    pub(super) async fn take(self: Arc<Self>, dial: DialId, device: DeviceId, epoch: u64, way: Way) {
        let outcome = match &way {
            Way::Relay => self.dial_relays(device, epoch).await,
            Way::Address(url) => self.dial_address(device, epoch, url).await,
            // The machine negotiates it.
            Way::WebRtc => return,
        };
        match &outcome {
            Ok(()) => tracing::debug!(%device, way = way.name(), "way connected"),
            Err(error) => tracing::info!(%device, way = way.name(), %error, "way failed"),
        }
        let outcome = outcome.map_err(DialFailure::from);
        self.control(|control, now| control.handle_way(dial, &way, outcome, now));
    }

    /// Dials through the relays there are, once one has registered this device. [`Error::Offline`] if a relay has ended
    /// meanwhile.
    async fn dial_relays(self: &Arc<Self>, device: DeviceId, epoch: u64) -> Result<(), Error> {
        let online = self.relays.online(&self.clock, REGISTRATION_TIMEOUT).await;
        online.map_err(|error| Error::Unreachable(error.to_string()))?;
        let edition = self.relays.edition();
        match self.dial_relay(device, epoch).await {
            Err(Error::Unreachable(why)) if self.relays.edition() != edition => Err(Error::Offline(why)),
            outcome => outcome,
        }
    }

    /// Dials through the first relay that both share: one that sees the peer, then any.
    async fn dial_relay(self: &Arc<Self>, device: DeviceId, epoch: u64) -> Result<(), Error> {
        let mut why = Error::Unreachable("no relay is used".into());
        for relay in self.relays.towards(&self.controlled.relays_seeing(device)) {
            let connection = ConnectionId::from_bytes(random::array());
            let transport = match relay.open(device, connection) {
                Ok(transport) => transport,
                Err(e) => {
                    why = Error::Unreachable(format!("{}: {e}", relay.url()));
                    continue;
                }
            };
            match settled(self.initiate(transport, connection, device, epoch).await) {
                Err(e @ Error::Unreachable(_)) => why = e,
                outcome => return outcome,
            }
        }
        Err(why)
    }

    async fn dial_address(self: &Arc<Self>, device: DeviceId, epoch: u64, url: &str) -> Result<(), Error> {
        let dialed = websocket::dial(url, &DialOptions::default()).await;
        let (connection, transport) = dialed.map_err(|e| Error::Unreachable(e.to_string()))?;
        settled(self.initiate(transport, connection, device, epoch).await)
    }
}

/// The result of a connection's handshake.
pub(crate) fn settled(outcome: Result<Option<Session>, Failure>) -> Result<(), Error> {
    match outcome {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(Error::Unreachable("the session changed while connecting".into())),
        Err(e) if e.is_refusal() => Err(Error::Denied),
        Err(e) => Err(Error::Unreachable(e.to_string())),
    }
}

/// A way's failure: one sentence of the cause, not of its kind too.
impl From<Error> for DialFailure {
    fn from(e: Error) -> Self {
        match e {
            Error::Denied => Self::Denied,
            Error::Offline(why) => Self::Offline(why),
            Error::Unreachable(why) => Self::Unreachable(why),
            other => Self::Unreachable(other.to_string()),
        }
    }
}

impl From<DialFailure> for Error {
    fn from(failure: DialFailure) -> Self {
        match failure {
            DialFailure::Denied => Self::Denied,
            DialFailure::Suspended => Self::Offline("the app is suspended".into()),
            DialFailure::Offline(why) => Self::Offline(why),
            DialFailure::Unreachable(why) => Self::Unreachable(why),
        }
    }
}
