//! The configuration of a client.

use std::fmt;
use std::net::AddrParseError;
use std::sync::Arc;
use std::time::Duration;

use peers::{ClientBuilder, FileStore, Identity, RelayAddress, SEED_LEN, Transports};
use tokio::task::block_in_place;

use crate::handler::Bridge;
use crate::runtime::Tasks;
use crate::{
    CallbackError, DeviceId, GroupId, LogLevel, PathKind, PathTier, PeersError, RequestHandler, TrustLevel,
    UserId,
};

/// The settings of a client. Malformed ids fail as they cross; `start` checks and uses the rest.
#[derive(Clone, Default, uniffi::Record)]
pub struct ClientConfig {
    /// Relays to register at: at least one, unless other devices have an address.
    pub relays: Vec<RelayEndpoint>,
    /// The place of the device's keys.
    pub identity: IdentitySource,
    /// Shown to peers, at most 64 bytes.
    #[uniffi(default = "")]
    pub name: String,
    /// Devices whose trust is known now.
    #[uniffi(default = [])]
    pub trusted: Vec<TrustedDevice>,
    /// Asked about all others; without it they show up as [`crate::Event::Incoming`].
    #[uniffi(default = None)]
    pub trust_policy: Option<Arc<dyn TrustPolicy>>,
    /// Lets every device reach this one through its relays, as a service for the public does. Without it a device that is
    /// not trusted can knock, and nothing else.
    #[uniffi(default = false)]
    pub open: bool,
    /// Services that `handler` answers.
    #[uniffi(default = [])]
    pub services: Vec<String>,
    /// Answers the calls of peers.
    #[uniffi(default = None)]
    pub handler: Option<Arc<dyn RequestHandler>>,
    /// Ids of groups this device carries. A group's data passes to and from its `members` only.
    #[uniffi(default = [])]
    pub groups: Vec<GroupId>,
    /// Devices that are members of groups, as far as the app knows.
    #[uniffi(default = [])]
    pub members: Vec<GroupMember>,
    /// STUN and TURN servers besides those the relay names.
    #[uniffi(default = [])]
    pub ice_servers: Vec<IceServer>,
    /// Transports that may carry sessions, of [`PathKind::WebRtc`] and [`PathKind::Relay`]; empty for all.
    #[uniffi(default = [])]
    pub transports: Vec<PathKind>,
    /// These kinds of path first, in this order; the others follow as they usually do.
    #[uniffi(default = [])]
    pub prefer: Vec<PathTier>,
    /// Addresses of devices that listen. Not dialed with `relay_only`.
    #[uniffi(default = [])]
    pub addresses: Vec<DeviceAddress>,
    /// Time for which a session without a path waits for one, in milliseconds: a minute without it, a day at most.
    #[uniffi(default = None)]
    pub resume_window_ms: Option<u64>,
    /// Lets streams marked as bulk go on while data costs money; without it they wait.
    #[uniffi(default = false)]
    pub bulk_on_metered: bool,
    /// The address at which it listens for devices, as `192.168.1.2:0`; port 0 picks one. The port is closed while the app is
    /// suspended.
    #[uniffi(default = None)]
    pub listen: Option<String>,
    /// The file that remembers levels and keys of devices between two runs; without it they last as long as the client. Its
    /// folder exists. One client at a time uses it.
    #[uniffi(default = None)]
    pub store: Option<String>,
    /// Only relayed candidates: peers never learn this device's addresses.
    #[uniffi(default = false)]
    pub relay_only: bool,
    /// Seal frames on WebRTC as well, where DTLS already encrypts.
    #[uniffi(default = false)]
    pub require_sealing: bool,
    /// Loopback candidates, for tests and demos on one machine.
    #[uniffi(default = false)]
    pub loopback: bool,
    /// The least severity that `take_logs` returns; none for no log.
    #[uniffi(default = None)]
    pub log_level: Option<LogLevel>,
}

/// A relay to register at.
#[derive(Clone, uniffi::Record)]
pub struct RelayEndpoint {
    /// `ws://` or `wss://` URL.
    pub url: String,
    /// Its operator's token, at most 256 bytes, where the relay admits devices with one only.
    #[uniffi(default = None)]
    pub token: Option<String>,
    /// The authorities that may have issued its certificate, in PEM or DER; empty for those that browsers trust.
    #[uniffi(default = [])]
    pub authorities: Vec<Vec<u8>>,
    /// SHA-256 hashes of its certificate's public key or of its certificate: `sha256/` and base64, or hexadecimal. With one, no
    /// other key is accepted, and no authority, name or date is asked.
    #[uniffi(default = [])]
    pub pins: Vec<String>,
}

