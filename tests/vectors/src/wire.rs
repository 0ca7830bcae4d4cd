//! The bytes on the wire: ids, certificates, envelopes, the handshake, the first sealed frame.

use bytes::BytesMut;
use peers_proto::certificate::{DeviceCertificate, RevocationList};
use peers_proto::envelope::{self, Content};
use peers_proto::handshake::{Config, Expected, Handshake, HandshakeError};
use peers_proto::id::ConnectionId;
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::time::{Instant, UnixTime};
use peers_proto::transport_kind::TransportKind;
use peers_proto::trust::KnownKeys;
use serde_json::{Value, json};

use crate::files::{Stored, bytes_of, hex, stored};

const ISSUED: UnixTime = UnixTime(1_700_000_000);

/// The file's content, which must be exactly what the code makes today.
fn golden(file: &Stored, made: Value) -> Value {
    let text = file.blessed(|| format!("{made:#}"));
    let stored: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(stored, made, "{}", file.name);
    stored
}

fn device(seed: u8) -> (DeviceKeys, DeviceCertificate) {
    let (user, keys) = (UserKeys::from_seed([seed; 32]), DeviceKeys::from_seed([seed; 32]));
    let certificate = DeviceCertificate::issue(&user, &keys, ISSUED, "Ada's phone").unwrap();
    (keys, certificate)
}

#[cfg_attr(test, test)]
pub(crate) fn ids_and_keys() {
    let (user, device) = (UserKeys::from_seed([1; 32]), DeviceKeys::from_seed([1; 32]));
    golden(
        &stored!("ids.json"),
        json!({
            "seed": hex(&[1; 32]),
            "userPk": hex(&user.user_pk()),
            "userId": user.user_id().to_string(),
            "signPk": hex(&device.sign_pk()),
            "noisePk": hex(&device.noise_pk()),
            "boxPk": hex(&device.box_pk()),
            "deviceId": device.device_id().to_string(),
        }),
    );
}

#[cfg_attr(test, test)]
pub(crate) fn certificate_and_revocation_list() {
    let (keys, certificate) = device(1);
    let revocations = RevocationList::issue(&UserKeys::from_seed([1; 32]), 7, [keys.device_id()]).unwrap();
    let stored = golden(
        &stored!("certificate.json"),
        json!({
            "seed": hex(&[1; 32]),
            "issued": ISSUED.0,
            "name": "Ada's phone",
            "deviceId": certificate.device_id().to_string(),
            "userId": certificate.user_id().to_string(),
            "certificate": hex(certificate.as_bytes()),
            "revocationSerial": 7,
            "revocationList": hex(revocations.as_bytes()),
        }),
    );
    assert_eq!(DeviceCertificate::decode(&bytes_of(&stored["certificate"])), Ok(certificate));
    assert_eq!(RevocationList::decode(&bytes_of(&stored["revocationList"])), Ok(revocations));
}

#[cfg_attr(test, test)]
pub(crate) fn sealed_envelope() {
    let ((sender_keys, sender), (recipient_keys, recipient)) = (device(1), device(2));
    let content = Content {
        connection_id: ConnectionId::from_bytes([5; 16]),
        attempt: 3,
        fingerprint: Some([6; 32]),
        body: b"an offer".to_vec(),
    };
    let sealed =
        envelope::seal(&content, &sender_keys, &sender, &KnownKeys::of(&recipient), [9; 32]).unwrap();
    let stored = golden(
        &stored!("envelope.json"),
        json!({
            "senderSeed": hex(&[1; 32]),
            "recipientSeed": hex(&[2; 32]),
            "ephemeral": hex(&[9; 32]),
            "connectionId": content.connection_id.to_string(),
            "attempt": 3,
            "fingerprint": hex(&[6; 32]),
            "body": hex(&content.body),
            "envelope": hex(&sealed),
        }),
    );
    let opened = envelope::open(&bytes_of(&stored["envelope"]), &recipient_keys).unwrap();
    assert_eq!((opened.sender, opened.content), (sender, content));
}

/// Device 1, which dials device 2, at the start of a handshake through a relay.
fn handshake() -> (Handshake, Handshake) {
    let ((initiator_keys, initiator), (responder_keys, responder)) = (device(1), device(2));
    let config = |keys: &DeviceKeys, certificate: &DeviceCertificate, entropy| Config {
        keys: keys.clone(),
        certificate: certificate.clone(),
        kind: TransportKind::Relay,
        connection_id: ConnectionId::from_bytes([5; 16]),
        binding: Vec::new(),
        require_sealing: false,
        pairing: false,
        entropy: [entropy; 32],
    };
    let expected = Expected { device: responder.device_id(), keys: Some(KnownKeys::of(&responder)) };
    let now = Instant::ZERO;
    let initiator = Handshake::initiator(config(&initiator_keys, &initiator, 11), expected, now).unwrap();
    (initiator, Handshake::responder(config(&responder_keys, &responder, 12), now).unwrap())
}

/// Passes the next frame on.
fn pass(from: &mut Handshake, to: &mut Handshake) -> String {
    let frame = from.poll_output().unwrap();
    to.handle_frame(&frame, Instant::ZERO).unwrap();
    hex(&frame)
}

/// Message 1 to message 3.
fn meet(a: &mut Handshake, b: &mut Handshake) -> Vec<String> {
    vec![pass(a, b), pass(b, a), pass(a, b)]
}

/// The responder's frame when it does not consent.
fn refusal() -> String {
    let (mut a, mut b) = handshake();
    meet(&mut a, &mut b);
    b.reject();
    let refusal = b.poll_output().unwrap();
    assert_eq!(a.handle_frame(&refusal, Instant::ZERO), Err(HandshakeError::Denied));
    hex(&refusal)
}

#[cfg_attr(test, test)]
pub(crate) fn handshake_transcript() {
    let (mut a, mut b) = handshake();
    let mut frames = meet(&mut a, &mut b);
    a.accept(b"initiator").unwrap();
    b.accept(b"responder").unwrap();
    frames.push(pass(&mut a, &mut b));
    frames.push(pass(&mut b, &mut a));

    let (a, b) = (a.finish().unwrap(), b.finish().unwrap());
    assert_eq!((a.handshake_hash, a.sas), (b.handshake_hash, b.sas));
    let (mut sealer, _) = a.seal.unwrap();
    let mut sealed = BytesMut::from(&b"hello"[..]);
    sealer.seal(&mut sealed, Instant::ZERO).unwrap();
    let (_, mut opener) = b.seal.unwrap();
    assert_eq!(opener.open(&sealed).unwrap(), "hello");
    golden(
        &stored!("handshake.json"),
        json!({
            "initiatorSeed": hex(&[1; 32]),
            "responderSeed": hex(&[2; 32]),
            "initiatorEntropy": hex(&[11; 32]),
            "responderEntropy": hex(&[12; 32]),
            "transportKind": TransportKind::Relay.wire(),
            "connectionId": hex(&[5; 16]),
            "binding": "",
            "initiatorReady": hex(b"initiator"),
            "responderReady": hex(b"responder"),
            "frames": frames,
            "refusal": refusal(),
            "handshakeHash": hex(&a.handshake_hash),
            "sas": a.sas.to_string(),
            "firstSealed": { "plain": hex(b"hello"), "sealed": hex(&sealed) },
        }),
    );
}
