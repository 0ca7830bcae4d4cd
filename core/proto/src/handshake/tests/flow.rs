//! Handshakes between honest devices.

use super::*;
use crate::seal::SEAL_OVERHEAD;

fn plain(a: &mut Config, b: &mut Config) {
    for config in [a, b] {
        config.kind = TransportKind::WebRtc;
        config.binding = vec![9; FULL_BINDING];
    }
}

// proves S009 S078
#[test]
fn double_encryption_is_skipped_only_on_a_bound_webrtc_channel_both_agree_about() {
    let mode = |change: &dyn Fn(&mut Config, &mut Config)| {
        let (a, b) = pair(|a, b| {
            plain(a, b);
            change(a, b);
        });
        let (a, b) = establish(a, b);
        assert_eq!((a.mode, a.seal.is_some()), (b.mode, b.seal.is_some()));
        assert_eq!(a.seal.is_some(), a.mode == Mode::Sealed);
        a.mode
    };
    assert_eq!(mode(&|_, _| ()), Mode::Plain);
    assert_eq!(mode(&|a, _| a.require_sealing = true), Mode::Sealed);
    assert_eq!(mode(&|_, b| b.require_sealing = true), Mode::Sealed);
    for binding in [vec![], vec![9; 32]] {
        assert_eq!(mode(&|a, b| (a.binding, b.binding) = (binding.clone(), binding.clone())), Mode::Sealed);
    }
    for kind in [TransportKind::Lan, TransportKind::Relay, TransportKind::Internet, TransportKind::Custom] {
        assert_eq!(mode(&|a, b| (a.kind, b.kind) = (kind, kind)), Mode::Sealed);
    }
}

// proves S010, S127
#[test]
fn nothing_is_established_before_both_sides_said_yes() {
    let (mut a, mut b) = pair(|_, _| ());
    meet(&mut a, &mut b);
    assert_eq!(a.accept(b""), Ok(None));
    assert_eq!(a.accept(b""), Err(HandshakeError::State), "consent is given once");
    // The initiator's consent arrives while the responder's owner still thinks.
    assert_eq!(pass(&mut a, &mut b), Ok(None));
    assert!(b.poll_output().is_none());
    assert_eq!(b.accept(b""), Ok(Some(HandshakeEvent::Established)));
    assert_eq!(pass(&mut b, &mut a), Ok(Some(HandshakeEvent::Established)));
    assert!(a.finish().is_ok() && b.finish().is_ok());
}

// proves S079, S127, S132
#[test]
fn refusal_by_either_side_yields_no_connection_and_no_reason() {
    for initiator_refuses in [true, false] {
        let (mut a, mut b) = pair(|_, _| ());
        meet(&mut a, &mut b);
        let (refusing, other) = if initiator_refuses { (&mut a, &mut b) } else { (&mut b, &mut a) };
        refusing.reject();
        let refusal = refusing.poll_output().unwrap();
        assert_eq!((refusal[0], refusal.len()), (TAG_REFUSED, SEAL_OVERHEAD));
        assert_eq!(other.handle_frame(&refusal, T0), Err(HandshakeError::Denied));
        assert!(other.poll_output().is_none() && refusing.poll_output().is_none());
        assert_eq!(other.accept(b""), Err(HandshakeError::State));
        assert_eq!(refusing.accept(b""), Err(HandshakeError::State));
        assert!(a.finish().is_err() && b.finish().is_err());
    }
}

// proves S127
#[test]
fn a_refusal_is_heard_before_and_after_the_own_consent() {
    for consented in [true, false] {
        let (mut a, mut b) = pair(|_, _| ());
        meet(&mut a, &mut b);
        if consented {
            a.accept(b"").unwrap();
        }
        b.reject();
        assert_eq!(pass(&mut b, &mut a), Err(HandshakeError::Denied));
    }
}

// proves D25
#[test]
fn both_sides_have_the_digits_before_the_one_that_is_asked_decides() {
    for initiator_asks in [true, false] {
        for other_consents_first in [true, false] {
            let (mut a, mut b) = pair(|_, _| ());
            let (ada, bob) = meet(&mut a, &mut b);
            assert_eq!(ada.sas, bob.sas);
            let (asking, other) = if initiator_asks { (&mut a, &mut b) } else { (&mut b, &mut a) };
            if other_consents_first {
                other.accept(b"").unwrap();
            }
            asking.ask().unwrap();
            assert_eq!(asking.ask(), Err(HandshakeError::State), "said once");
            match pass(asking, other) {
                Ok(Some(HandshakeEvent::Asking(peer))) => assert_eq!(peer.sas, ada.sas),
                unexpected => panic!("{unexpected:?}"),
            }
            if !other_consents_first {
                other.accept(b"").unwrap();
            }
            assert_eq!(asking.accept(b""), Ok(None));
            assert_eq!(pass(asking, other), Ok(Some(HandshakeEvent::Established)));
            assert_eq!(pass(other, asking), Ok(Some(HandshakeEvent::Established)));
            let ((mut sealer, _), (_, mut opener)) =
                (a.finish().unwrap().seal.unwrap(), b.finish().unwrap().seal.unwrap());
            let mut frame = BytesMut::from(&b"in step"[..]);
            sealer.seal(&mut frame, T0).unwrap();
            assert_eq!(opener.open(&frame).unwrap(), "in step");
        }
    }
}

#[test]
fn a_side_that_was_asked_refuses_in_words_that_only_it_can_have_written() {
    let (mut a, mut b) = pair(|_, _| ());
    meet(&mut a, &mut b);
    a.accept(b"").unwrap();
    b.ask().unwrap();
    assert!(matches!(pass(&mut b, &mut a), Ok(Some(HandshakeEvent::Asking(_)))));
    b.reject();
    assert_eq!(pass(&mut b, &mut a), Err(HandshakeError::Denied));
}

