//! The paths of a session: which one carries it, whether each is alive, and how good it is.
//!
//! ```text
//!  connections made ─ add ────┐                       ┌─> Current: frames go there from now on
//!  frames, bytes ─ heard … ───┤                       ├─> Leave, Dead: say goodbye, or close
//!  network, app ── probe … ───┼─> Paths ─ poll_output ┼─> Ask: a ping or pong waits
//!  time ─ handle_timeout ─────┘                       └─> Status, Quality: what the app is told
//! ```
//!
//! `Standing` is the whole policy: paths are compared by it, field by field. A path that does not answer is suspect long
//! before it is dead, and a path in reserve takes over meanwhile; the session follows ([`crate::session::SessionMachine::switch`]).

mod liveness;
mod metrics;
mod paths;
mod quality;
mod route;

pub use liveness::{Beat, Liveness, Pace, Verdict};
pub use metrics::Metrics;
pub use paths::{PathEvent, PathId, PathInfo, Paths, Status};
pub use quality::{Level, Quality};
pub use route::{Preference, Route, Tier};

#[cfg(test)]
mod tests;
