//! Handshakes with hostile peers and hostile networks.

use super::*;
use proptest::prelude::*;

use crate::limits::MAX_HANDSHAKE;
use crate::trust::{KeyChanged, PinnedKey};

const DENIED: &[u8] = &[TAG_DENIED];
const MALFORMED: &[u8] = &[TAG_ALERT, 1];

/// The only frame that leaves a failed side, and then silence.
fn notice(side: &mut Handshake) -> Vec<u8> {
    let frame = side.poll_output().expect("a notice");
    assert!(side.poll_output().is_none());
    assert_eq!(side.poll_timeout(), None);
    frame
}

type Difference = &'static dyn Fn(&mut Config, &mut Config);

// proves S130, S131, D05, D07
#[test]
fn ends_of_two_different_channels_both_fail() {
    let differences: [Difference; 4] = [
        // An attacker that terminates DTLS on both sides shows each end another certificate.
        &|a, b| (a.binding, b.binding) = (vec![1; 64], vec![2; 64]),
        &|a, b| (a.binding, b.binding) = (vec![1; 64], vec![]),
        &|a, b| (a.kind, b.kind) = (TransportKind::Lan, TransportKind::Relay),
        &|_, b| b.connection_id = ConnectionId::from_bytes([8; 16]),
    ];
    for change in differences {
        let (mut a, mut b) = pair(change);
        assert_eq!(pass(&mut a, &mut b), Ok(None));
        assert_eq!(pass(&mut b, &mut a), Err(HandshakeError::NotAuthentic));
        let frame = notice(&mut a);
        assert_eq!(frame, MALFORMED);
        assert_eq!(b.handle_frame(&frame, T0), Err(HandshakeError::Alerted(Alert::Malformed)));
        assert!(a.finish().is_err() && b.finish().is_err());
    }
}

// proves S126
#[test]
fn caller_that_does_not_know_the_key_is_denied_unless_pairing_is_open() {
    let dial = |keys, pairing| {
        let (ada, bob) = (person(1), person(2));
        let expected = Expected { keys, ..expect(&bob) };
        let mut a = Handshake::initiator(config(&ada, 11), expected, T0).unwrap();
        let mut b = Handshake::responder(Config { pairing, ..config(&bob, 22) }, T0).unwrap();
        let result = pass(&mut a, &mut b);
        (result, b.poll_output().unwrap())
    };
    let wrong = Some(KnownKeys::of(&person(3).certificate));
    for keys in [None, wrong] {
        assert_eq!(dial(keys, false), (Err(HandshakeError::UnknownCaller), DENIED.to_vec()));
        let (result, answer) = dial(keys, true);
        assert_eq!((result, answer[0]), (Ok(None), TAG_M2));
    }
}

#[test]
fn replayed_first_message_never_authenticates() {
    let (mut a, mut b) = pair(|_, _| ());
    let m1 = a.poll_output().unwrap();
    b.handle_frame(&m1, T0).unwrap();
    authenticated(a.handle_frame(&b.poll_output().unwrap(), T0).unwrap());
    let m3 = a.poll_output().unwrap();
    // An observer plays the whole exchange to the same device again; its fresh key makes message 3 worthless.
    let mut again = Handshake::responder(config(&person(2), 99), T0).unwrap();
    assert_eq!(again.handle_frame(&m1, T0), Ok(None));
    again.poll_output().unwrap();
    assert_eq!(again.handle_frame(&m3, T0), Err(HandshakeError::NotAuthentic));
    assert_eq!(notice(&mut again), MALFORMED);
}

