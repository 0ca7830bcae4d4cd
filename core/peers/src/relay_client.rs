//! A device's connection to one relay: registration, exchanges, presence, ICE servers, and relayed transports.
//!
//! ```text
//!   RelayClient ──┐                                  ┌── writer ──┐
//!   RelaySink  ───┼──> RelayShared (one lock:        │            │
//!   RelaySource ──┤    signaling, transports, inbox) ┤            ├── WebSocket ── relay
//!   RelayEvents ──┘                                  └── reader ──┘
//!                          RelayTask: connect, register, pump, wait, again
//! ```
//!
//! One task owns the socket. Everything it and the handles share sits behind one short lock, in state machines that know no
//! socket. All queues in it are bounded, each by the limit named at its field.

mod error;
mod event;
mod keep_alive;
mod learned;
mod pump;
mod reconnect;
mod register;
mod shared;
mod signaling;
mod state;
mod task;
mod transports;

pub use error::RelayError;
pub use event::{RelayEvent, RelayEvents};
pub use state::{Disconnect, RelayState, RelayStatus};
pub use task::RelayTask;

pub(crate) use shared::RelayShared;
pub(crate) use transports::{PushOutcome, ReadOutcome, TransportKey, TransportSignals};

use std::sync::Arc;

use peers_proto::certificate::DeviceCertificate;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::keys::DeviceKeys;
use peers_proto::signaling::{ExchangeKind, IceServer, MessageId};
use peers_proto::timing;
use rustls::ClientConfig;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::transport::websocket::{Endpoint, public_roots};
use crate::transport::{Transport, relay};

/// The inputs of a relay client.
#[derive(Clone)]
pub struct RelayClientConfig {
    /// `wss://relay.example.com` or, for tests and private networks, `ws://…`. Without a path it is `/v1`.
    pub url: String,
    /// The device.
    pub keys: Arc<DeviceKeys>,
    /// Its certificate.
    pub certificate: DeviceCertificate,
    /// The time.
    pub clock: Clock,
    /// Certificates and keys that TLS trusts; [`public_roots`] if `None`.
    pub tls: Option<Arc<ClientConfig>>,
    /// The relay's access token, if its operator gave one.
    pub token: Option<String>,
    /// True if every device may reach this one, and not only those it watches.
    pub open: bool,
}

/// A handle; clones are the same client. It does not keep the connection alive, [`RelayTask`] does.
#[derive(Clone)]
pub struct RelayClient {
    url: Arc<str>,
    shared: Arc<RelayShared>,
}

impl RelayClient {
    /// Starts to connect, for ever. The task ends when it is dropped or shut down.
    ///
    /// # Errors
    /// [`RelayError::Url`]. Everything else is a [`RelayState`].
    pub fn start(config: RelayClientConfig) -> Result<(Self, RelayEvents, RelayTask), RelayError> {
        let endpoint = Endpoint::parse(&config.url).map_err(|_| RelayError::Url)?;
        let server_name = peers_proto::signaling::server_name(&config.url).ok_or(RelayError::Url)?;
        let shared = Arc::new(RelayShared::new(config.keys.device_id(), config.open, config.clock.clone()));
        let tls = config.tls.clone().unwrap_or_else(public_roots);
        let client = Self { url: config.url.as_str().into(), shared: shared.clone() };
        let task = RelayTask::spawn(task::RelayDialer { config, endpoint, server_name, tls }, shared.clone());
        Ok((client, RelayEvents::new(shared), task))
    }

    /// As it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The state of the connection to the relay, as it is now (S019).
    pub fn state(&self) -> watch::Receiver<RelayState> {
        self.shared.state()
    }

    /// Registrations that were accepted so far: transports do not outlive one.
    pub fn registrations(&self) -> u64 {
        self.shared.registrations()
    }

