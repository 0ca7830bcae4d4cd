use super::*;
use crate::certificate::DeviceCertificate;
use crate::id::{DeviceId, UserId};
use crate::keys::{DeviceKeys, UserKeys};
use crate::limits::MAX_PINNED;
use crate::time::UnixTime;

const LADDER: [TrustLevel; 8] = [
    TrustLevel::Malicious,
    TrustLevel::Untrusted,
    TrustLevel::Unknown,
    TrustLevel::NewUser,
    TrustLevel::NewDevice,
    TrustLevel::Known,
    TrustLevel::Trusted,
    TrustLevel::Own,
];

fn certificate(user: u8, device: u8) -> DeviceCertificate {
    let (user, device) = (UserKeys::from_seed([user; 32]), DeviceKeys::from_seed([device; 32]));
    DeviceCertificate::issue(&user, &device, UnixTime(1), "").unwrap()
}

// proves S127
#[test]
fn each_level_has_the_capabilities_of_the_table_and_no_others() {
    use Capability::{Groups, Messages, Pairing};
    let all = [Pairing, Groups, Messages];
    let granted = |level| all.into_iter().filter(|c| allows(level, *c)).collect::<Vec<_>>();
    for level in LADDER {
        let expected: &[Capability] = match level {
            TrustLevel::Malicious | TrustLevel::Untrusted => &[],
            TrustLevel::Unknown | TrustLevel::NewUser => &[Pairing],
            TrustLevel::NewDevice | TrustLevel::Known => &[Pairing, Groups],
            TrustLevel::Trusted | TrustLevel::Own => &all,
        };
        assert_eq!(granted(level), expected, "{level:?}");
    }
}

#[test]
fn the_numbers_of_the_ladder_stay() {
    assert_eq!(LADDER.map(TrustLevel::value), [-20, -10, 0, 10, 20, 30, 50, 100]);
    assert!(LADDER.is_sorted());
}

#[test]
fn seven_days_make_a_new_device_known_and_change_nothing_else() {
    let week = Duration::from_secs(7 * 24 * 3600);
    assert_eq!(TrustLevel::NewDevice.aged(week), TrustLevel::Known);
    assert_eq!(TrustLevel::NewDevice.aged(week - Duration::from_secs(1)), TrustLevel::NewDevice);
    for level in LADDER.into_iter().filter(|l| *l != TrustLevel::NewDevice) {
        assert_eq!(level.aged(week * 1000), level);
    }
}

#[test]
fn malicious_outweighs_every_other_judgement() {
    for level in LADDER {
        assert_eq!(TrustLevel::combine([level, TrustLevel::Malicious]), TrustLevel::Malicious);
        assert_eq!(TrustLevel::combine([TrustLevel::Malicious, level]), TrustLevel::Malicious);
        assert_eq!(TrustLevel::combine([level]), level);
    }
    assert_eq!(TrustLevel::combine([TrustLevel::Known, TrustLevel::Trusted]), TrustLevel::Trusted);
    assert_eq!(TrustLevel::combine([]), TrustLevel::Unknown);
}

fn unknown(_: DeviceId, _: UserId) -> TrustLevel {
    TrustLevel::Unknown
}

/// The certificate of one of many devices of one user.
fn one_of_many(n: u16) -> DeviceCertificate {
    let mut seed = [0x55; 32];
    seed[..2].copy_from_slice(&n.to_be_bytes());
    let (user, device) = (UserKeys::from_seed([9; 32]), DeviceKeys::from_seed(seed));
    DeviceCertificate::issue(&user, &device, UnixTime(1), "").unwrap()
}

#[test]
fn a_full_book_forgets_who_was_used_least_recently_and_never_a_trusted_device_for_another() {
    let mut pins = Pins::default();
    let (friend, newcomer) = (certificate(1, 2), certificate(3, 4));
    let trusted = |device: DeviceId, _: UserId| {
        if device == friend.device_id() { TrustLevel::Trusted } else { TrustLevel::Known }
    };
    pins.pin(&friend, trusted).unwrap();
    let strangers: Vec<_> = (1..MAX_PINNED as u16).map(one_of_many).collect();
    for stranger in &strangers {
        pins.pin(stranger, trusted).unwrap();
    }
    pins.pin(&strangers[0], trusted).unwrap(); // used again
    let pinned = pins.pin(&newcomer, trusted).unwrap();
    assert_eq!(pinned, PinOutcome { kept: true, removed: Some(strangers[1].device_id()) });
    let kept = |pins: &Pins, of: &DeviceCertificate| pins.get(&of.device_id()).is_some();
    assert!([&friend, &newcomer, &strangers[0], &strangers[2]].iter().all(|of| kept(&pins, of)));
    assert!(!kept(&pins, &strangers[1]));

    // Where all are trusted, one that is not gets no place, and one that is gets the oldest one.
    let all = |_, _| TrustLevel::Trusted;
    let but_one = |device, _| {
        if device == strangers[1].device_id() { TrustLevel::Known } else { TrustLevel::Trusted }
    };
    assert_eq!(pins.pin(&strangers[1], but_one).unwrap(), PinOutcome::default());
    assert!(!kept(&pins, &strangers[1]) && kept(&pins, &friend));
    pins.pin(&strangers[1], all).unwrap();
    assert!(kept(&pins, &strangers[1]) && !kept(&pins, &friend));
}

#[test]
fn pins_of_an_earlier_run_are_as_old_as_their_order_says_and_no_more_than_fit() {
    let all: Vec<_> = (0..=MAX_PINNED as u16).map(one_of_many).collect();
    let mut pins = Pins::load(all.iter().map(|of| (of.device_id(), KnownKeys::of(of))));
    assert_eq!(pins.get(&all[0].device_id()), None);
    let pinned = pins.pin(&all[0], |_, _| TrustLevel::Known).unwrap();
    assert_eq!(pinned, PinOutcome { kept: true, removed: Some(all[1].device_id()) });
}

// proves D06
#[test]
fn stored_keys_that_differ_always_reject() {
    let mut pins = Pins::default();
    assert_eq!(pins.check(&certificate(1, 2)), Ok(false));
    pins.pin(&certificate(1, 2), unknown).unwrap();
    assert_eq!(pins.check(&certificate(1, 2)), Ok(true));

    // The same device under another user: genuine signatures, and still refused.
    let moved = certificate(3, 2);
    let changed = KeyChanged { device: moved.device_id(), key: PinnedKey::User };
    assert_eq!(pins.check(&moved), Err(changed));
    assert_eq!(pins.pin(&moved, unknown), Err(changed));
    assert_eq!(pins.check(&certificate(1, 2)), Ok(true), "what was stored stays");

    let known = KnownKeys::of(&certificate(1, 2));
    for (other, key) in [
        (KnownKeys { sign_pk: [0; 32], ..known }, PinnedKey::Sign),
        (KnownKeys { noise_pk: [0; 32], ..known }, PinnedKey::Noise),
        (KnownKeys { box_pk: [0; 32], ..known }, PinnedKey::Box),
    ] {
        assert_eq!(other.check(&certificate(1, 2)).unwrap_err().key, key);
    }
    pins.forget(&moved.device_id());
    assert_eq!(pins.check(&moved), Ok(false));
}
