//! What two devices share across connections: messages, calls and streams.
//!
//! ```text
//!  app -> send_message, call, write -> Outbox -> poll_frame -> Retained -> the current path
//!  app <- next_message, poll_event  <- Inbox  <- Assemblies <- handle_frame <- the current path
//! ```
//!
//! A session numbers its DATA frames and keeps each until the peer has acknowledged it. A path is any reliable pipe; when
//! it is replaced ([`Session::attach`]) the peer says which frame it expects, everything from there on is sent again,
//! and what arrives twice is dropped by its number. So every object arrives exactly once and in order, whatever happens
//! to the paths below. All queues are bounded by credit that the receiver gives as its app takes what arrived, and what a
//! session holds for its peer is counted against the memory of the process ([`MemoryBudget`]).

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
pub use event::{CallError, Message, Request, SessionEvent};
pub use machine::{Session, SessionConfig};
pub use object::{Encoding, Object};
pub use resume::{Epochs, Reconciled, Resume};
pub use streams::{STREAM_DROPPED, STREAM_REFUSED};
pub use wire::FailureCode;

#[cfg(test)]
mod tests;
