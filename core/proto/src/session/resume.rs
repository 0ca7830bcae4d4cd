//! What each side says in READY so that a session goes on over a new connection.

/// Names a session's instance at both ends and the next frame its author expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// The author's instance of the session.
    pub epoch: u64,
    /// The peer's instance as the author remembers it; 0 for none.
    pub peer_epoch: u64,
    /// First DATA frame the author has not received.
    pub next: u64,
}

impl Resume {
    /// Bytes of its encoding: three big-endian 64-bit numbers.
    pub const LEN: usize = 24;

    /// The bytes for READY.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        for (part, number) in out.chunks_exact_mut(8).zip([self.epoch, self.peer_epoch, self.next]) {
            part.copy_from_slice(&number.to_be_bytes());
        }
        out
    }

    /// Reads READY's bytes; `None` for another length or an epoch of zero.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let number = |i: usize| bytes[i..i + 8].iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
        let resume = Self { epoch: number(0), peer_epoch: number(8), next: number(16) };
        (resume.epoch != 0).then_some(resume)
    }

    /// Whether both speak of the same two instances. Each side evaluates it with the other's words swapped and comes
    /// to the same answer.
    pub fn continues(&self, theirs: &Self) -> bool {
        self.peer_epoch == theirs.epoch && theirs.peer_epoch == self.epoch
    }
}
