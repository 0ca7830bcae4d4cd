//! The state of a relay client.

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
        /// The reason.
        reason: Disconnect,
    },
    /// The app is suspended: the connection to the relay was closed, and none is opened.
    Suspended,
    /// Another process registered the same device. Nothing is tried before [`super::RelayClient::reclaim`].
    Superseded,
    /// Stopped by this side. Final.
    Stopped,
}

/// One relay of a client, and where the client stands with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayStatus {
    /// As the app gave it.
    pub url: String,
    /// Now.
    pub state: RelayState,
    /// The reason for which the last try failed or the last registration ended; kept while the next try runs, gone once it
    /// succeeds.
    pub problem: Option<Disconnect>,
}

impl RelayStatus {
    pub(crate) fn new(url: String) -> Self {
        Self { url, state: RelayState::Connecting, problem: None }
    }

    pub(crate) fn handle(&mut self, state: RelayState) {
        match &state {
            RelayState::Registered => self.problem = None,
            RelayState::Waiting { reason, .. } => self.problem = Some(reason.clone()),
            _ => {}
        }
        self.state = state;
    }
}

/// The reason for which there is no registration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disconnect {
    /// The WebSocket did not open.
    #[error(transparent)]
    Dial(DialError),
    /// The relay said so.
    #[error("refused by the relay: {}", explain(*.0))]
    Refused(ErrorCode),
    /// The relay does not follow the protocol.
    #[error("the relay broke the protocol: {0}")]
    Protocol(String),
    /// The relay did not answer in time, or stopped answering.
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

impl From<DialError> for Disconnect {
    fn from(error: DialError) -> Self {
        match error {
            DialError::TimedOut => Self::Silent,
            error => Self::Dial(error),
        }
    }
}

fn explain(code: ErrorCode) -> String {
    match code {
        ErrorCode::NotAdmitted => {
            "it does not admit this device: a token is missing or wrong, or the device is not on its list"
                .into()
        }
        ErrorCode::WrongName => "it is not called what was dialed: its operator lists that in `names`".into(),
        ErrorCode::Denied => "this device's proof of its key does not hold there".into(),
        ErrorCode::Full => "it has no room now".into(),
        ErrorCode::ShuttingDown => "it shuts down".into(),
        code => format!("{code:?}"),
    }
}

impl Disconnect {
    /// A stable name for programs and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Dial(DialError::Url) => "url",
            Self::Dial(DialError::Insecure) => "insecure",
            Self::Dial(DialError::Resolve(_)) => "not-found",
            Self::Dial(DialError::Connect(_)) => "unreachable",
            Self::Dial(DialError::Tls(_)) => "tls",
            Self::Dial(DialError::Upgrade(_)) => "not-a-relay",
            Self::Dial(DialError::TimedOut) | Self::Silent => "silent",
            Self::Protocol(_) => "protocol",
            Self::Refused(ErrorCode::WrongName) => "wrong-name",
            Self::Refused(ErrorCode::NotAdmitted) => "not-admitted",
            Self::Refused(_) => "refused",
            Self::Closed(_) => "closed",
            Self::NetworkChanged => "network-changed",
            Self::Broken(_) => "broken",
        }
    }

    /// True if the relay's operator has to change something first.
    pub(crate) fn is_for_the_operator(&self) -> bool {
        matches!(self, Self::Refused(ErrorCode::NotAdmitted | ErrorCode::WrongName))
    }

    /// Of the failures of two addresses the one that got further, the first of equals: it is the one worth telling.
    pub(super) fn furthest(self, other: Self) -> Self {
        match (self, other) {
            (Self::Dial(a), Self::Dial(b)) => Self::Dial(a.furthest(b)),
            (a, b) if b.progress() > a.progress() => b,
            (a, _) => a,
        }
    }

    fn progress(&self) -> u8 {
        match self {
            Self::NetworkChanged => 0,
            Self::Dial(DialError::Connect(_)) => 1,
            Self::Silent => 2,
            Self::Dial(_) => 3,
            Self::Broken(_) | Self::Closed(_) => 4,
            Self::Protocol(_) => 5,
            Self::Refused(_) => 6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_known_until_the_relay_is_reached_again() {
        let mut status = RelayStatus::new("wss://relay".into());
        let waiting = |reason| RelayState::Waiting { retry_in: Duration::ZERO, reason };
        status.handle(waiting(Disconnect::Silent));
        status.handle(RelayState::Connecting);
        assert_eq!((&status.state, &status.problem), (&RelayState::Connecting, &Some(Disconnect::Silent)));
        status.handle(RelayState::Registered);
        assert_eq!(status.problem, None);
    }

    #[test]
    fn of_several_addresses_the_one_that_got_furthest_is_told() {
        let refused = Disconnect::Dial(DialError::Connect("refused".into()));
        let tls = Disconnect::Dial(DialError::Tls("expired".into()));
        let upgrade = Disconnect::Dial(DialError::Upgrade("404".into()));
        let denied = Disconnect::Refused(ErrorCode::Denied);
        for (one, other, told) in [
            (&refused, &Disconnect::Silent, &Disconnect::Silent),
            (&tls, &refused, &tls),
            (&tls, &Disconnect::Silent, &tls),
            (&tls, &upgrade, &upgrade),
            (&upgrade, &denied, &denied),
        ] {
            assert_eq!(one.clone().furthest(other.clone()), *told);
            assert_eq!(other.clone().furthest(one.clone()), *told);
        }
    }
}
