//! Ids of paths, and events about them.

use std::time::Duration;

use super::{Quality, Route};

/// Names a path among those of its session. Later paths have greater ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub u64);

/// The status of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// A path carries it.
    Usable,
    /// There is a path, but it does not answer, or has not yet.
    Verifying,
    /// There is no path; what is sent waits for one.
    Down,
    /// The peer said that it would be away; what is sent waits for its return.
    Away,
}

/// An event about the paths of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathEvent {
    /// This path carries the session from now on.
    Current(PathId),
    /// No path is left.
    Down,
    /// [`poll_beat`](super::Paths::poll_beat) has something for this path.
    Ask(PathId),
    /// This path is not needed any more: say goodbye.
    Leave(PathId),
    /// This path has been silent for too long: close it.
    Dead(PathId),
    /// The status has changed.
    Status(Status),
    /// The path in use feels different now (S092, S160).
    Quality(Quality),
    /// No path came back within the window: the session is lost.
    Lost,
}

/// Measurements of a path, for people and programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathInfo {
    /// Its route.
    pub route: Route,
    /// Moving average of the round trip, once measured.
    pub rtt: Option<Duration>,
    /// The mean difference of a round trip from the one before.
    pub jitter: Duration,
    /// Percent of the last ten pings that were not answered in time.
    pub loss: u8,
    /// Bytes per second in both directions over the last second.
    pub throughput: u64,
    /// Bytes sent in all.
    pub sent: u64,
    /// Bytes received in all.
    pub received: u64,
    /// All of this as one number.
    pub quality: Quality,
}
