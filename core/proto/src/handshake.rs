//! Two devices prove who they are, over any transport, and agree on keys: `Noise_XX_25519_ChaChaPoly_SHA256`.
//!
//! ```text
//! initiator                                              responder
//! M1  e, {versions, modes, hint, commitment}     ->      knows the hint? (or pairing is open)
//!                                                <-  M2  e, ee, s, es, {version, mode, nonce, certificate}
//! is it who I dialed, with the keys I know?
//! M3  s, se, {nonce, certificate}                ->      does it open the commitment?
//! Authenticated: decide                                  Authenticated: decide
//! a person decides? ASKING, sealed               <->  the peer shows the digits as well
//! READY, sealed                                  <->  READY, sealed
//! Established                                            Established
//! ```
//!
//! The prologue is `"peers/1" ‖ transport kind ‖ connection id ‖ binding`: ends that do not share one channel do not share a
//! transcript, and the first sealed payload fails to open. Before the peer is authenticated a failure sends it `malformed`,
//! `version` or `timeout`. Every failure after that, and the refusal of a caller that does not know this device's key, is one
//! and the same `Denied` frame. Anybody on the way can write these in the clear, so they end one connection and say nothing
//! about the peer. The peer's own no is a `Refused` frame in place of READY, sealed with the keys of the handshake. Byte
//! layouts: `core/docs/handshake.md`.

mod error;
mod noise;
mod payload;
mod sas;
mod steps;

use std::collections::VecDeque;
use std::fmt;

use bytes::BytesMut;

use crate::certificate::DeviceCertificate;
use crate::id::{ConnectionId, DeviceId};
use crate::keys::{DeviceKeys, Seed};
use crate::limits::{MAX_BINDING, MAX_READY};
use crate::seal::{Opener, Sealer};
use crate::time::Instant;
use crate::timing::HANDSHAKE_TIMEOUT;
use crate::transport_kind::TransportKind;
use crate::trust::KnownKeys;
use error::FailureNotice;
use noise::Noise;
use payload::{HandshakeOffer, Nonce, Opening};

pub use error::{Alert, HandshakeError};
pub use sas::Sas;

/// Versions of the protocol this build speaks, ascending.
pub const VERSIONS: &[u8] = &[1];
/// Bytes of a binding that vouches for the channel: both ends' certificate hashes, initiator's first.
pub const FULL_BINDING: usize = 64;

const TAG_M1: u8 = 0xF0;
const TAG_M2: u8 = 0xF1;
const TAG_M3: u8 = 0xF2;
const TAG_READY: u8 = 0xF3;
const TAG_DENIED: u8 = 0xF4;
const TAG_ALERT: u8 = 0xF5;
const TAG_REFUSED: u8 = 0xF6;
const TAG_ASKING: u8 = 0xF7;

/// One side's inputs to the handshake.
pub struct Config {
    /// This device's keys.
    pub keys: DeviceKeys,
    /// The certificate of those keys.
    pub certificate: DeviceCertificate,
    /// The transport that carries the frames.
    pub kind: TransportKind,
    /// The attempt, as both ends know it.
    pub connection_id: ConnectionId,
    /// Bytes that both ends of the channel see only if there is no other device between them; at most 64.
    pub binding: Vec<u8>,
    /// Seal frames even where the channel already encrypts and its binding is verified.
    pub require_sealing: bool,
    /// True if people are about to compare digits: a responder then answers strangers.
    pub pairing: bool,
    /// 32 fresh bytes from the operating system's generator, never used before.
    pub entropy: [u8; 32],
}

/// The device that an initiator dials.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The device; any other is refused.
    pub device: DeviceId,
    /// Its keys, from its certificate. Without them only a responder whose pairing is open will answer.
    pub keys: Option<KnownKeys>,
}

/// Sealing of frames after the handshake. Message 2 fixes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Every frame is sealed.
    Sealed,
    /// The channel encrypts and is bound to both identities: sealing again adds nothing (S009).
    Plain,
}

/// A step the caller must know about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandshakeEvent {
    /// The peer has proven who it is. Decide: [`Handshake::accept`] or [`Handshake::reject`].
    Authenticated(Authenticated),
    /// The peer asks a person, who sees the same digits as this side has ([`Authenticated::sas`]).
    Asking(Authenticated),
    /// Both sides accepted: [`Handshake::finish`].
    Established,
}

/// The proven identity of the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// Its verified certificate.
    pub certificate: DeviceCertificate,
    /// The digits to compare when pairing.
    pub sas: Sas,
    /// The version in use.
    pub version: u8,
    /// True if frames will be sealed.
    pub mode: Mode,
}

