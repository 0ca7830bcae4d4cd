use super::*;
use proptest::prelude::*;

fn pair() -> (Sealer, Opener) {
    let key = Seed([3; 32]);
    (Sealer::new(&key, Instant::ZERO).unwrap(), Opener::new(&key).unwrap())
}

fn seal(sealer: &mut Sealer, frame: &[u8], seconds: u64) -> BytesMut {
    let mut frame = BytesMut::from(frame);
    sealer.seal(&mut frame, Instant::from_micros(seconds * 1_000_000)).unwrap();
    frame
}

fn sealed(frames: &[&[u8]]) -> (Vec<BytesMut>, Opener) {
    let (mut sealer, opener) = pair();
    (frames.iter().map(|frame| seal(&mut sealer, frame, 0)).collect(), opener)
}

// proves S009
#[test]
fn frames_open_in_order_and_show_nothing() {
    let (frames, mut opener) = sealed(&[b"", b"one", &[7; MAX_FRAME]]);
    assert!(!frames[1].windows(3).any(|w| w == b"one"));
    assert_eq!(frames[2].len(), MAX_FRAME + SEAL_OVERHEAD);
    assert_eq!(opener.open(&frames[0]).unwrap(), "");
    assert_eq!(opener.open(&frames[1]).unwrap(), "one");
    assert_eq!(opener.open(&frames[2]).unwrap(), vec![7; MAX_FRAME]);
}

#[test]
fn lost_repeated_and_reordered_frames_end_it_for_good() {
    for order in [&[1][..], &[0, 0], &[0, 2]] {
        let (frames, mut opener) = sealed(&[b"0", b"1", b"2"]);
        let (bad, good) = order.split_last().unwrap();
        for i in good {
            opener.open(&frames[*i]).unwrap();
        }
        assert_eq!(opener.open(&frames[*bad]), Err(SealError::NotAuthentic));
        assert_eq!(opener.open(&frames[good.len()]), Err(SealError::Over));
    }
}

#[test]
fn every_truncation_and_every_flipped_bit_is_a_typed_error() {
    let (frames, _) = sealed(&[b"content"]);
    for len in 0..frames[0].len() {
        assert!(pair().1.open(&frames[0][..len]).is_err());
    }
    for bit in 0..frames[0].len() * 8 {
        let mut frame = frames[0].clone();
        frame[bit / 8] ^= 1 << (bit % 8);
        assert!(pair().1.open(&frame).is_err());
    }
}

#[test]
fn frames_beyond_the_limit_are_refused_on_both_sides() {
    let (mut sealer, mut opener) = pair();
    let mut large = BytesMut::from(&[0; MAX_FRAME + 1][..]);
    assert_eq!(sealer.seal(&mut large, Instant::ZERO), Err(SealError::TooLarge));
    assert_eq!(large.len(), MAX_FRAME + 1);
    let mut huge = vec![0; MAX_FRAME + SEAL_OVERHEAD + 1];
    huge[0] = SEALED;
    assert_eq!(opener.open(&huge), Err(SealError::TooLarge));
}

#[test]
fn key_changes_by_frames_bytes_and_time_without_any_agreement() {
    let policies = [
        RekeyPolicy { frames: 3, ..RekeyPolicy::STANDARD },
        RekeyPolicy { bytes: 12, ..RekeyPolicy::STANDARD },
        RekeyPolicy { after: Duration::from_secs(3), ..RekeyPolicy::STANDARD },
    ];
    // The third frame is the last under its key in each case; the time rule counts from the last change.
    for (policy, changes) in policies.into_iter().zip([vec![2, 5, 8], vec![2, 5, 8], vec![3, 6, 9]]) {
        let (mut sealer, mut opener) = pair();
        sealer.policy = policy;
        let mut last = Vec::new();
        for i in 0..10u8 {
            let frame = seal(&mut sealer, &[i; 4], i.into());
            if frame[0] == SEALED_LAST {
                last.push(usize::from(i));
            }
            assert_eq!(opener.open(&frame).unwrap(), vec![i; 4]);
        }
        assert_eq!(last, changes);
    }
}

#[test]
fn frames_after_a_key_change_do_not_open_with_the_old_key() {
    let (mut sealer, mut opener) = pair();
    sealer.policy.frames = 1;
    let (first, second) = (seal(&mut sealer, b"1", 0), seal(&mut sealer, b"2", 0));
    opener.open(&first).unwrap();
    opener.key.cipher.set(&[3; 32]);
    assert_eq!(opener.open(&second), Err(SealError::NotAuthentic));
}

#[test]
fn numbers_never_wrap() {
    let (mut sealer, mut opener) = pair();
    (sealer.key.nonce, opener.key.nonce) = (u64::MAX, u64::MAX);
    let mut frame = BytesMut::from(&b"x"[..]);
    assert_eq!(sealer.seal(&mut frame, Instant::ZERO), Err(SealError::Exhausted));
    assert_eq!(opener.open(&[SEALED; 20]), Err(SealError::Exhausted));
}

proptest! {
    #[test]
    fn random_bytes_are_a_typed_error(mut bytes in prop::collection::vec(any::<u8>(), 0..256), last: bool) {
        if let Some(first) = bytes.first_mut() {
            *first = if last { SEALED_LAST } else { SEALED };
        }
        prop_assert!(pair().1.open(&bytes).is_err());
    }

    #[test]
    fn any_frames_round_trip(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)) {
        let (mut sealer, mut opener) = pair();
        sealer.policy.frames = 4;
        for frame in frames {
            prop_assert_eq!(opener.open(&seal(&mut sealer, &frame, 0)).unwrap(), frame);
        }
    }
}