impl From<RelayEndpoint> for RelayAddress {
    fn from(relay: RelayEndpoint) -> Self {
        let address = match relay.token {
            Some(token) => Self::new(relay.url).token(token),
            None => Self::new(relay.url),
        };
        let address = relay.authorities.into_iter().fold(address, Self::authority);
        relay.pins.into_iter().fold(address, Self::pin)
    }
}

/// The place of the device's keys.
#[derive(Clone, Default, uniffi::Enum)]
pub enum IdentitySource {
    /// A file only this user can read; made on first use.
    File {
        /// Its path; the folder exists.
        path: String,
    },
    /// The app's store, such as a keychain.
    Store {
        /// The store.
        store: Arc<dyn SecretStore>,
    },
    /// New keys for this run.
    #[default]
    Temporary,
}

/// Keeps one secret for the app, best in hardware.
#[uniffi::export(with_foreign)]
pub trait SecretStore: Send + Sync {
    /// The secret that `store` was given last, if ever.
    fn load(&self) -> Result<Option<Vec<u8>>, CallbackError>;
    /// Keeps the secret, which is 64 bytes.
    fn store(&self, secret: Vec<u8>) -> Result<(), CallbackError>;
}

/// Judges devices.
#[uniffi::export(with_foreign)]
pub trait TrustPolicy: Send + Sync {
    /// The level of a device that proved its identity; none makes it an [`crate::Event::Incoming`].
    fn trust(&self, device: DeviceId, user: UserId) -> Result<Option<TrustLevel>, CallbackError>;
}

/// A device and how far it is trusted.
#[derive(Debug, Clone, uniffi::Record)]
pub struct TrustedDevice {
    /// Its id.
    pub device: DeviceId,
    /// Its level.
    pub level: TrustLevel,
}

/// A device that is a member of a group.
#[derive(Debug, Clone, uniffi::Record)]
pub struct GroupMember {
    /// The group's id.
    pub group: GroupId,
    /// The device's id.
    pub device: DeviceId,
}

/// The address of a device that listens.
#[derive(Debug, Clone, uniffi::Record)]
pub struct DeviceAddress {
    /// The device's id.
    pub device: DeviceId,
    /// `ws://` in the local network, or `wss://`.
    pub url: String,
}

/// A STUN or TURN server.
#[derive(Clone, uniffi::Record)]
pub struct IceServer {
    /// `stun:` or `turn:` URL.
    pub url: String,
    /// For TURN.
    #[uniffi(default = None)]
    pub username: Option<String>,
    /// For TURN.
    #[uniffi(default = None)]
    pub credential: Option<String>,
}

impl ClientConfig {
    /// Checks and applies everything; reads or makes the keys.
    pub(crate) async fn into_builder(self) -> Result<ClientBuilder, PeersError> {
        let identity = Tasks::run_blocking(move || self.identity.load()).await?;
        let mut builder = peers::Client::builder()
            .identity(identity)
            .open(self.open)
            .prefer(self.prefer)
            .bulk_on_metered(self.bulk_on_metered)
            .relay_only(self.relay_only)
            .require_sealing(self.require_sealing)
            .loopback(self.loopback);
        if let Some(path) = self.store {
            let opened =
                Tasks::run_blocking(move || Ok(FileStore::open(path).map_err(peers::Error::from)?)).await?;
            builder = builder.store(opened);
        }
        if let Some(address) = self.listen {
            let parsed = address.parse();
            let reason = |e: AddrParseError| format!("listen {address}: {e}");
            builder = builder.listen(parsed.map_err(|e| PeersError::Config { reason: reason(e) })?);
        } else if self.relays.is_empty() && self.addresses.is_empty() {
            return Err(PeersError::Config { reason: "relays: name at least one".into() });
        }
        for relay in self.relays {
            builder = builder.relay(relay);
        }
        if !self.transports.is_empty() {
            builder = builder.transports(parse_transports(&self.transports)?);
        }
        if !self.name.is_empty() {
            builder = builder.name(self.name);
        }
        for trusted in self.trusted {
            builder = builder.trust(trusted.device, trusted.level);
        }
        if let Some(policy) = self.trust_policy {
            builder = builder.trust_policy(Arc::new(AppPolicy(policy)));
        }
        for group in self.groups {
            builder = builder.group(group);
        }
        for member in self.members {
            builder = builder.member(member.group, member.device);
        }
        for address in self.addresses {
            builder = builder.address(address.device, address.url);
        }
        if let Some(window) = self.resume_window_ms {
            builder = builder.resume_window(Duration::from_millis(window));
        }
        for server in self.ice_servers {
            builder = builder.ice_server(server.url, server.username.zip(server.credential));
        }
        match self.handler {
            Some(handler) => {
                let bridge = Arc::new(Bridge::new(handler));
                for service in self.services {
                    builder = builder.handler(service, bridge.clone());
                }
            }
            None if !self.services.is_empty() => {
                return Err(PeersError::Config { reason: "services: need a handler".into() });
            }
            None => {}
        }
        Ok(builder)
    }
}