/// The outcome of a successful handshake.
#[derive(Debug)]
pub struct Established {
    /// The peer's verified certificate.
    pub certificate: DeviceCertificate,
    /// The version in use.
    pub version: u8,
    /// True if frames are sealed.
    pub mode: Mode,
    /// Seals outgoing and opens incoming frames; `None` in [`Mode::Plain`].
    pub seal: Option<(Sealer, Opener)>,
    /// The bytes that the peer passed to its `accept`, at most 256.
    pub peer_ready: Vec<u8>,
    /// Names this handshake: equal on both sides and on no other connection.
    pub handshake_hash: [u8; 32],
    /// The digits to compare when pairing.
    pub sas: Sas,
}

/// One side of one handshake.
pub struct Handshake {
    config: Config,
    nonce: Nonce,
    state: HandshakeState,
    output: VecDeque<Vec<u8>>,
    started: Instant,
    deadline: Instant,
    /// The peer has proven who it is: from here on it hears only `Denied`.
    authenticated: bool,
    over: bool,
}

enum HandshakeState {
    AwaitM1 { noise: Noise },
    AwaitM2 { noise: Noise, offer: HandshakeOffer, expected: Expected },
    AwaitM3 { noise: Noise, offer: HandshakeOffer, version: u8, mode: Mode, transcript: [u8; 32] },
    Deciding(Box<Proven>),
    Over,
}

/// The state once the peer is known.
struct Proven {
    peer: Authenticated,
    handshake_hash: [u8; 32],
    sealer: Sealer,
    opener: Opener,
    asks: bool,
    accepted: bool,
    peer_asks: bool,
    peer_ready: Option<Vec<u8>>,
}

impl Handshake {
    /// Starts as initiator: message 1 is ready to be sent.
    ///
    /// # Errors
    /// [`HandshakeError::Malformed`] if the binding is too long.
    pub fn initiator(config: Config, expected: Expected, now: Instant) -> Result<Self, HandshakeError> {
        let (mut noise, mut this) = Self::new(true, config, now)?;
        let opening = Opening { nonce: this.nonce, certificate: this.config.certificate.clone() };
        let hint = match &expected.keys {
            Some(keys) => payload::hint(&keys.noise_pk, noise.ephemeral_pk()),
            None => payload::Hint::default(),
        };
        let offer = HandshakeOffer {
            versions: VERSIONS.to_vec(),
            plain: this.config.allows_plain(),
            hint,
            commitment: opening.commitment(),
        };
        this.output.push_back(noise.write(TAG_M1, &offer.encode())?);
        this.state = HandshakeState::AwaitM2 { noise, offer, expected };
        Ok(this)
    }

    /// Starts as responder.
    ///
    /// # Errors
    /// [`HandshakeError::Malformed`] if the binding is too long.
    pub fn responder(config: Config, now: Instant) -> Result<Self, HandshakeError> {
        let (noise, mut this) = Self::new(false, config, now)?;
        this.state = HandshakeState::AwaitM1 { noise };
        Ok(this)
    }

    fn new(initiator: bool, mut config: Config, now: Instant) -> Result<(Noise, Self), HandshakeError> {
        if config.binding.len() > MAX_BINDING {
            return Err(HandshakeError::Malformed("binding"));
        }
        let entropy = Seed(std::mem::take(&mut config.entropy));
        let secret = |purpose| Seed(*entropy.derive(b"peers/1 handshake", purpose));
        let noise = Noise::new(initiator, &config.keys, secret(b"ephemeral"), &config.prologue())?;
        Ok((
            noise,
            Self {
                nonce: secret(b"sas nonce").0,
                started: now,
                deadline: now + HANDSHAKE_TIMEOUT,
                state: HandshakeState::Over,
                output: VecDeque::new(),
                authenticated: false,
                over: false,
                config,
            },
        ))
    }

    /// Takes a frame from the transport.
    ///
    /// # Errors
    /// The handshake is then over: send what [`Self::poll_output`] still gives and close the transport.
    pub fn handle_frame(
        &mut self,
        frame: &[u8],
        now: Instant,
    ) -> Result<Option<HandshakeEvent>, HandshakeError> {
        self.handle_timeout(now)?;
        self.step(frame).map_err(|error| self.fail(error))
    }

    /// Tells the peer that a person is asked here, so that both can see the digits before either decides.
    ///
    /// # Errors
    /// [`HandshakeError::State`] unless the peer has just been authenticated, and the second time.
    pub fn ask(&mut self) -> Result<(), HandshakeError> {
        let HandshakeState::Deciding(proven) = &mut self.state else { return Err(HandshakeError::State) };
        if proven.accepted || std::mem::replace(&mut proven.asks, true) {
            return Err(HandshakeError::State);
        }
        let mut frame = BytesMut::new();
        proven.sealer.seal_as(TAG_ASKING, &mut frame)?;
        self.output.push_back(frame.to_vec());
        Ok(())
    }