// proves S131, D07
#[test]
fn certificate_of_somebody_else_is_refused_on_both_sides() {
    // Mallory holds its own keys and shows the victim's genuine certificate.
    let mallory = Person { certificate: person(2).certificate, ..person(8) };
    let mut a =
        Handshake::initiator(config(&person(1), 11), Expected { keys: None, ..expect(&person(2)) }, T0);
    let a = a.as_mut().unwrap();
    let mut m = Handshake::responder(Config { pairing: true, ..config(&mallory, 22) }, T0).unwrap();
    pass(a, &mut m).unwrap();
    assert_eq!(pass(&mut m, a), Err(HandshakeError::StolenCertificate));
    assert_eq!(notice(a), DENIED);

    let mallory = Person { certificate: person(1).certificate, ..person(8) };
    let mut m = Handshake::initiator(config(&mallory, 11), expect(&person(2)), T0).unwrap();
    let mut b = Handshake::responder(config(&person(2), 22), T0).unwrap();
    pass(&mut m, &mut b).unwrap();
    pass(&mut b, &mut m).unwrap();
    assert_eq!(pass(&mut m, &mut b), Err(HandshakeError::StolenCertificate));
    assert_eq!(notice(&mut b), DENIED);
}

// proves S126, D07
#[test]
fn genuine_device_that_was_not_dialed_is_refused() {
    let (ada, eve) = (person(1), person(8));
    let expected = Expected { keys: None, ..expect(&person(2)) };
    let mut a = Handshake::initiator(config(&ada, 11), expected, T0).unwrap();
    let mut e = Handshake::responder(Config { pairing: true, ..config(&eve, 22) }, T0).unwrap();
    pass(&mut a, &mut e).unwrap();
    let [expected, reached] = [person(2), eve].map(|p| p.certificate.device_id());
    assert_eq!(pass(&mut e, &mut a), Err(HandshakeError::WrongDevice { expected, reached }));
    assert_eq!(notice(&mut a), DENIED, "and the caller's own identity was not shown");
}

// proves D06
#[test]
fn dialed_device_with_other_keys_than_stored_is_refused() {
    let (ada, bob) = (person(1), person(2));
    let known = KnownKeys { user_pk: [0; 32], ..KnownKeys::of(&bob.certificate) };
    let expected = Expected { keys: Some(known), ..expect(&bob) };
    let mut a = Handshake::initiator(config(&ada, 11), expected, T0).unwrap();
    let mut b = Handshake::responder(config(&bob, 22), T0).unwrap();
    pass(&mut a, &mut b).unwrap();
    let changed = KeyChanged { device: bob.certificate.device_id(), key: PinnedKey::User };
    assert_eq!(pass(&mut b, &mut a), Err(HandshakeError::KeyChanged(changed)));
    assert_eq!(notice(&mut a), DENIED);
}

#[test]
fn the_own_certificate_is_refused() {
    let own = person(2);
    let mut a = Handshake::initiator(config(&own, 11), expect(&own), T0).unwrap();
    let mut b = Handshake::responder(config(&own, 22), T0).unwrap();
    pass(&mut a, &mut b).unwrap();
    assert_eq!(pass(&mut b, &mut a), Err(HandshakeError::Own));
    assert_eq!(notice(&mut a), DENIED);
}

// proves S009, D03
#[test]
fn downgrade_of_modes_or_versions_in_message_1_is_noticed() {
    let bound = |a: &mut Config, b: &mut Config| {
        for config in [a, b] {
            (config.kind, config.binding) = (TransportKind::WebRtc, vec![1; 64]);
        }
    };
    // Behind the first byte and the ephemeral key: count, version, modes, hint, commitment.
    for (at, flip) in [(35, 2), (35, 4), (36 + 16, 1)] {
        let (mut a, mut b) = pair(bound);
        let mut m1 = a.poll_output().unwrap();
        m1[at] ^= flip;
        assert_eq!(b.handle_frame(&m1, T0), Ok(None));
        assert_eq!(pass(&mut b, &mut a), Err(HandshakeError::NotAuthentic));
    }
    let (mut a, mut b) = pair(bound);
    let mut m1 = a.poll_output().unwrap();
    m1[34] = 2;
    assert_eq!(b.handle_frame(&m1, T0), Err(HandshakeError::Version));
    assert_eq!(notice(&mut b), [TAG_ALERT, 2]);
}

