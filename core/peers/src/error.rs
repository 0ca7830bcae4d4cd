//! One error type for apps: each variant says what to do about it.

use peers_proto::session::{CallError, FailureCode, SendError, StreamError};
use peers_store::StoreError;

/// What an operation failed with. Nothing is lost by a failed `send` or `call`: the caller still has its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The client was shut down, or the session closed. Make a new one.
    #[error("closed")]
    Closed,
    /// The client was started outside of a tokio runtime, or the one that ran it was dropped. Start it in one that lives as
    /// long as the client.
    #[error("no tokio runtime")]
    NoRuntime,
    /// A setting cannot work; the text names it. Fix the configuration.
    #[error("configuration: {0}")]
    Config(String),
    /// The identity could not be read or stored; the text says why.
    #[error("identity: {0}")]
    Identity(String),
    /// The store could not be read or written; the text says why. Make room or repair it.
    #[error("store: {0}")]
    Store(String),
    /// No relay is connected; the text says of each why, as [`Client::relays`](crate::Client::relays) does. Retry when the
    /// state says so.
    #[error("no relay is reachable: {0}")]
    Offline(String),
    /// The device could not be reached on any path; the text says of each way that was tried why. Retry later.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// No answer in time. Whether the other side acted is not known.
    #[error("timed out")]
    TimedOut,
    /// The peer, or this device's trust policy, says no. Retrying does not help.
    #[error("denied")]
    Denied,
    /// The session ended: its peer restarted, or no path came back in time. What was in flight may be lost.
    #[error("session lost: {0}")]
    SessionLost(String),
    /// A bounded queue is full. Wait, or use the waiting variant.
    #[error("full")]
    Full,
    /// Larger than a message may be. Use a stream.
    #[error("too large")]
    TooLarge,
    /// The name of a service or a method is longer than 64 bytes, or that of a stream longer than 255. Shorten it.
    #[error("name too long: a service's and a method's have 64 bytes at most, a stream's 255")]
    NameTooLong,
    /// The peer does not share this group with us.
    #[error("not in this group")]
    NotInGroup,
    /// A value could not be encoded or decoded; the text says why.
    #[error("codec: {0}")]
    Codec(String),
    /// The peer's handler failed.
    #[error("{code:?}: {text}")]
    CallFailed {
        /// What kind of failure.
        code: FailureCode,
        /// The handler's words, at most 256 bytes.
        text: String,
    },
    /// A stream ended before its end.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

impl Error {
    /// A stable name for programs and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::NoRuntime => "no-runtime",
            Self::Config(_) => "config",
            Self::Identity(_) => "identity",
            Self::Store(_) => "store",
            Self::Offline(_) => "offline",
            Self::Unreachable(_) => "unreachable",
            Self::TimedOut => "timed-out",
            Self::Denied => "denied",
            Self::SessionLost(_) => "session-lost",
            Self::Full => "full",
            Self::TooLarge => "too-large",
            Self::NameTooLong => "name-too-long",
            Self::NotInGroup => "not-in-group",
            Self::Codec(_) => "codec",
            Self::CallFailed { .. } => "call-failed",
            Self::Stream(_) => "stream",
        }
    }
}

impl From<StoreError> for Error {
    fn from(e: StoreError) -> Self {
        Self::Store(e.to_string())
    }
}

impl From<SendError> for Error {
    fn from(e: SendError) -> Self {
        match e {
            SendError::Full => Self::Full,
            SendError::TooLarge => Self::TooLarge,
            SendError::NameTooLong => Self::NameTooLong,
            SendError::NotInGroup | SendError::TooManyGroups => Self::NotInGroup,
        }
    }
}

impl From<CallError> for Error {
    fn from(e: CallError) -> Self {
        match e {
            CallError::Failed { code: FailureCode::Denied, .. } => Self::Denied,
            CallError::Failed { code, text } => Self::CallFailed { code, text },
            CallError::TimedOut => Self::TimedOut,
            CallError::SessionLost => Self::SessionLost("a call was waiting".into()),
        }
    }
}
