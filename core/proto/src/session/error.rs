//! Errors of a session.

use super::wire::WireError;

/// Why a session cannot go on: the peer broke the protocol, or this process has no memory left for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Bytes that are not a frame.
    #[error("malformed frame: {0}")]
    Malformed(#[from] WireError),
    /// A well-formed frame that breaks a rule.
    #[error("protocol violation: {0}")]
    Violation(&'static str),
    /// A frame is missing before this one: the transport lost it.
    #[error("a frame is missing")]
    Gap,
    /// The session holds more than its share, and the process has no memory left for that.
    #[error("the process holds too much for this session")]
    Overloaded,
    /// An object stopped half-way.
    #[error("an object stopped half-way")]
    Stalled,
}

/// Why the session did not take something from the app. Nothing was lost: the caller still has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The queue is full; try again after [`super::SessionEvent::SendRoom`].
    #[error("the queue is full")]
    Full,
    /// Larger than [`crate::limits::MAX_MESSAGE`]: use a stream.
    #[error("larger than a message may be")]
    TooLarge,
    /// The name of a service or a method longer than [`crate::limits::MAX_NAME`] bytes, or that of a stream longer than
    /// [`crate::limits::MAX_STREAM_NAME`].
    #[error("a name is too long")]
    NameTooLong,
    /// This session does not carry this group.
    #[error("the peer is not a member of this group")]
    NotInGroup,
    /// More groups than [`crate::limits::MAX_GROUPS`].
    #[error("too many groups")]
    TooManyGroups,
}

/// Why a stream ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The writer gave up, with its code.
    #[error("reset by the peer (code {0})")]
    Reset(u64),
    /// The reader lost interest, with its code.
    #[error("stopped by the peer (code {0})")]
    Stopped(u64),
    /// Ended, reset or never there.
    #[error("the stream is closed")]
    Closed,
}
