//! WebRTC data channels (S002–S006): one negotiated, ordered, reliable channel (id 0) per peer connection.
//!
//! ```text
//! WebRtcAttempt::offer/answer ─┬─ WebRtcNegotiation   remote answer and candidates in   (clonable, any time)
//!                              ├─ Candidates          local candidates out              (bounded)
//!                              └─ Connecting ── connected() ──► Transport { binding, sink, source }
//! ```
//!
//! | part | does |
//! |---|---|
//! | [`attempt`] | builds the peer connection, exchanges descriptions and candidates |
//! | [`settings`], [`pair`] | the stack's settings, facts about the pair in use |
//! | [`sdp`], [`attribute`], [`candidate`] | descriptions and candidates: read, judged and written anew |
//! | [`gate`], [`stun`], [`record`], [`handshake`] | which datagrams the stack may see, and from whom |
//! | [`opener`], [`chunk`] | which records the stack may see once DTLS has opened them |
//! | [`connection`] | the task that always closes the peer connection |
//! | [`pipe`], [`inbox`], [`window`] | the two halves of the transport, and how much may be under way |
//! | [`lane`] | QUIC's share of the sockets |
//! | [`addresses`], [`pace`] | which sockets a connection has, and how often checks leave them |
//! | [`names`], [`turn`] | STUN and TURN servers: their addresses, and what is said to them |
//! | [`runtime`], [`socket`], [`batch`], [`kick`] | the stack's runtime and UDP sockets: buffers, GSO |

mod addresses;
mod attempt;
mod attribute;
mod batch;
mod candidate;
mod chunk;
mod config;
mod connection;
mod counters;
mod gate;
mod handshake;
mod inbox;
mod kick;
mod lane;
mod names;
mod opener;
mod pace;
mod pair;
mod pipe;
mod record;
mod rest;
mod runtime;
mod sdp;
mod settings;
mod socket;
mod stun;
mod turn;
mod window;

pub use attempt::{Connecting, WebRtcAttempt, WebRtcError, WebRtcNegotiation};
pub use candidate::CandidateError;
pub use config::WebRtcConfig;
pub use counters::CounterSnapshot;
pub use lane::{DatagramLane, LaneError};
pub use names::Names;
pub use sdp::{DescriptionError, Fingerprint, fingerprint_of_sdp};
pub use turn::TurnRefusal;
