use std::time::Duration;

use peers_proto::signaling::IceServer;
use peers_proto::timing;

use super::names::Names;

/// Settings of a peer connection.
#[derive(Debug, Clone)]
pub struct WebRtcConfig {
    /// STUN and TURN servers, asked in parallel. The stack speaks UDP to all of them; URLs of other transports are ignored.
    pub ice_servers: Vec<IceServer>,
    /// The table in which their names are looked up and remembered.
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
