//! What each side says in READY so that a session goes on over a new connection.

/// Names the author's instance of the session and the next frame it expects.
///
/// A side whose session speaks with instance `epoch` of its peer goes on with it; any other epoch means that the peer
/// has forgotten, and both start afresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// The author's instance of the session; random, never 0. A new one whenever a session has ended.
    pub epoch: u64,
    /// First DATA frame the author has not received.
    pub next: u64,
}

impl Resume {
    /// Bytes of its encoding: two big-endian 64-bit numbers.
    pub const LEN: usize = 16;

    /// The bytes for READY.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..8].copy_from_slice(&self.epoch.to_be_bytes());
        out[8..].copy_from_slice(&self.next.to_be_bytes());
        out
    }

    /// Reads READY's bytes; `None` for another length or an epoch of zero.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (epoch, next) = bytes.split_first_chunk()?;
        let resume =
            Self { epoch: u64::from_be_bytes(*epoch), next: u64::from_be_bytes(next.try_into().ok()?) };
        (resume.epoch != 0).then_some(resume)
    }
}
