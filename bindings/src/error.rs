//! The error that apps get, and the one that they return.

use crate::FailureCode;

/// The reason for which an operation failed. Each variant says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum PeersError {
    /// The client was shut down, or this session or stream was closed here. Make a new client, or get a new session.
    #[error("closed")]
    Closed,
    /// `start` was not called, or did not succeed. Start the client first.
    #[error("not started")]
    NotStarted,
    /// The configuration cannot work; the reason names the setting. Correct it.
    #[error("configuration: {reason}")]
    Config {
        /// The setting, and what is wrong with it.
        reason: String,
    },
    /// The device's keys could not be read or kept. Check the file or the secret store; trying again may help.
    #[error("identity: {reason}")]
    Identity {
        /// The message of the file system or the store.
        reason: String,
    },
    /// The store of levels and keys could not be read or written. Make room, or see to the file.
    #[error("store: {reason}")]
    Store {
        /// The message of the store.
        reason: String,
    },
    /// No relay answers, so peers cannot be found. Wait for the state to be online; the client tries by itself.
    #[error("offline: {reason}")]
    Offline {
        /// Each relay, and why it is not reached.
        reason: String,
    },
    /// The peer cannot be reached now. Try again when it comes online.
    #[error("unreachable: {reason}")]
    Unreachable {
        /// The ways that were tried, and why each failed.
        reason: String,
    },
    /// No answer in time. Trying again may help; whether the peer acted on the request is unknown.
    #[error("timed out")]
    TimedOut,
    /// The peer refuses this device, or this device refuses the peer. Ask people, do not try again.
    #[error("denied")]
    Denied,
    /// The session ended and could not be resumed: what was not acknowledged may be lost. Get a new session.
    #[error("session lost: {reason}")]
    SessionLost {
        /// The reason.
        reason: String,
    },
    /// Too much is waiting already. Wait for some of it, then try again.
    #[error("full")]
    Full,
    /// More than one message may hold. Send it as a stream.
    #[error("too large")]
    TooLarge,
    /// The name of a service, a method or a device has more than 64 bytes, or that of a stream more than 255. Shorten it.
    #[error("name too long")]
    NameTooLong,
    /// The two devices do not share this group. Leave the group out, or join it first.
    #[error("not in the group")]
    NotInGroup,
    /// Data that is not what it should be. It is the sender's mistake.
    #[error("codec: {reason}")]
    Codec {
        /// The defect of the data.
        reason: String,
    },
    /// The peer answered a call with an error. The code says whose turn it is.
    #[error("call failed: {code:?}: {text}")]
    CallFailed {
        /// The kind of error.
        code: FailureCode,
        /// The peer's words.
        text: String,
    },
    /// The peer gave up this stream. The code is the application's.
    #[error("stream ended by the peer with code {code}")]
    StreamReset {
        /// The application's reason.
        code: u64,
    },
    /// The caller cancelled the operation.
    #[error("cancelled")]
    Cancelled,
    /// A defect of this library. Please report it.
    #[error("internal: {reason}")]
    Internal {
        /// For the report.
        reason: String,
    },
}

impl From<peers::Error> for PeersError {
    fn from(error: peers::Error) -> Self {
        match error {
            // This client's own runtime ends with the client.
            peers::Error::Closed | peers::Error::NoRuntime => Self::Closed,
            peers::Error::Config(reason) => Self::Config { reason },
            peers::Error::Identity(reason) => Self::Identity { reason },
            peers::Error::Store(reason) => Self::Store { reason },
            peers::Error::Offline(reason) => Self::Offline { reason },
            peers::Error::Unreachable(reason) => Self::Unreachable { reason },
            peers::Error::TimedOut => Self::TimedOut,
            peers::Error::Denied => Self::Denied,
            peers::Error::SessionLost(reason) => Self::SessionLost { reason },
            peers::Error::Full => Self::Full,
            peers::Error::TooLarge => Self::TooLarge,
            peers::Error::NameTooLong => Self::NameTooLong,
            peers::Error::NotInGroup => Self::NotInGroup,
            peers::Error::Codec(reason) => Self::Codec { reason },
            peers::Error::CallFailed { code, text } => Self::CallFailed { code, text },
            peers::Error::Stream(error) => error.into(),
        }
    }
}

impl From<peers::StreamError> for PeersError {
    fn from(error: peers::StreamError) -> Self {
        match error {
            peers::StreamError::Reset(code) | peers::StreamError::Stopped(code) => Self::StreamReset { code },
            peers::StreamError::Closed => Self::Closed,
        }
    }
}

/// An error that the app's own code may throw when it is called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum CallbackError {
    /// It did not work.
    #[error("{reason}")]
    Failed {
        /// The reason, for a log or for the error that follows from it.
        reason: String,
    },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for CallbackError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed { reason: error.reason }
    }
}