    /// Lets the connection come about. `ready` (at most 256 bytes) reaches the peer sealed, with this side's consent.
    ///
    /// # Errors
    /// [`HandshakeError::State`] unless the peer has just been authenticated.
    pub fn accept(&mut self, ready: &[u8]) -> Result<Option<HandshakeEvent>, HandshakeError> {
        let HandshakeState::Deciding(proven) = &mut self.state else { return Err(HandshakeError::State) };
        if proven.accepted {
            return Err(HandshakeError::State);
        }
        if ready.len() > MAX_READY {
            return Err(HandshakeError::ReadyTooLarge);
        }
        let mut frame = BytesMut::from(ready);
        proven.sealer.seal_as(TAG_READY, &mut frame)?;
        proven.accepted = true;
        self.output.push_back(frame.to_vec());
        Ok(proven.established())
    }

    /// Refuses the peer, which learns no reason. Once each side knows the other the refusal is sealed, so that the peer
    /// can tell it from what others may have written ([`HandshakeError::Denied`]). A side that has consented cannot take
    /// that back: its refusal only ends this connection, as every failure does.
    pub fn reject(&mut self) {
        self.fail(HandshakeError::Rejected);
    }

    /// The next frame to send.
    pub fn poll_output(&mut self) -> Option<Vec<u8>> {
        self.output.pop_front()
    }

    /// The next time at which [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (!matches!(self.state, HandshakeState::Over)).then_some(self.deadline)
    }

    /// Tells the time.
    ///
    /// # Errors
    /// [`HandshakeError::TimedOut`] past the deadline.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), HandshakeError> {
        match self.poll_timeout() {
            Some(deadline) if now >= deadline => Err(self.fail(HandshakeError::TimedOut)),
            _ => Ok(()),
        }
    }

    /// The outcome, once [`HandshakeEvent::Established`] was returned.
    ///
    /// # Errors
    /// [`HandshakeError::State`] before that and after a failure.
    pub fn finish(self) -> Result<Established, HandshakeError> {
        let HandshakeState::Deciding(proven) = self.state else { return Err(HandshakeError::State) };
        let Proven {
            peer, handshake_hash, sealer, opener, accepted: true, peer_ready: Some(peer_ready), ..
        } = *proven
        else {
            return Err(HandshakeError::State);
        };
        let seal = match peer.mode {
            Mode::Sealed => Some((sealer, opener)),
            Mode::Plain => None,
        };
        let Authenticated { certificate, sas, version, mode } = peer;
        Ok(Established { certificate, version, mode, seal, peer_ready, handshake_hash, sas })
    }

    /// Ends it: nothing but the notice leaves this machine any more.
    fn fail(&mut self, error: HandshakeError) -> HandshakeError {
        let state = std::mem::replace(&mut self.state, HandshakeState::Over);
        if !std::mem::replace(&mut self.over, true) {
            // While message 3 has not left, the peer does not know this side and cannot open what it seals.
            let known = self.output.is_empty();
            self.output.clear();
            let sealed = || match state {
                HandshakeState::Deciding(proven) if known => proven.refusal(),
                _ => None,
            };
            self.output.extend(match error.notice(self.authenticated) {
                FailureNotice::Nothing => None,
                FailureNotice::Alert(alert) => Some(vec![TAG_ALERT, alert.wire()]),
                FailureNotice::Denied => Some(vec![TAG_DENIED]),
                FailureNotice::Refused => Some(sealed().unwrap_or_else(|| vec![TAG_DENIED])),
            });
        }
        error
    }
}

impl Config {
    fn prologue(&self) -> Vec<u8> {
        [b"peers/1", &[self.kind.wire()][..], self.connection_id.as_bytes(), &self.binding].concat()
    }

    /// Only WebRTC both encrypts and shows both ends the certificates its encryption really used.
    fn allows_plain(&self) -> bool {
        self.kind == TransportKind::WebRtc && self.binding.len() == FULL_BINDING && !self.require_sealing
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            HandshakeState::AwaitM1 { .. } => "AwaitM1",
            HandshakeState::AwaitM2 { .. } => "AwaitM2",
            HandshakeState::AwaitM3 { .. } => "AwaitM3",
            HandshakeState::Deciding(_) => "Deciding",
            HandshakeState::Over => "Over",
        };
        f.debug_struct("Handshake")
            .field("connection", &self.config.connection_id)
            .field("kind", &self.config.kind)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
