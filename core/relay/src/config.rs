//! Configuration: a TOML file, then `PEERS_RELAY_*`, then what the command line says; later wins, key by key.

mod access;
mod limits;
mod sources;

pub use access::{AccessConfig, AccessRule};
pub use limits::Limits;
pub use sources::ConfigError;

use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;

/// All settings of a relay.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RelayConfig {
    /// The address to listen at; port 0 picks one. TLS is the reverse proxy's job.
    pub bind: SocketAddr,
    /// The names under which devices dial this relay (`relay.example.com`, `192.0.2.1:8443`), as
    /// `peers_proto::signaling::server_name` makes them. A device's registration is for one of these names or void. None
    /// stand for the address a connection arrives at, with `localhost` if that is a loopback address.
    #[serde(deserialize_with = "sources::one_or_many")]
    pub names: Vec<String>,
    /// True to take the device's address from `X-Forwarded-For`. Only behind a proxy that sets it.
    pub trust_forwarded_for: bool,
    /// The devices that may register.
    pub access: AccessConfig,
    /// The STUN and TURN servers that devices get.
    pub ice: IceConfig,
    /// The shares of one device, one address and the whole relay.
    pub limits: Limits,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            bind: (Ipv4Addr::LOCALHOST, 8443).into(),
            names: Vec::new(),
            trust_forwarded_for: false,
            access: AccessConfig::default(),
            ice: IceConfig::default(),
            limits: Limits::default(),
        }
    }
}

/// STUN and TURN servers, in order of preference.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IceConfig {
    /// `stun:host:port`, several for the case that one is down (S165).
    #[serde(deserialize_with = "sources::one_or_many")]
    pub stun: Vec<String>,
    /// Optional (S166, S167).
    pub turn: Vec<TurnConfig>,
}

/// One TURN server, or several that share credentials.
#[derive(Clone, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected `urls` with `username` and `credential`, or `urls` with `secret` and optionally `ttl_seconds`"
)]
pub enum TurnConfig {
    /// Fixed credentials, the same for every device.
    Static {
        /// `turn:host:port?transport=udp`
        urls: Vec<String>,
        /// As the server expects it.
        username: String,
        /// As the server expects it.
        credential: String,
    },
    /// coturn with `use-auth-secret`: credentials made per device, with an end.
    Rest {
        /// `turn:host:port?transport=udp`
        urls: Vec<String>,
        /// coturn's `static-auth-secret`.
        secret: String,
        /// The life of credentials. coturn checks them when an allocation begins, and not again while it lives.
        #[serde(default = "default_turn_ttl")]
        ttl_seconds: u64,
    },
}

fn default_turn_ttl() -> u64 {
    // A working day: connections outlive it rarely, leaked credentials by not much.
    8 * 3600
}

impl std::fmt::Debug for TurnConfig {
    /// Without secrets: configurations end up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, urls) = match self {
            Self::Static { urls, .. } => ("Static", urls),
            Self::Rest { urls, .. } => ("Rest", urls),
        };
        f.debug_struct(name).field("urls", urls).finish_non_exhaustive()
    }
}
