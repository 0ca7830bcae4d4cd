//! The client's state, and that of its relays.

/// The state of the client towards its relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum ClientState {
    /// Not started yet.
    Stopped,
    /// Dialing a relay for the first time.
    Connecting,
    /// Registered at a relay: peers can be reached.
    Online,
    /// No relay answers; it is tried again. Sessions on direct paths go on. [`crate::PeersClient::relays`] says why.
    Offline,
    /// No relay admits this device: a token is missing or wrong, or the device is not on the relay's list.
    NotAdmitted,
    /// The app was suspended or its network changed; no relay has answered since.
    Verifying,
    /// The app is suspended: peers and relays were notified.
    Suspended,
    /// Another process registered with this identity. This one registers anew when its app comes to the foreground.
    Superseded,
    /// Shut down.
    Closed,
}

impl From<peers::ClientState> for ClientState {
    fn from(state: peers::ClientState) -> Self {
        match state {
            peers::ClientState::Connecting => Self::Connecting,
            peers::ClientState::Online => Self::Online,
            peers::ClientState::Offline => Self::Offline,
            peers::ClientState::NotAdmitted => Self::NotAdmitted,
            peers::ClientState::Verifying => Self::Verifying,
            peers::ClientState::Suspended => Self::Suspended,
            peers::ClientState::Superseded => Self::Superseded,
            peers::ClientState::Closed => Self::Closed,
        }
    }
}

/// One relay, with its state and its last problem.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct RelayStatus {
    /// The URL of the configuration.
    pub url: String,
    /// The state now.
    pub state: RelayState,
    /// The reason for which the last try failed or the last registration ended. None once a try succeeds.
    pub problem: Option<RelayProblem>,
}

/// The state of the client towards one relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum RelayState {
    /// Dialing or registering.
    Connecting,
    /// Registered.
    Registered,
    /// The last try failed, or the registration ended; the next try follows in a moment.
    Waiting,
    /// The app is suspended.
    Suspended,
    /// Another process registered with this identity.
    Superseded,
    /// The client was shut down.
    Stopped,
}

/// The reason for which a relay is not reached.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct RelayProblem {
    /// A stable name: `not-found`, `unreachable`, `tls`, `not-a-relay`, `wrong-name`, `not-admitted`, `refused`, `silent`,
    /// `broken`, `closed`, `network-changed`, `protocol`.
    pub code: String,
    /// A text for people.
    pub reason: String,
}

impl From<peers::RelayStatus> for RelayStatus {
    fn from(status: peers::RelayStatus) -> Self {
        let peers::RelayStatus { url, state, problem } = status;
        let problem = problem.map(|why| RelayProblem { code: why.code().into(), reason: why.to_string() });
        let state = match state {
            peers::RelayState::Connecting => RelayState::Connecting,
            peers::RelayState::Registered => RelayState::Registered,
            peers::RelayState::Waiting { .. } => RelayState::Waiting,
            peers::RelayState::Suspended => RelayState::Suspended,
            peers::RelayState::Superseded => RelayState::Superseded,
            peers::RelayState::Stopped => RelayState::Stopped,
        };
        Self { url, state, problem }
    }
}
