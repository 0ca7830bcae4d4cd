//! Bytes that have passed, as both ends count them.

use sha2::{Digest, Sha256};

/// The count of bytes and their SHA-256.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    bytes: u64,
    hash: Sha256,
}

impl Tally {
    pub(crate) fn add(&mut self, chunk: &[u8]) {
        self.bytes += chunk.len() as u64;
        self.hash.update(chunk);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The SHA-256 in hexadecimal, as `sha256sum` prints it.
    pub(crate) fn sha256(&self) -> String {
        format!("{:x}", self.hash.clone().finalize())
    }

    /// The answer of a receiver: the count (64 bits, big endian) and the SHA-256.
    pub(crate) fn receipt(&self) -> Vec<u8> {
        [&self.bytes.to_be_bytes()[..], &self.hash.clone().finalize()].concat()
    }
}
