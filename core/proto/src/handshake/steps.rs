//! The effect of each frame in each state.

use bytes::BytesMut;
use subtle::ConstantTimeEq;

use super::error::{Alert, HandshakeError};
use super::noise::Noise;
use super::payload::{self, HandshakeAnswer, HandshakeOffer, Opening};
use super::{
    Authenticated, Expected, Handshake, HandshakeEvent, HandshakeState, Mode, Proven, Sas, TAG_ALERT,
    TAG_ASKING, TAG_DENIED, TAG_M1, TAG_M2, TAG_M3, TAG_READY, TAG_REFUSED, VERSIONS,
};
use crate::certificate::DeviceCertificate;
use crate::keys::KEY_LEN;
use crate::limits::{MAX_HANDSHAKE, MAX_READY};
use crate::seal::{Opener, Sealer};
use crate::timing::APPROVAL_TIMEOUT;

impl Handshake {
    pub(super) fn step(&mut self, frame: &[u8]) -> Result<Option<HandshakeEvent>, HandshakeError> {
        if frame.len() > MAX_HANDSHAKE {
            return Err(HandshakeError::Malformed("too long"));
        }
        let (&tag, body) = frame.split_first().ok_or(HandshakeError::Malformed("empty"))?;
        // The state is put back only by steps that succeed: whatever fails leaves `Over` behind.
        match (tag, std::mem::replace(&mut self.state, HandshakeState::Over)) {
            (_, HandshakeState::Over) => Err(HandshakeError::State),

            // ---- somebody gives up, not necessarily the peer
            (TAG_DENIED, _) if body.is_empty() => Err(HandshakeError::Refused),
            (TAG_ALERT, _) => match *body {
                [code] => Err(Alert::from_wire(code)
                    .map_or(HandshakeError::Malformed("alert"), HandshakeError::Alerted)),
                _ => Err(HandshakeError::Malformed("alert")),
            },

            // ---- proving who we are
            (TAG_M1, HandshakeState::AwaitM1 { noise }) => self.on_m1(noise, body),
            (TAG_M2, HandshakeState::AwaitM2 { noise, offer, expected }) => {
                self.on_m2(noise, &offer, &expected, body)
            }
            (TAG_M3, HandshakeState::AwaitM3 { noise, offer, version, mode, transcript }) => {
                self.on_m3(noise, &offer, (version, mode), &transcript, body)
            }

            // ---- consent
            (TAG_ASKING, HandshakeState::Deciding(proven)) => self.on_asking(proven, frame),
            (TAG_READY, HandshakeState::Deciding(proven)) => self.on_ready(proven, frame),
            (TAG_REFUSED, HandshakeState::Deciding(proven)) => Err(proven.on_refused(frame)),

            // ---- everything else
            (TAG_M1..=TAG_READY | TAG_REFUSED | TAG_ASKING, _) => Err(HandshakeError::OutOfOrder),
            _ => Err(HandshakeError::Malformed("unknown frame")),
        }
    }

    /// Responder: somebody calls.
    fn on_m1(&mut self, mut noise: Noise, body: &[u8]) -> Result<Option<HandshakeEvent>, HandshakeError> {
        let offer = HandshakeOffer::decode(&noise.read(body)?)?;
        let caller_e = &body[..KEY_LEN]; // message 1 begins with it, or it would not have been read
        let hint = payload::hint(self.config.certificate.noise_pk(), caller_e);
        if !self.config.pairing && !bool::from(hint.ct_eq(&offer.hint)) {
            return Err(HandshakeError::UnknownCaller);
        }
        let version = offer.choose_version(VERSIONS)?;
        let mode = if offer.plain && self.config.allows_plain() { Mode::Plain } else { Mode::Sealed };
        let answer = HandshakeAnswer {
            version,
            mode,
            nonce: self.nonce,
            certificate: self.config.certificate.clone(),
        };
        self.output.push_back(noise.write(TAG_M2, &answer.encode())?);
        let transcript = noise.hash();
        self.state = HandshakeState::AwaitM3 { noise, offer, version, mode, transcript };
        Ok(None)
    }

    /// Initiator: the responder says who it is.
    fn on_m2(
        &mut self,
        mut noise: Noise,
        offer: &HandshakeOffer,
        expected: &Expected,
        body: &[u8],
    ) -> Result<Option<HandshakeEvent>, HandshakeError> {
        let payload = noise.read(body)?;
        self.authenticated = true;
        let HandshakeAnswer { version, mode, nonce, certificate } = HandshakeAnswer::decode(&payload)?;
        if !offer.versions.contains(&version) {
            return Err(HandshakeError::Version);
        }
        if mode == Mode::Plain && !offer.plain {
            return Err(HandshakeError::Mode);
        }
        self.check_certificate(&certificate, &noise)?;
        if certificate.device_id() != expected.device {
            let reached = certificate.device_id();
            return Err(HandshakeError::WrongDevice { expected: expected.device, reached });
        }
        if let Some(keys) = &expected.keys {
            keys.check(&certificate)?;
        }
        let sas = Sas::new(&noise.hash(), &self.nonce, &nonce);
        let opening = Opening { nonce: self.nonce, certificate: self.config.certificate.clone() };
        self.output.push_back(noise.write(TAG_M3, &opening.encode())?);
        let handshake_hash = noise.hash();
        let (outgoing, incoming) = noise.split();
        self.decide(Proven {
            peer: Authenticated { certificate, sas, version, mode },
            handshake_hash,
            sealer: Sealer::new(&outgoing, self.started)?,
            opener: Opener::new(&incoming)?,
            asks: false,
            accepted: false,
            peer_asks: false,
            peer_ready: None,
        })
    }

