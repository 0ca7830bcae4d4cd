//! State that two devices share across connections: messages, calls and streams.
//!
//! ```text
//!  app -> send_message, call, write -> Outbox -> poll_frame -> Retained -> the current path
//!  app <- next_message, poll_event  <- Inbox  <- Assemblies <- handle_frame <- the current path
//! ```
//!
//! A session numbers its DATA frames and keeps each until the peer has acknowledged it. A path is any reliable pipe. When it is
//! replaced ([`SessionMachine::attach`]) the peer names the frame it expects. Everything from there on is sent again, and frames that
//! arrive twice are dropped by their number. So every object arrives exactly once and in order, whatever happens to the paths
//! below. All queues are bounded by credit that the receiver gives as its app takes what arrived. The bytes that a session
//! holds for its peer are counted against the memory of the process ([`MemoryBudget`]).

mod account;
mod app;
mod assembly;
mod calls;
mod control;
mod credit;
mod error;
mod event;
mod inbound;
mod inbox;
mod kept;
mod machine;
mod membership;
mod object;
mod outbox;
mod resume;
mod retained;
mod streams;
pub mod wire;

pub use account::MemoryBudget;
pub use calls::{CallId, InboundCallId};
pub use error::{SendError, SessionError, StreamError};
pub use event::{CallError, ReceivedMessage, Request, SessionEvent};
pub use machine::{SessionConfig, SessionMachine};
pub use object::{Encoding, Object};
pub use resume::{Epochs, Reconciled, Resume};
pub use streams::{STREAM_DROPPED, STREAM_REFUSED};
pub use wire::FailureCode;

#[cfg(test)]
mod tests;
