use super::*;
use crate::keys::UserKeys;
use crate::time::UnixTime;
use proptest::prelude::*;

const ISSUED: UnixTime = UnixTime(1_700_000_000);

fn device(seed: u8) -> (DeviceKeys, DeviceCertificate) {
    let (user, keys) = (UserKeys::from_seed([seed; 32]), DeviceKeys::from_seed([seed; 32]));
    let certificate = DeviceCertificate::issue(&user, &keys, ISSUED, "phone").unwrap();
    (keys, certificate)
}

fn content() -> Content {
    Content {
        connection_id: ConnectionId::from_bytes([5; 16]),
        attempt: 3,
        fingerprint: Some([6; 32]),
        body: b"v=0".to_vec(),
    }
}

/// From device 1 to device 2.
fn envelope(content: &Content) -> Vec<u8> {
    let (keys, certificate) = device(1);
    seal(content, &keys, &certificate, &KnownKeys::of(&device(2).1), [9; 32]).unwrap()
}

/// Seals whatever bytes an attacker likes to device 2.
fn seal_raw(inside: &[u8]) -> Vec<u8> {
    seal_inside(inside, &device(2).0.box_pk(), Seed([9; 32])).unwrap()
}

fn open_at_2(sealed: &[u8]) -> Result<Opened, EnvelopeError> {
    open(sealed, &device(2).0)
}

fn signed(inside: &[u8], by: &DeviceKeys) -> Vec<u8> {
    [inside, &by.sign(DOMAIN, inside)].concat()
}

// proves S130
#[test]
fn recipient_learns_who_wrote_what_and_the_relay_learns_nothing() {
    let sealed = envelope(&content());
    let opened = open_at_2(&sealed).unwrap();
    assert_eq!((opened.sender, opened.content), (device(1).1, content()));
    for secret in [&b"v=0"[..], &[6; 32], &[5; 16], device(1).1.sign_pk()] {
        assert!(!sealed.windows(secret.len()).any(|w| w == secret));
    }
    assert_eq!(open(&sealed, &device(3).0), Err(EnvelopeError::Sealed));
}

// proves S130, S131
#[test]
fn relay_that_alters_forwards_or_forges_an_envelope_is_noticed() {
    let (ada, ada_certificate) = device(1);
    let (mallory, mallory_certificate) = device(8);
    // Mallory received an envelope from Ada and passes it on to device 2, sealed anew.
    let to_mallory = encode(&content(), &ada_certificate, mallory.device_id());
    assert_eq!(open_at_2(&seal_raw(&signed(&to_mallory, &ada))), Err(EnvelopeError::Recipient));
    // Mallory writes in Ada's name.
    let in_her_name = encode(&content(), &ada_certificate, device(2).0.device_id());
    assert_eq!(open_at_2(&seal_raw(&signed(&in_her_name, &mallory))), Err(EnvelopeError::Signature));
    // Mallory swaps the fingerprint inside what Ada signed.
    let mut swapped = signed(&in_her_name, &ada);
    swapped[42] ^= 1;
    assert_eq!(open_at_2(&seal_raw(&swapped)), Err(EnvelopeError::Signature));
    // Writing in its own name works, and says so.
    let own = encode(&content(), &mallory_certificate, device(2).0.device_id());
    assert_eq!(open_at_2(&seal_raw(&signed(&own, &mallory))).unwrap().sender, mallory_certificate);
}

#[test]
fn each_malformed_inside_has_its_error() {
    let inside = encode(&content(), &device(1).1, device(2).0.device_id());
    let open = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut inside = inside.clone();
        change(&mut inside);
        open_at_2(&seal_raw(&signed(&inside, &device(1).0))).unwrap_err()
    };
    assert_eq!(open(&|i| i[0] = 2), EnvelopeError::Version(2));
    assert_eq!(open(&|i| i[41] = 2), EnvelopeError::Malformed);
    assert_eq!(open(&|i| i[74] = 0xff), EnvelopeError::Malformed);
    assert_eq!(open(&|i| i[75] -= 1), EnvelopeError::Certificate(CertificateError::Length));
    assert_eq!(open(&|i| i.resize(i.len() + MAX_ENVELOPE_BODY, 0)), EnvelopeError::TooLarge);
    assert_eq!(open(&|i| i.truncate(60)), EnvelopeError::Malformed);
    assert_eq!(open_at_2(&seal_raw(b"")), Err(EnvelopeError::Malformed));
    assert_eq!(open_at_2(&vec![0; MAX_ENVELOPE + 1]), Err(EnvelopeError::TooLarge));
}

#[test]
fn largest_body_fits_and_one_byte_more_is_refused() {
    let (keys, certificate) = device(1);
    let mut content = Content { body: vec![7; MAX_ENVELOPE_BODY], ..content() };
    assert_eq!(open_at_2(&envelope(&content)).unwrap().content, content);
    content.body.push(7);
    let sealed = seal(&content, &keys, &certificate, &KnownKeys::of(&device(2).1), [9; 32]);
    assert_eq!(sealed, Err(EnvelopeError::TooLarge));
}

#[test]
fn every_truncation_is_a_typed_error() {
    let sealed = envelope(&content());
    let inside = signed(&encode(&content(), &device(1).1, device(2).0.device_id()), &device(1).0);
    for len in 0..sealed.len() {
        assert_eq!(open_at_2(&sealed[..len]), Err(EnvelopeError::Sealed));
    }
    for len in 0..inside.len() {
        assert!(open_at_2(&seal_raw(&inside[..len])).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn envelopes_round_trip(
        (id, attempt) in (any::<[u8; 16]>(), any::<u32>()),
        fingerprint: Option<[u8; 32]>,
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let connection_id = ConnectionId::from_bytes(id);
        let content = Content { connection_id, attempt, fingerprint, body };
        prop_assert_eq!(open_at_2(&envelope(&content)).unwrap().content, content);
    }

    #[test]
    fn random_bytes_are_a_typed_error(mut bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(open_at_2(&bytes).is_err());
        if let Some(first) = bytes.first_mut() {
            *first = VERSION;
        }
        prop_assert!(open_at_2(&seal_raw(&bytes)).is_err());
    }
}