    /// Responder: the initiator says who it is.
    fn on_m3(
        &mut self,
        mut noise: Noise,
        offer: &HandshakeOffer,
        (version, mode): (u8, Mode),
        transcript: &[u8; 32],
        body: &[u8],
    ) -> Result<Option<HandshakeEvent>, HandshakeError> {
        let payload = noise.read(body)?;
        self.authenticated = true;
        let opening = Opening::decode(&payload)?;
        if opening.commitment() != offer.commitment {
            return Err(HandshakeError::Commitment);
        }
        let Opening { nonce, certificate } = opening;
        self.check_certificate(&certificate, &noise)?;
        let sas = Sas::new(transcript, &nonce, &self.nonce);
        let handshake_hash = noise.hash();
        let (incoming, outgoing) = noise.split();
        self.decide(Proven {
            peer: Authenticated { certificate, sas, version, mode },
            handshake_hash,
            sealer: Sealer::new(&outgoing, self.started)?,
            opener: Opener::new(&incoming)?,
            asks: false,
            accepted: false,
            peer_asks: false,
            peer_ready: None,
        })
    }

    /// A person decides there. Said once, and before the decision.
    fn on_asking(
        &mut self,
        mut proven: Box<Proven>,
        frame: &[u8],
    ) -> Result<Option<HandshakeEvent>, HandshakeError> {
        if std::mem::replace(&mut proven.peer_asks, true) || proven.peer_ready.is_some() {
            return Err(HandshakeError::OutOfOrder);
        }
        if !proven.opener.open_as(TAG_ASKING, frame)?.is_empty() {
            return Err(HandshakeError::Malformed("asking"));
        }
        let event = HandshakeEvent::Asking(proven.peer.clone());
        self.state = HandshakeState::Deciding(proven);
        Ok(Some(event))
    }

    /// The peer consents. If this side has not decided yet, what came with it waits.
    fn on_ready(
        &mut self,
        mut proven: Box<Proven>,
        frame: &[u8],
    ) -> Result<Option<HandshakeEvent>, HandshakeError> {
        if proven.peer_ready.is_some() {
            return Err(HandshakeError::OutOfOrder);
        }
        let ready = proven.opener.open_as(TAG_READY, frame)?;
        if ready.len() > MAX_READY {
            return Err(HandshakeError::ReadyTooLarge);
        }
        proven.peer_ready = Some(ready.to_vec());
        let event = proven.established();
        self.state = HandshakeState::Deciding(proven);
        Ok(event)
    }

    /// The certificate must be that of the holder of the handshake key, and not this device's.
    fn check_certificate(
        &self,
        certificate: &DeviceCertificate,
        noise: &Noise,
    ) -> Result<(), HandshakeError> {
        if noise.remote_static() != Some(&certificate.noise_pk()[..]) {
            return Err(HandshakeError::StolenCertificate);
        }
        if certificate.sign_pk() == self.config.certificate.sign_pk() {
            return Err(HandshakeError::Own);
        }
        Ok(())
    }

    fn decide(&mut self, proven: Proven) -> Result<Option<HandshakeEvent>, HandshakeError> {
        let event = HandshakeEvent::Authenticated(proven.peer.clone());
        // From here on a person may be asked, on either side.
        self.deadline += APPROVAL_TIMEOUT;
        self.state = HandshakeState::Deciding(Box::new(proven));
        Ok(Some(event))
    }
}

impl Proven {
    /// The peer does not consent: no other device has the keys to say so.
    fn on_refused(mut self: Box<Self>, frame: &[u8]) -> HandshakeError {
        match self.opener.open_as(TAG_REFUSED, frame) {
            Ok(content) if content.is_empty() => HandshakeError::Denied,
            Ok(_) => HandshakeError::Malformed("refusal"),
            Err(error) => error.into(),
        }
    }

    /// This side's refusal, the same for every reason. There is none after its consent.
    pub(super) fn refusal(mut self: Box<Self>) -> Option<Vec<u8>> {
        let mut frame = BytesMut::new();
        let sealed = !self.accepted && self.sealer.seal_as(TAG_REFUSED, &mut frame).is_ok();
        sealed.then(|| frame.to_vec())
    }

    /// Both sides have consented.
    pub(super) fn established(&self) -> Option<HandshakeEvent> {
        (self.accepted && self.peer_ready.is_some()).then_some(HandshakeEvent::Established)
    }
}