    /// Sends sealed envelopes to a device: one with an offer or answer, up to `MAX_CANDIDATES` with candidates.
    /// While the relay is away they are held, up to `MAX_HELD_EXCHANGES` of them for `OFFER_TTL`, and go out in
    /// order on registration. `message` is the same on every relay that the envelopes go through: the recipient drops copies.
    ///
    /// # Errors
    /// [`RelayError::Envelopes`], [`RelayError::Full`], and what ended the client.
    pub fn send_exchange(
        &self,
        kind: ExchangeKind,
        to: DeviceId,
        connection: ConnectionId,
        message: MessageId,
        envelopes: Vec<String>,
    ) -> Result<(), RelayError> {
        self.shared.send_exchange(kind, to, connection, envelopes, message)
    }

    /// Knocks at a device that has not let this one in ([`peers_proto::signaling::knock`]); the relay answers nothing.
    /// `message` is the same on every relay the knock goes through.
    ///
    /// # Errors
    /// [`RelayError::NotRegistered`], [`RelayError::Full`], and what ended the client.
    pub fn knock(
        &self,
        to: DeviceId,
        connection: ConnectionId,
        message: MessageId,
        knock: Vec<u8>,
    ) -> Result<(), RelayError> {
        self.shared.knock(to, connection, message, knock)
    }

    /// Asks for a device's certificate. It proves itself: whatever the relay says is checked against the id. Whether
    /// it is still valid is the caller's to check.
    ///
    /// # Errors
    /// [`RelayError::UnknownDevice`], [`RelayError::BadCertificate`], [`RelayError::WrongCertificate`],
    /// [`RelayError::TimedOut`] after [`timing::LOOKUP_TIMEOUT`], [`RelayError::Full`], and what ended the client.
    pub async fn certificate(&self, device: DeviceId) -> Result<DeviceCertificate, RelayError> {
        let answer = self.shared.look_up(device)?;
        match self.shared.clock().timeout(timing::LOOKUP_TIMEOUT, answer).await {
            Some(Ok(answer)) => answer,
            Some(Err(_)) => Err(self.shared.ended().unwrap_or(RelayError::Stopped)),
            None => Err(RelayError::TimedOut),
        }
    }

    /// The devices whose presence is wanted, and to which this one shows its own (S025); replaces the earlier list,
    /// survives reconnects. At most `MAX_WATCHED` count.
    pub fn watch_devices(&self, devices: Vec<DeviceId>) {
        self.shared.watch_devices(devices);
    }

    /// The relay's ICE servers (S056), without those whose credentials have ended. They are fetched again in time.
    pub fn ice_servers(&self) -> Vec<IceServer> {
        self.shared.ice_servers()
    }

    /// Asks for them anew, because a server refused their credentials; not more often than each
    /// [`timing::ICE_REFRESH_MIN`].
    pub(crate) fn renew_ice(&self) {
        self.shared.renew_ice();
    }

    /// A transport to `peer` through the relay. Nothing is sent until the first frame; if the peer is not there, the
    /// transport ends with [`crate::transport::CloseReason::Network`].
    ///
    /// # Errors
    /// [`RelayError::NotRegistered`], [`RelayError::TooMany`], [`RelayError::Duplicate`], and what ended the client.
    pub fn open(&self, peer: DeviceId, connection: ConnectionId) -> Result<Transport, RelayError> {
        let key = TransportKey { peer, connection };
        let signals = self.shared.open_transport(key)?;
        Ok(relay::transport(self.shared.clone(), key, signals))
    }

    /// The network may have changed: a living socket has to prove itself at once, a wait for the next try is over, and
    /// earlier failures are forgotten. If it is `another` network, the socket is given up instead.
    pub fn network_changed(&self, another: bool) {
        self.shared.network_changed(another);
    }

    /// Closes the connection to the relay, and opens none before [`RelayClient::resume`]. [`RelayState::Suspended`] tells when
    /// it is done, within [`timing::CLOSE_GRACE`].
    pub fn suspend(&self) {
        self.shared.set_asleep(true);
    }

    /// Connects again, at once.
    pub fn resume(&self) {
        self.shared.set_asleep(false);
    }

    /// Registers anew if another process has superseded this one, which then supersedes that one.
    pub fn reclaim(&self) {
        self.shared.reclaim();
    }
}