#[test]
fn a_peer_says_that_it_asks_once_before_it_consents_and_says_no_more() {
    let said = |frames: &[(u8, &[u8])]| {
        let (mut a, mut b) = pair(|_, _| ());
        meet(&mut a, &mut b);
        let HandshakeState::Deciding(proven) = &mut b.state else { panic!("not authenticated") };
        let mut last = Ok(None);
        for (tag, content) in frames {
            let mut frame = BytesMut::from(*content);
            proven.sealer.seal_as(*tag, &mut frame).unwrap();
            last = a.handle_frame(&frame, T0);
        }
        last
    };
    let (asking, ready) = ((TAG_ASKING, &b""[..]), (TAG_READY, &b""[..]));
    assert!(matches!(said(&[asking]), Ok(Some(HandshakeEvent::Asking(_)))));
    assert_eq!(said(&[asking, asking]), Err(HandshakeError::OutOfOrder));
    assert_eq!(said(&[ready, asking]), Err(HandshakeError::OutOfOrder));
    assert_eq!(said(&[(TAG_ASKING, b"x")]), Err(HandshakeError::Malformed("asking")));
}

#[test]
fn an_initiator_that_refuses_before_message_3_has_left_stays_unknown() {
    let (mut a, mut b) = pair(|_, _| ());
    pass(&mut a, &mut b).unwrap();
    authenticated(pass(&mut b, &mut a).unwrap());
    a.reject();
    assert_eq!(a.poll_output(), Some(vec![TAG_DENIED]), "neither its certificate nor a sealed frame");
    assert_eq!(a.poll_output(), None);
}

#[test]
fn consent_is_not_taken_back_by_a_refusal() {
    for sent in [true, false] {
        let (mut a, mut b) = pair(|_, _| ());
        meet(&mut a, &mut b);
        a.accept(b"").unwrap();
        if sent {
            pass(&mut a, &mut b).unwrap();
        }
        a.reject();
        assert_eq!(pass(&mut a, &mut b), Err(HandshakeError::Refused));
        assert!(a.poll_output().is_none());
    }
}

#[test]
fn finish_before_the_end_yields_nothing() {
    let (a, _) = pair(|_, _| ());
    assert!(a.finish().is_err());
    let (mut a, mut b) = pair(|_, _| ());
    meet(&mut a, &mut b);
    a.accept(b"").unwrap();
    assert!(a.finish().is_err(), "the peer has not consented");
    assert!(b.finish().is_err(), "this side has not consented");
}

#[test]
fn consent_carries_at_most_256_bytes() {
    let (mut a, mut b) = pair(|_, _| ());
    meet(&mut a, &mut b);
    assert_eq!(a.accept(&[0; MAX_READY + 1]), Err(HandshakeError::ReadyTooLarge));
    assert_eq!(a.accept(&[0; MAX_READY]), Ok(None));
    assert_eq!(pass(&mut a, &mut b), Ok(None));
}

#[test]
fn slow_handshake_ends_at_its_deadline_and_a_decision_waits_for_people() {
    let late = T0 + HANDSHAKE_TIMEOUT;
    let (mut a, mut b) = pair(|_, _| ());
    assert_eq!(a.poll_timeout(), Some(late));
    assert_eq!(a.handle_timeout(Instant::from_micros(late.as_micros() - 1)), Ok(()));
    assert_eq!(a.handle_timeout(late), Err(HandshakeError::TimedOut));
    assert_eq!(a.poll_output(), Some(vec![TAG_ALERT, 3]), "message 1 is not worth sending any more");
    assert_eq!((a.poll_output(), a.poll_timeout()), (None, None));
    assert_eq!(b.handle_frame(&[TAG_ALERT, 3], T0), Err(HandshakeError::Alerted(Alert::TimedOut)));

    let (mut a, mut b) = pair(|_, _| ());
    meet(&mut a, &mut b);
    assert_eq!(
        (a.poll_timeout(), b.poll_timeout()),
        (Some(late + APPROVAL_TIMEOUT), Some(late + APPROVAL_TIMEOUT))
    );
}

// proves D25
#[test]
fn people_see_the_same_six_digits_and_every_attempt_has_its_own() {
    let digits = |entropy: u8| {
        let (mut a, mut b) = pair(|a, b| {
            (a.pairing, b.pairing) = (true, true);
            a.entropy = [entropy; 32];
        });
        let (seen_by_b, seen_by_a) = meet(&mut a, &mut b);
        assert_eq!(seen_by_a.sas, seen_by_b.sas);
        let text = seen_by_a.sas.to_string();
        assert!(text.len() == 6 && text.bytes().all(|c| c.is_ascii_digit()));
        text
    };
    assert_ne!(digits(1), digits(3));
}

#[test]
fn highest_common_version_is_chosen() {
    let offer = |versions: &[u8]| HandshakeOffer {
        versions: versions.to_vec(),
        plain: false,
        hint: [0; 16],
        commitment: [0; 32],
    };
    assert_eq!(offer(&[1, 3, 4]).choose_version(&[1, 2, 3]), Ok(3));
    assert_eq!(offer(&[4, 5]).choose_version(&[1, 2, 3]), Err(HandshakeError::Version));
}

#[test]
fn debug_shows_no_secret() {
    let (a, _) = pair(|_, _| ());
    let text = format!("{a:?}");
    assert_eq!(
        text,
        format!("Handshake {{ connection: {}, kind: Lan, state: \"AwaitM2\", .. }}", "07".repeat(16))
    );
}
