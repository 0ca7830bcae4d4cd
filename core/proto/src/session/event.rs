//! What a session and its app tell each other.

use std::time::Duration;

use crate::id::GroupId;
#[cfg(doc)]
use crate::limits::MAX_NAME;

use super::calls::{CallId, InboundCallId};
#[cfg(doc)]
use super::machine::SessionMachine;
use super::object::Object;
use super::wire::FailureCode;

/// A message from the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// The group it belongs to.
    pub group: Option<GroupId>,
    /// What it says.
    pub object: Object,
}

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The peer's handler says no.
    #[error("{code:?}: {text}")]
    Failed {
        /// What kind of no.
        code: FailureCode,
        /// The peer's words, at most [`crate::limits::MAX_ERROR_TEXT`] bytes.
        text: String,
    },
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The session ended first.
    #[error("the session ended")]
    SessionLost,
}

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Names the handler, at most [`MAX_NAME`] bytes.
    pub service: String,
    /// Names what it shall do, at most [`MAX_NAME`] bytes.
    pub method: String,
    /// The group it is about.
    pub group: Option<GroupId>,
    /// How long the caller waits.
    pub timeout: Duration,
    /// The argument.
    pub object: Object,
}

/// What the app is to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// [`SessionMachine::next_message`] has something.
    MessagesReady,
    /// The peer asks for something; answer with [`SessionMachine::respond`].
    Request(InboundCallId, Request),
    /// The peer no longer waits for this answer.
    RequestCancelled(InboundCallId),
    /// A call of ours is answered.
    Response(CallId, Result<Object, CallError>),
    /// The peer opened a stream.
    StreamOpened {
        /// Its id.
        stream: u64,
        /// What the opener calls it.
        name: String,
        /// The group it belongs to.
        group: Option<GroupId>,
    },
    /// A stream has bytes, its end or its error.
    StreamReadable(u64),
    /// A stream that was full has room, or can take no more at all.
    StreamWritable(u64),
    /// The send queue that was full has room.
    SendRoom,
}