// proves D25
#[test]
fn initiator_that_changes_its_number_or_identity_after_message_2_is_refused() {
    // A malicious initiator, built from the parts: it commits to one thing and opens another.
    for other_identity in [false, true] {
        let (mallory, bob) = (person(8), person(2));
        let setup = Config { pairing: true, ..config(&mallory, 11) };
        let (mut noise, this) = Handshake::new(true, setup, T0).unwrap();
        let committed = Opening { nonce: this.nonce, certificate: mallory.certificate.clone() };
        let offer = HandshakeOffer {
            versions: vec![1],
            plain: false,
            hint: [0; 16],
            commitment: committed.commitment(),
        };
        let m1 = noise.write(TAG_M1, &offer.encode()).unwrap();
        let mut b = Handshake::responder(Config { pairing: true, ..config(&bob, 22) }, T0).unwrap();
        b.handle_frame(&m1, T0).unwrap();
        noise.read(&b.poll_output().unwrap()[1..]).unwrap();
        let user = UserKeys::from_seed([9; 32]);
        let renamed = DeviceCertificate::issue(&user, &mallory.keys, UnixTime(1000), "try 2").unwrap();
        let opening = if other_identity {
            Opening { certificate: renamed, ..committed }
        } else {
            Opening { nonce: [1; 32], ..committed }
        };
        let m3 = noise.write(TAG_M3, &opening.encode()).unwrap();
        assert_eq!(b.handle_frame(&m3, T0), Err(HandshakeError::Commitment));
        assert_eq!(notice(&mut b), DENIED);
    }
}

/// Both sides just before frame `n` (M1, M2, M3, READY of the responder, READY of the initiator) is delivered.
fn before(n: usize) -> (Handshake, Handshake, Vec<u8>) {
    let (mut a, mut b) = pair(|_, _| ());
    for i in 0..n {
        let (from, to) = if i % 2 == 0 { (&mut a, &mut b) } else { (&mut b, &mut a) };
        let event = to.handle_frame(&from.poll_output().unwrap(), T0).unwrap();
        match (i, event) {
            // Message 3 was delivered: both consent.
            (2, Some(HandshakeEvent::Authenticated(_))) => {
                a.accept(b"a").unwrap();
                b.accept(b"b").unwrap();
            }
            (1, Some(HandshakeEvent::Authenticated(_)))
            | (0, None)
            | (3.., Some(HandshakeEvent::Established)) => {}
            other => panic!("{other:?}"),
        }
    }
    // The responder receives the even frames.
    let (mut from, to) = if n.is_multiple_of(2) { (a, b) } else { (b, a) };
    let frame = from.poll_output().unwrap();
    (to, from, frame)
}

#[test]
fn every_truncation_and_extension_of_every_frame_is_a_typed_error() {
    for n in 0..5 {
        let len = before(n).2.len();
        for cut in 0..len {
            let (mut to, _, frame) = before(n);
            let error = to.handle_frame(&frame[..cut], T0).unwrap_err();
            assert_ne!(error, HandshakeError::State);
            assert_eq!(to.handle_frame(&frame, T0), Err(HandshakeError::State), "over means over");
        }
        let (mut to, _, mut frame) = before(n);
        frame.push(0);
        to.handle_frame(&frame, T0).unwrap_err();
        let (mut to, _, mut frame) = before(n);
        frame.resize(MAX_HANDSHAKE + 1, 0);
        assert_eq!(to.handle_frame(&frame, T0), Err(HandshakeError::Malformed("too long")));
    }
}

// proves D03
#[test]
fn every_frame_at_a_wrong_moment_is_a_typed_error() {
    for n in 0..5 {
        for m in (0..5).filter(|m| *m != n && !(*m >= 3 && n >= 3)) {
            let (mut to, ..) = before(n);
            let (.., stray) = before(m);
            to.handle_frame(&stray, T0).unwrap_err();
            assert!(to.finish().is_err());
        }
    }
    // Both ends took the same role: message 1 crosses message 1.
    let (mut a, _) = pair(|_, _| ());
    let m1 = a.poll_output().unwrap();
    assert_eq!(a.handle_frame(&m1, T0), Err(HandshakeError::OutOfOrder));
    // READY twice.
    let (mut b, _, ready) = before(4);
    b.handle_frame(&ready, T0).unwrap();
    assert_eq!(b.handle_frame(&ready, T0), Err(HandshakeError::OutOfOrder));
    assert_eq!(notice(&mut b), DENIED);
}

