//! Seeded worlds of many devices around the sans-IO machines of `peers-proto`, in virtual time.
//!
//! ```text
//!  Scenario + seed -> Plan ─> World ── earliest event ──> Device ─> peers_proto: Engine, Negotiations, Multipath
//!                               │  actions: outages, sleep, crashes      │        │
//!                               └────── Net: pipes, NATs, relays <───────┘       App: what it sent, what it may expect
//! ```
//!
//! No thread, no clock, no randomness but the seed's: a failing seed replays exactly, and its timeline says what
//! happened. After every event the invariants of [`Failure`] hold, or the run ends with one.

mod app;
mod device;
mod envelopes;
mod failure;
mod net;
mod peer_connection;
mod pipe;
mod plan;
mod presence;
mod queue;
mod random;
mod run;
mod scenarios;
mod timeline;
mod world;

pub use failure::{Failure, Violation};
pub use plan::Fault;
pub use run::{Report, Totals, replay, sweep};
pub use scenarios::{SCENARIOS, Scenario, scenario};
