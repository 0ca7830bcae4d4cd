//! The six digits two people compare when they pair their devices.

use std::fmt;

use super::payload::{Nonce, hash};

/// A short authentication string. Equal on both devices exactly when there is no other device between them. An attacker gets
/// one guess in a million per attempt, so the caller must bound the attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sas(u32);

impl Sas {
    /// `transcript` is the handshake hash after message 2. It covers the prologue (hence the channel binding), both
    /// ephemeral keys, the responder's identity and nonce, and the initiator's commitment to its identity and nonce.
    /// Later hashes would be wrong here: an initiator could try variants of message 3 until the digits suit it.
    pub(super) fn new(transcript: &[u8; 32], initiator: &Nonce, responder: &Nonce) -> Self {
        let digest = hash(b"peers sas\0", &[transcript, initiator, responder]);
        // 64 bits modulo a million: the bias is below 2^-44.
        let number = digest.iter().take(8).fold(0u64, |n, b| n << 8 | u64::from(*b));
        Self((number % 1_000_000) as u32)
    }
}

impl fmt::Display for Sas {
    /// Six digits, leading zeros included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}
