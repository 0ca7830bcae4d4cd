//! Where the client stands.

use std::time::Duration;

use peers_proto::signaling::ErrorCode;

use crate::transport::websocket::DialError;

/// The true state of the connection to a relay (S019).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayState {
    /// Dialing or registering.
    Connecting,
    /// The relay accepted the registration; messages and relayed frames flow.
    Registered,
    /// It did not work, or it ended. Dialed again after `retry_in`.
    Waiting {
        /// Counted from the moment this state began.
        retry_in: Duration,
        /// Why.
        reason: Disconnect,
    },
    /// The app is suspended: the relay was told goodbye, and nothing is tried.
    Suspended,
    /// Another process registered the same device. Nothing is tried before [`super::RelayClient::reclaim`].
    Superseded,
    /// Stopped by this side. Final.
    Stopped,
}

/// Why there is no registration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disconnect {
    /// The WebSocket did not open.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The relay said so.
    #[error("refused by the relay: {0:?}")]
    Refused(ErrorCode),
    /// The relay does not follow the protocol.
    #[error("the relay broke the protocol: {0}")]
    Protocol(String),
    /// Registration took too long, or the relay stopped answering.
    #[error("the relay does not answer")]
    Silent,
    /// The relay closed the WebSocket with this code.
    #[error("closed by the relay with code {0}")]
    Closed(u16),
    /// The network it was made on is gone.
    #[error("the network changed")]
    NetworkChanged,
    /// TCP or TLS broke.
    #[error("the connection broke: {0}")]
    Broken(String),
}
