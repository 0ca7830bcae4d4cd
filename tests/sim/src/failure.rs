//! What must never happen.

use peers_proto::session::SessionError;
use peers_proto::time::Instant;

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// An object came twice, out of order, or after a hole.
    Order(String),
    /// Bytes that nobody sent.
    Content(String),
    /// An object, a stream or a call never arrived although its session lives on.
    Lost(String),
    /// A call ended twice, too early or never.
    Call(String),
    /// A dial by WebRTC ended twice or never, or a peer connection did.
    Dial(String),
    /// A session ended although nothing forced it to.
    Needless(String),
    /// The wrong sessions were given up for want of room, or too many.
    Choice(String),
    /// Two devices that could talk have no usable session.
    Stuck(String),
    /// More memory than the limits allow.
    Memory(String),
    /// A machine refused what an honest peer sent.
    Protocol(SessionError),
    /// A phone that nobody uses was woken too often.
    Restless(String),
    /// Events without end in no time.
    Storm,
}

/// An invariant that did not hold, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Virtual time since the beginning of the world.
    pub at: Instant,
    /// What happened.
    pub what: Violation,
}