/// Frames that anybody on the way can write, at every moment of the handshake.
fn written_by_anybody() -> impl Iterator<Item = Vec<u8>> {
    let alerts = [0, 1, 2, 3, 4].map(|code| vec![TAG_ALERT, code]);
    let sealed = [0, 1, 16, 17, 64].map(|len| [&[TAG_REFUSED], &vec![0; len][..]].concat());
    [DENIED.to_vec()].into_iter().chain(alerts).chain(sealed)
}

// proves S127, S132
#[test]
fn nothing_that_others_can_write_is_the_peers_word() {
    for n in 0..5 {
        for forged in written_by_anybody() {
            let (mut to, ..) = before(n);
            let error = to.handle_frame(&forged, T0).unwrap_err();
            assert_ne!(error, HandshakeError::Denied, "{forged:?} before frame {n}");
            // Nor does it make this side say no.
            let notice: Vec<_> = std::iter::from_fn(|| to.poll_output()).collect();
            assert!(notice.iter().all(|frame| frame[0] != TAG_REFUSED), "{notice:?}");
        }
    }
}

// proves S132
#[test]
fn a_refusal_of_another_connection_is_not_the_peers_word() {
    let refusal = |entropy| {
        let (mut a, mut b) = pair(|a, _| a.entropy = [entropy; 32]);
        meet(&mut a, &mut b);
        b.reject();
        (a, b.poll_output().unwrap())
    };
    let ((mut a, _), (_, of_another)) = (refusal(11), refusal(12));
    assert_eq!(a.handle_frame(&of_another, T0), Err(HandshakeError::NotAuthentic));
    let (mut a, mut own) = refusal(11);
    own[0] = TAG_READY;
    assert_eq!(a.handle_frame(&own, T0), Err(HandshakeError::NotAuthentic), "nor is it consent");
}

// proves S132
#[test]
fn every_failure_after_authentication_looks_the_same() {
    let (mut b, _, _) = before(3);
    b.reject();
    let (mut forged, _, mut ready) = before(4);
    ready[3] ^= 1;
    assert_eq!(forged.handle_frame(&ready, T0), Err(HandshakeError::NotAuthentic));
    let (mut late, ..) = before(4);
    late.handle_timeout(T0 + HANDSHAKE_TIMEOUT + APPROVAL_TIMEOUT).unwrap_err();
    for side in [&mut b, &mut forged, &mut late] {
        assert_eq!(notice(side), DENIED);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn flipped_bit_in_any_frame_never_establishes(n in 0usize..5, at: prop::sample::Index, bit in 0..8) {
        let (mut to, mut from, mut frame) = before(n);
        let at = at.index(frame.len());
        frame[at] ^= 1u8 << bit;
        // Message 1 is in the clear; a change to it may be noticed only by the answer.
        if to.handle_frame(&frame, T0).is_ok() {
            prop_assert_eq!(n, 0);
            prop_assert!(pass(&mut to, &mut from).is_err());
        }
        prop_assert!(to.finish().is_err());
    }

    #[test]
    fn random_frames_are_a_typed_error(
        n in 0usize..5,
        tag in TAG_M1..=0xF8,
        body in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let (mut to, ..) = before(n);
        let frame = [&[tag], &body[..]].concat();
        prop_assert!(to.handle_frame(&frame, T0).is_err_and(|error| error != HandshakeError::Denied));
        prop_assert!(to.finish().is_err());
    }

    #[test]
    fn offers_round_trip(versions in prop::collection::btree_set(any::<u8>(), 1..=8), plain: bool, hint: [u8; 16], commitment: [u8; 32]) {
        let offer = HandshakeOffer { versions: versions.into_iter().collect(), plain, hint, commitment };
        prop_assert_eq!(HandshakeOffer::decode(&offer.encode()), Ok(offer));
    }
}
