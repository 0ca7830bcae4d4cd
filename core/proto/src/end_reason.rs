//! The reason for which a session ended.

/// The reason for which a session ended. [`EndReason::code`] is its stable name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The app closed it, or shut the client down. The device is not dialed until the app asks for it.
    Closed,
    /// This device closed it to make room for another one: there were more than 30.
    Evicted,
    /// The peer closed it, or had no room for it. The device is not dialed for a while.
    ClosedByPeer,
    /// The peer has another instance of the session: it was restarted, or waited too long for a path.
    PeerRestarted,
    /// No path came back in time.
    NoPath,
    /// The peer broke the protocol.
    Protocol,
    /// The session held more than its share, and this device had no memory left for it.
    Overloaded,
    /// The runtime that ran the client was dropped.
    NoRuntime,
}

impl EndReason {
    /// Its stable name, for logs and programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Evicted => "evicted",
            Self::ClosedByPeer => "closed-by-peer",
            Self::PeerRestarted => "peer-restarted",
            Self::NoPath => "no-path",
            Self::Protocol => "protocol",
            Self::Overloaded => "overloaded",
            Self::NoRuntime => "no-runtime",
        }
    }

    /// True if one of the two devices decided it. Any other session was lost, and is wanted back.
    pub fn is_close(self) -> bool {
        matches!(self, Self::Closed | Self::Evicted | Self::ClosedByPeer)
    }

    /// True if this device decided it.
    pub fn is_local(self) -> bool {
        matches!(self, Self::Closed | Self::Evicted)
    }
}

impl std::fmt::Display for EndReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}