fn parse_transports(kinds: &[PathKind]) -> Result<Transports, PeersError> {
    let mut chosen = Transports { webrtc: false, relay: false };
    for kind in kinds {
        match kind {
            PathKind::WebRtc => chosen.webrtc = true,
            PathKind::Relay => chosen.relay = true,
            other => {
                return Err(PeersError::Config { reason: format!("transports: {other:?} cannot be chosen") });
            }
        }
    }
    Ok(chosen)
}

// Keys, tokens, credentials and what peers are called stay out of logs.
impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig").field("relays", &self.relays).finish_non_exhaustive()
    }
}

impl fmt::Debug for RelayEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayEndpoint").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The secret of another device of the same user, for that device's own store. `secret` is what the store of one of the user's
/// devices keeps: it goes from device to device over a channel that is private. Fails with [`PeersError::Identity`] if it is not
/// 64 bytes.
#[uniffi::export]
pub fn another_device(secret: Vec<u8>) -> Result<Vec<u8>, PeersError> {
    Ok(identity_of(secret)?.another_device().seed().to_vec())
}

fn identity_of(secret: Vec<u8>) -> Result<Identity, PeersError> {
    match <[u8; SEED_LEN]>::try_from(secret) {
        Ok(seed) => Ok(Identity::from_seed(&seed)),
        Err(_) => Err(PeersError::Identity { reason: "the secret is not 64 bytes".into() }),
    }
}

impl IdentitySource {
    fn load(self) -> Result<Identity, PeersError> {
        match self {
            Self::File { path } => Ok(Identity::load_or_create(path)?),
            Self::Store { store } => load_or_store(&*store),
            Self::Temporary => Ok(Identity::generate()),
        }
    }
}

fn load_or_store(store: &dyn SecretStore) -> Result<Identity, PeersError> {
    let failed = |error: CallbackError| PeersError::Identity { reason: error.to_string() };
    match store.load().map_err(failed)? {
        Some(secret) => identity_of(secret),
        None => {
            let identity = Identity::generate();
            store.store(identity.seed().to_vec()).map_err(failed)?;
            Ok(identity)
        }
    }
}

struct AppPolicy(Arc<dyn TrustPolicy>);

impl peers::TrustPolicy for AppPolicy {
    fn trust(&self, device: DeviceId, user: UserId) -> Option<TrustLevel> {
        // The core asks in the middle of its work: other tasks move to another thread meanwhile.
        let verdict = block_in_place(|| self.0.trust(device, user));
        match verdict {
            Ok(level) => level,
            // A policy that fails allows nothing.
            Err(_) => Some(TrustLevel::Untrusted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_device_of_a_user_has_keys_of_its_own() {
        let first = Identity::generate();
        let another = identity_of(another_device(first.seed().to_vec()).unwrap()).unwrap();
        assert_eq!(first.user_id(), another.user_id());
        assert_ne!(first.device_id(), another.device_id());
        assert!(matches!(another_device(vec![0; 63]), Err(PeersError::Identity { .. })));
    }

    #[test]
    fn a_relays_token_stays_out_of_logs() {
        let relay = RelayEndpoint {
            url: "ws://relay".into(),
            token: Some("hush".into()),
            authorities: Vec::new(),
            pins: Vec::new(),
        };
        let shown = format!("{relay:?}");
        assert!(shown.contains("ws://relay") && !shown.contains("hush"), "{shown}");
    }
}
