//! WebRTC data channels (S002–S006): one negotiated, ordered, reliable channel (id 0) per peer connection.
//!
//! ```text
//! Attempt::offer/answer ─┬─ Negotiation   remote answer and candidates in   (clonable, any time)
//!                        ├─ Candidates    local candidates out              (bounded)
//!                        └─ Connecting ── connected() ──► Transport { binding, sink, source }
//! ```
//!
//! | part | does |
//! |---|---|
//! | [`attempt`] | builds the peer connection, exchanges descriptions and candidates |
//! | [`sdp`], [`candidate`] | what may pass from a remote description into the stack |
//! | [`life`], [`connection`] | one close reason, and the task that always closes the peer connection |
//! | [`pipe`], [`inbox`], [`window`] | the two halves of the transport, and how much may be under way |
//! | [`lane`] | QUIC's share of the sockets |
//! | [`runtime`], [`socket`], [`batch`], [`kick`], [`record`] | the stack's runtime and UDP sockets: buffers, GSO, flood caps |

mod attempt;
mod batch;
mod candidate;
mod config;
mod connection;
mod counters;
mod inbox;
mod kick;
mod lane;
mod life;
mod pipe;
mod record;
mod rest;
mod runtime;
mod sdp;
mod socket;
mod window;

pub use attempt::{Attempt, Connecting, Negotiation, WebRtcError};
pub use candidate::CandidateError;
pub use config::{IceServer, WebRtcConfig};
pub use counters::CounterSnapshot;
pub use lane::{Lane, LaneError};
pub use sdp::{DescriptionError, Fingerprint, fingerprint_of_sdp};
