//! Sealing of frames with the keys a handshake left behind: ChaCha20-Poly1305, one key per direction.
//!
//! | offset | bytes | field                                                                   |
//! |--------|-------|-------------------------------------------------------------------------|
//! | 0      | 1     | 0xE0, or 0xE1 on the last frame under a key; authenticated, not secret  |
//! | 1      | n     | ciphertext                                                              |
//! | 1 + n  | 16    | Poly1305 tag                                                            |
//!
//! Nonces are the frame's number and never travel, so a frame that is lost, repeated, reordered or altered fails to open, and
//! so does everything after it. The sender alone decides when a key has served long enough, by frames, bytes and time. The mark
//! on the last frame shows it to the receiver, so no two clocks or counters have to agree. Both then apply REKEY of the Noise
//! specification (section 4.2); numbers go on.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use snow::params::CipherChoice;
use snow::resolvers::{CryptoResolver, RingResolver};
use snow::types::Cipher;

use crate::keys::{KEY_LEN, Seed};
use crate::limits::{MAX_FRAME, REKEY_BYTES, REKEY_FRAMES, SEAL_ROOM};
use crate::time::Instant;
use crate::timing::REKEY_AFTER;

const TAG_LEN: usize = 16;
/// Bytes sealing adds to a frame.
pub const SEAL_OVERHEAD: usize = 1 + TAG_LEN;
const _: () = assert!(SEAL_OVERHEAD <= SEAL_ROOM);

const SEALED: u8 = 0xE0;
const SEALED_LAST: u8 = 0xE1;

/// Opened frames are cut from blocks of this many bytes, one of the largest frames. A holder of a part of a frame keeps its
/// block, and is charged for the part. No allocation is needed once the reader lets go of them.
const BLOCK: usize = MAX_FRAME + SEAL_OVERHEAD;

/// The reason for which a frame could not be sealed or opened. The connection is over: nothing can follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Beyond `MAX_FRAME`.
    #[error("a frame is larger than {MAX_FRAME} bytes")]
    TooLarge,
    /// Not a sealed frame at all.
    #[error("not a sealed frame")]
    Malformed,
    /// Altered, repeated, out of order or of another connection.
    #[error("a frame is not authentic")]
    NotAuthentic,
    /// 2^64 - 1 frames went one way.
    #[error("frame numbers are used up")]
    Exhausted,
    /// An earlier frame already failed.
    #[error("sealing has failed before")]
    Over,
}

/// Seals the frames of one direction.
pub struct Sealer {
    key: SealKey,
    policy: RekeyPolicy,
    frames: u64,
    bytes: u64,
    since: Instant,
    spare: BytesMut,
}

impl Sealer {
    pub(crate) fn new(key: &Seed, now: Instant) -> Result<Self, SealError> {
        Ok(Self {
            key: SealKey::new(key)?,
            policy: RekeyPolicy::STANDARD,
            frames: 0,
            bytes: 0,
            since: now,
            spare: BytesMut::new(),
        })
    }

    /// Replaces `frame` by its sealed form, [`SEAL_OVERHEAD`] bytes longer. The buffer passed in becomes the next
    /// frame's output, so a caller that reuses its buffers causes no allocation.
    ///
    /// # Errors
    /// [`SealError::TooLarge`], [`SealError::Exhausted`]; `frame` is then as it was.
    pub fn seal(&mut self, frame: &mut BytesMut, now: Instant) -> Result<(), SealError> {
        let last = self.policy.is_due(self.frames + 1, self.bytes + frame.len() as u64, now - self.since);
        self.seal_as(if last { SEALED_LAST } else { SEALED }, frame)?;
        if last {
            self.key.cipher.rekey();
            (self.frames, self.bytes, self.since) = (0, 0, now);
        }
        Ok(())
    }

