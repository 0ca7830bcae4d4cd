//! A relay that lies, and a network that sits in the middle: what devices make of them.
//!
//! | module | attack |
//! |---|---|
//! | [`dtls`] | somebody terminates DTLS on both sides and passes every frame on |
//! | [`envelopes`] | offers and answers altered, forged, relabelled, swapped, replayed |
//! | [`knocks`] | an old knock repeated |
//! | [`registration`] | an old registration on a new socket |
//! | [`certificates`] | another certificate than the one asked for |
//! | [`relay_data`] | relayed frames altered, replayed, reordered, swapped |

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod certificates;
mod dtls;
mod envelopes;
mod knocks;
mod registration;
mod relay_data;
mod world;
