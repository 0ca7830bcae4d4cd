use super::*;
use crate::keys::UserKeys;
use crate::time::UnixTime;
use crate::timing::APPROVAL_TIMEOUT;

const T0: Instant = Instant::from_micros(5_000_000);

struct Person {
    keys: DeviceKeys,
    certificate: DeviceCertificate,
}

fn person(seed: u8) -> Person {
    let keys = DeviceKeys::from_seed([seed; 32]);
    let user = UserKeys::from_seed([seed; 32]);
    let certificate = DeviceCertificate::issue(&user, &keys, UnixTime(1000), "phone").unwrap();
    Person { keys, certificate }
}

fn config(person: &Person, entropy: u8) -> Config {
    Config {
        keys: person.keys.clone(),
        certificate: person.certificate.clone(),
        kind: TransportKind::Lan,
        connection_id: ConnectionId::from_bytes([7; 16]),
        binding: Vec::new(),
        require_sealing: false,
        pairing: false,
        entropy: [entropy; 32],
    }
}

fn expect(person: &Person) -> Expected {
    Expected { device: person.certificate.device_id(), keys: Some(KnownKeys::of(&person.certificate)) }
}

/// Ada (seed 1) dials Bob (seed 2); `change` edits both configurations.
fn pair(change: impl Fn(&mut Config, &mut Config)) -> (Handshake, Handshake) {
    let (ada, bob) = (person(1), person(2));
    let (mut a, mut b) = (config(&ada, 11), config(&bob, 22));
    change(&mut a, &mut b);
    (Handshake::initiator(a, expect(&bob), T0).unwrap(), Handshake::responder(b, T0).unwrap())
}

fn pass(from: &mut Handshake, to: &mut Handshake) -> Result<Option<HandshakeEvent>, HandshakeError> {
    to.handle_frame(&from.poll_output().expect("a frame to send"), T0)
}

fn authenticated(event: Option<HandshakeEvent>) -> Authenticated {
    match event {
        Some(HandshakeEvent::Authenticated(peer)) => peer,
        other => panic!("expected Authenticated, got {other:?}"),
    }
}

/// Runs to the point where both sides know each other and decide.
fn meet(a: &mut Handshake, b: &mut Handshake) -> (Authenticated, Authenticated) {
    assert_eq!(pass(a, b), Ok(None));
    let bob = authenticated(pass(b, a).unwrap());
    (authenticated(pass(a, b).unwrap()), bob)
}

fn establish(mut a: Handshake, mut b: Handshake) -> (Established, Established) {
    meet(&mut a, &mut b);
    assert_eq!(a.accept(b"from a"), Ok(None));
    assert_eq!(b.accept(b"from b"), Ok(None));
    assert_eq!(pass(&mut a, &mut b), Ok(Some(HandshakeEvent::Established)));
    assert_eq!(pass(&mut b, &mut a), Ok(Some(HandshakeEvent::Established)));
    (a.finish().unwrap(), b.finish().unwrap())
}

// proves S008, S126
#[test]
fn two_devices_prove_who_they_are_and_share_keys_over_any_transport() {
    use TransportKind::{Custom, Internet, Lan, Relay, WebRtc};
    for kind in [Lan, WebRtc, Internet, Relay, Custom] {
        let (a, b) = pair(|a, b| (a.kind, b.kind) = (kind, kind));
        let (a, b) = establish(a, b);
        assert_eq!(a.certificate, person(2).certificate);
        assert_eq!(b.certificate, person(1).certificate);
        assert_eq!((&a.peer_ready[..], &b.peer_ready[..]), (&b"from b"[..], &b"from a"[..]));
        assert_eq!((a.handshake_hash, a.sas, a.version), (b.handshake_hash, b.sas, b.version));
        assert_eq!((a.mode, b.mode), (Mode::Sealed, Mode::Sealed));
        let ((mut seal_a, mut open_a), (mut seal_b, mut open_b)) = (a.seal.unwrap(), b.seal.unwrap());
        for (sealer, opener) in [(&mut seal_a, &mut open_b), (&mut seal_b, &mut open_a)] {
            let mut frame = BytesMut::from(&b"hello"[..]);
            sealer.seal(&mut frame, T0).unwrap();
            assert_eq!(opener.open(&frame).unwrap(), "hello");
        }
    }
}

mod attacks;
mod flow;