    /// Seals under a first byte of the caller's choice.
    pub(crate) fn seal_as(&mut self, kind: u8, frame: &mut BytesMut) -> Result<(), SealError> {
        if frame.len() > MAX_FRAME {
            return Err(SealError::TooLarge);
        }
        let nonce = self.key.next_nonce()?;
        self.spare.clear();
        self.spare.resize(frame.len() + SEAL_OVERHEAD, 0);
        self.spare[0] = kind;
        self.key.cipher.encrypt(nonce, &[kind], frame, &mut self.spare[1..]);
        self.frames += 1;
        self.bytes += frame.len() as u64;
        std::mem::swap(frame, &mut self.spare);
        Ok(())
    }
}

/// Opens the frames of one direction.
pub struct Opener {
    key: SealKey,
    block: BytesMut,
    over: bool,
}

impl Opener {
    pub(crate) fn new(key: &Seed) -> Result<Self, SealError> {
        Ok(Self { key: SealKey::new(key)?, block: BytesMut::new(), over: false })
    }

    /// The frame inside a sealed one. After an error every further call fails with [`SealError::Over`].
    ///
    /// # Errors
    /// Every [`SealError`].
    pub fn open(&mut self, sealed: &[u8]) -> Result<Bytes, SealError> {
        let kind = sealed.first().copied();
        let opened = match kind {
            Some(SEALED | SEALED_LAST) => self.open_any(sealed),
            _ => self.fail(SealError::Malformed),
        }?;
        if kind == Some(SEALED_LAST) {
            self.key.cipher.rekey();
        }
        Ok(opened)
    }

    /// Opens a frame sealed with [`Sealer::seal_as`].
    pub(crate) fn open_as(&mut self, kind: u8, sealed: &[u8]) -> Result<Bytes, SealError> {
        if sealed.first() == Some(&kind) { self.open_any(sealed) } else { self.fail(SealError::Malformed) }
    }

    fn open_any(&mut self, sealed: &[u8]) -> Result<Bytes, SealError> {
        if self.over {
            return Err(SealError::Over);
        }
        if sealed.len() < SEAL_OVERHEAD {
            return self.fail(SealError::Malformed);
        }
        if sealed.len() > MAX_FRAME + SEAL_OVERHEAD {
            return self.fail(SealError::TooLarge);
        }
        let Ok(nonce) = self.key.next_nonce() else { return self.fail(SealError::Exhausted) };
        let (kind, ciphertext) = sealed.split_at(1);
        if self.block.capacity() < ciphertext.len() {
            self.block.reserve(BLOCK);
        }
        self.block.resize(ciphertext.len(), 0);
        match self.key.cipher.decrypt(nonce, kind, ciphertext, &mut self.block) {
            Ok(len) => Ok(self.block.split_to(len).freeze()),
            Err(_) => self.fail(SealError::NotAuthentic),
        }
    }

    fn fail(&mut self, error: SealError) -> Result<Bytes, SealError> {
        let error = if self.over { SealError::Over } else { error };
        self.over = true;
        Err(error)
    }
}

/// Limits of a key's use.
#[derive(Debug, Clone, Copy)]
struct RekeyPolicy {
    frames: u64,
    bytes: u64,
    after: Duration,
}

impl RekeyPolicy {
    const STANDARD: Self = Self { frames: REKEY_FRAMES, bytes: REKEY_BYTES, after: REKEY_AFTER };

    fn is_due(&self, frames: u64, bytes: u64, age: Duration) -> bool {
        frames >= self.frames || bytes >= self.bytes || age >= self.after
    }
}

struct SealKey {
    cipher: Box<dyn Cipher>,
    nonce: u64,
}

impl SealKey {
    fn new(key: &Seed) -> Result<Self, SealError> {
        // Never fails: ring has this cipher.
        let mut cipher = RingResolver.resolve_cipher(&CipherChoice::ChaChaPoly).ok_or(SealError::Over)?;
        const { assert!(KEY_LEN == 32) };
        cipher.set(&key.0);
        Ok(Self { cipher, nonce: 0 })
    }

    /// Numbers of frames; the largest is reserved for REKEY.
    fn next_nonce(&mut self) -> Result<u64, SealError> {
        let nonce = self.nonce;
        self.nonce = nonce.checked_add(1).ok_or(SealError::Exhausted)?;
        Ok(nonce)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("frame", &self.key.nonce).finish_non_exhaustive()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("frame", &self.key.nonce).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
