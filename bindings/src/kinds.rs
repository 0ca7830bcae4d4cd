//! Plain enums of the core, as they cross.

/// Whether the client reaches a relay.
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
    /// The app is suspended: peers and relays were told goodbye.
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

/// One relay, and where the client stands with it.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct RelayStatus {
    /// As the app gave it.
    pub url: String,
    /// Now.
    pub state: RelayState,
    /// Why the last try failed or the last registration ended; kept while the next try runs, none once it succeeds.
    pub problem: Option<RelayProblem>,
}

/// Where the client stands with one relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum RelayState {
    /// Dialing or registering.
    Connecting,
    /// Registered.
    Registered,
    /// It did not work, or it ended; it is tried again in a moment.
    Waiting,
    /// The app is suspended.
    Suspended,
    /// Another process registered with this identity.
    Superseded,
    /// The client was shut down.
    Stopped,
}

/// Why a relay is not reached.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct RelayProblem {
    /// A stable name: `not-found`, `unreachable`, `tls`, `not-a-relay`, `wrong-name`, `not-admitted`, `refused`, `silent`,
    /// `broken`, `closed`, `network-changed`, `protocol`.
    pub code: String,
    /// For a person.
    pub reason: String,
}

impl From<peers::RelayStatus> for RelayStatus {
    fn from(status: peers::RelayStatus) -> Self {
        let problem =
            status.problem.map(|why| RelayProblem { code: why.code().into(), reason: why.to_string() });
        let state = match status.state {
            peers::RelayState::Connecting => RelayState::Connecting,
            peers::RelayState::Registered => RelayState::Registered,
            peers::RelayState::Waiting { .. } => RelayState::Waiting,
            peers::RelayState::Suspended => RelayState::Suspended,
            peers::RelayState::Superseded => RelayState::Superseded,
            peers::RelayState::Stopped => RelayState::Stopped,
        };
        Self { url: status.url, state, problem }
    }
}

/// What carries a session now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum PathKind {
    /// A WebSocket on the same network.
    Lan,
    /// A WebRTC data channel.
    WebRtc,
    /// A WebSocket over TLS to a device that listens publicly.
    Internet,
    /// Through the relay.
    Relay,
    /// Supplied by the app.
    Custom,
}

impl From<peers::PathKind> for PathKind {
    fn from(kind: peers::PathKind) -> Self {
        match kind {
            peers::PathKind::Lan => Self::Lan,
            peers::PathKind::WebRtc => Self::WebRtc,
            peers::PathKind::Internet => Self::Internet,
            peers::PathKind::Relay => Self::Relay,
            peers::PathKind::Custom => Self::Custom,
        }
    }
}

/// How far a device is trusted, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum TrustLevel {
    /// Known to do harm. Nothing outweighs this.
    Malicious,
    /// Explicitly not trusted.
    Untrusted,
    /// Never seen.
    Unknown,
    /// Of a user met for the first time.
    NewUser,
    /// A new device of a known user.
    NewDevice,
    /// Known for a while.
    Known,
    /// Trusted by decision of this user.
    Trusted,
    /// Another device of this user.
    Own,
}

impl From<TrustLevel> for peers::TrustLevel {
    fn from(level: TrustLevel) -> Self {
        match level {
            TrustLevel::Malicious => Self::Malicious,
            TrustLevel::Untrusted => Self::Untrusted,
            TrustLevel::Unknown => Self::Unknown,
            TrustLevel::NewUser => Self::NewUser,
            TrustLevel::NewDevice => Self::NewDevice,
            TrustLevel::Known => Self::Known,
            TrustLevel::Trusted => Self::Trusted,
            TrustLevel::Own => Self::Own,
        }
    }
}

/// What kind of no a call got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum FailureCode {
    /// The handler failed; the text is the application's.
    Application,
    /// Nothing handles this service and method.
    NotFound,
    /// The trust or the group of the caller does not allow it.
    Denied,
    /// Too many calls wait already.
    Overloaded,
    /// The handler could not read the request.
    BadRequest,
}

impl From<peers::FailureCode> for FailureCode {
    fn from(code: peers::FailureCode) -> Self {
        match code {
            peers::FailureCode::Application => Self::Application,
            peers::FailureCode::NotFound => Self::NotFound,
            peers::FailureCode::Denied => Self::Denied,
            peers::FailureCode::Overloaded => Self::Overloaded,
            peers::FailureCode::BadRequest => Self::BadRequest,
        }
    }
}

impl From<FailureCode> for peers::FailureCode {
    fn from(code: FailureCode) -> Self {
        match code {
            FailureCode::Application => Self::Application,
            FailureCode::NotFound => Self::NotFound,
            FailureCode::Denied => Self::Denied,
            FailureCode::Overloaded => Self::Overloaded,
            FailureCode::BadRequest => Self::BadRequest,
        }
    }
}
