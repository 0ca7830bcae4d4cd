//! The tasks of a device that take a moment. They stop with it, and wait while it is asleep.

use std::collections::BTreeMap;

use peers_proto::engine::QuestionId;
use peers_proto::engine::negotiations::NegotiationError;
use peers_proto::id::ConnectionId;
use peers_proto::time::Instant;

use crate::envelopes::EnvelopeId;

/// The step at the end of a task.
#[derive(Debug, Clone)]
pub(super) enum Task {
    /// An envelope is open.
    Open(EnvelopeId),
    /// The app answers a question.
    Answer(QuestionId, bool),
    /// A step of the peer connection with this peer.
    Connection(usize, ConnectionId, Step),
}

/// A report of a peer connection.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// It has a description.
    Made,
    /// It has found a candidate of its own.
    Gathered,
    /// Its transport is open.
    Connected,
    /// It has failed before its handshake began.
    Failed,
    /// Its handshake is over.
    Settled(Result<(), NegotiationError>),
}

#[derive(Debug, Default)]
pub(super) struct Tasks {
    due: BTreeMap<(Instant, u64), Task>,
    begun: u64,
}

impl Tasks {
    pub(super) fn begin(&mut self, due: Instant, task: Task) {
        self.begun += 1;
        self.due.insert((due, self.begun), task);
    }

    /// Ends the tasks of a peer connection.
    pub(super) fn end(&mut self, peer: usize, connection: ConnectionId) {
        self.due.retain(
            |_, task| !matches!(task, Task::Connection(of, at, _) if (*of, *at) == (peer, connection)),
        );
    }

    /// The next task that is due.
    pub(super) fn next(&mut self, now: Instant) -> Option<Task> {
        self.due.first_entry().filter(|task| task.key().0 <= now).map(|task| task.remove())
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }
}
