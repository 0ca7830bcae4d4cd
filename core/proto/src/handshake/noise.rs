//! One side of the handshake's Noise.

use snow::HandshakeState;
use x25519_dalek::{PublicKey, StaticSecret};

use super::error::HandshakeError;
use crate::keys::{DeviceKeys, KEY_LEN, Seed};
use crate::limits::MAX_HANDSHAKE;
use crate::noise;

const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_SHA256";

/// One side of `Noise_XX_25519_ChaChaPoly_SHA256`.
pub(super) struct Noise {
    state: HandshakeState,
    ephemeral_pk: [u8; KEY_LEN],
}

impl Noise {
    pub(super) fn new(
        initiator: bool,
        keys: &DeviceKeys,
        ephemeral: Seed,
        prologue: &[u8],
    ) -> Result<Self, HandshakeError> {
        let ephemeral_pk = PublicKey::from(&StaticSecret::from(ephemeral.0)).to_bytes();
        let build = || {
            let builder = noise::builder(PATTERN, Some(ephemeral))?
                .local_private_key(keys.noise_secret().as_bytes())?
                .prologue(prologue)?;
            if initiator { builder.build_initiator() } else { builder.build_responder() }
        };
        let state = build().map_err(|_: snow::Error| HandshakeError::Crypto("configuration"))?;
        Ok(Self { state, ephemeral_pk })
    }

    /// The ephemeral key this side sends.
    pub(super) const fn ephemeral_pk(&self) -> &[u8; KEY_LEN] {
        &self.ephemeral_pk
    }

    /// The next message with `payload`, behind the frame's first byte.
    pub(super) fn write(&mut self, tag: u8, payload: &[u8]) -> Result<Vec<u8>, HandshakeError> {
        let mut frame = vec![tag; MAX_HANDSHAKE];
        let len = self
            .state
            .write_message(payload, &mut frame[1..])
            .map_err(|_| HandshakeError::Crypto("handshake message"))?;
        frame.truncate(1 + len);
        Ok(frame)
    }

    /// The payload of the peer's next message.
    pub(super) fn read(&mut self, message: &[u8]) -> Result<Vec<u8>, HandshakeError> {
        let mut payload = vec![0; message.len()];
        let len = self.state.read_message(message, &mut payload).map_err(|error| match error {
            snow::Error::Input => HandshakeError::Malformed("too short"),
            _ => HandshakeError::NotAuthentic,
        })?;
        payload.truncate(len);
        Ok(payload)
    }

    /// The hash of everything exchanged so far, prologue included.
    pub(super) fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.state.get_handshake_hash());
        hash
    }

    /// The static key the peer has proven to hold, or is about to.
    pub(super) fn remote_static(&self) -> Option<&[u8]> {
        self.state.get_remote_static()
    }

    /// The keys of the two directions after the last message, initiator's first.
    pub(super) fn split(mut self) -> (Seed, Seed) {
        let (initiator, responder) = self.state.dangerously_get_raw_split();
        (Seed(initiator), Seed(responder))
    }
}
