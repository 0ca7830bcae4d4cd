use std::time::Duration;

use peers_proto::timing;

use super::names::Names;

/// A STUN or TURN server (S017, S165).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct IceServer {
    /// `stun:host[:port]`, `turn:host[:port]`. The stack speaks UDP to both; other transports are ignored.
    pub urls: Vec<String>,
    /// TURN user name; empty for STUN.
    pub username: String,
    /// TURN credential; empty for STUN.
    pub credential: String,
}

impl std::fmt::Debug for IceServer {
    // Credentials stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceServer").field("urls", &self.urls).finish_non_exhaustive()
    }
}

/// Settings of a peer connection.
#[derive(Debug, Clone)]
pub struct WebRtcConfig {
    /// STUN and TURN servers, asked in parallel.
    pub ice_servers: Vec<IceServer>,
    /// Where their names are looked up and remembered.
    pub names: Names,
    /// Use TURN only and reveal no address of this device to the peer (S136).
    pub relay_only: bool,
    /// Offer and accept loopback addresses: two instances on one machine (S105).
    pub include_loopback: bool,
    /// An attempt that is not connected by then ends with `TimedOut`.
    pub establishment: Duration,
}

impl Default for WebRtcConfig {
    fn default() -> Self {
        Self {
            ice_servers: Vec::new(),
            names: Names::default(),
            relay_only: false,
            include_loopback: false,
            establishment: timing::WEBRTC_ESTABLISHMENT,
        }
    }
}
