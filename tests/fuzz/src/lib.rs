//! Helpers of several targets: two people with keys that never change, and a way to cut one input into many.

use peers_proto::certificate::DeviceCertificate;
use peers_proto::handshake::{Config, Expected, Handshake};
use peers_proto::id::ConnectionId;
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::time::{Instant, UnixTime};
use peers_proto::transport_kind::TransportKind;
use peers_proto::trust::KnownKeys;

/// A device and its certificate.
pub struct Person {
    pub keys: DeviceKeys,
    pub certificate: DeviceCertificate,
}

impl Person {
    /// The device that `seed` names.
    pub fn new(seed: u8) -> Self {
        let (user, keys) = (UserKeys::from_seed([seed; 32]), DeviceKeys::from_seed([seed; 32]));
        let certificate = DeviceCertificate::issue(&user, &keys, UnixTime(1_700_000_000), "phone")
            .expect("the certificate is within its limits");
        Self { keys, certificate }
    }

    /// Its side of a handshake on a local network.
    pub fn config(&self) -> Config {
        Config {
            keys: self.keys.clone(),
            certificate: self.certificate.clone(),
            kind: TransportKind::Lan,
            connection_id: ConnectionId::from_bytes([7; 16]),
            binding: Vec::new(),
            require_sealing: false,
            pairing: false,
            entropy: self.keys.sign_pk(),
        }
    }
}

/// Device 1, which dials device 2, at the start of a handshake.
pub fn handshake() -> (Handshake, Handshake) {
    let (a, b) = (Person::new(1), Person::new(2));
    let expected = Expected { device: b.certificate.device_id(), keys: Some(KnownKeys::of(&b.certificate)) };
    let initiator = Handshake::initiator(a.config(), expected, Instant::ZERO).expect("a valid configuration");
    let responder = Handshake::responder(b.config(), Instant::ZERO).expect("a valid configuration");
    (initiator, responder)
}

/// The three messages of that handshake. Keys never change, so neither do they.
pub fn transcript() -> [Vec<u8>; 3] {
    let (mut initiator, mut responder) = handshake();
    let m1 = step(&mut initiator, &mut responder);
    let m2 = step(&mut responder, &mut initiator);
    let m3 = step(&mut initiator, &mut responder);
    [m1, m2, m3]
}

/// Passes one message on.
pub fn step(from: &mut Handshake, to: &mut Handshake) -> Vec<u8> {
    let frame = from.poll_output().expect("a message to send");
    to.handle_frame(&frame, Instant::ZERO).expect("a true message is accepted");
    frame
}

/// Cuts an input into chunks, each after two bytes of its length; the last may be cut short. [`join`] makes such inputs.
pub fn chunks(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = data.split_first_chunk()?;
        let (chunk, rest) = rest.split_at(rest.len().min(u16::from_be_bytes(*len).into()));
        data = rest;
        Some(chunk)
    })
}

/// The input that [`chunks`] cuts into these.
pub fn join<T: AsRef<[u8]>>(chunks: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut data = Vec::new();
    for chunk in chunks {
        let chunk = chunk.as_ref();
        data.extend_from_slice(&(chunk.len() as u16).to_be_bytes());
        data.extend_from_slice(chunk);
    }
    data
}
