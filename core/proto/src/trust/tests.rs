use super::*;
use crate::certificate::DeviceCertificate;
use crate::keys::{DeviceKeys, UserKeys};
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
    DeviceCertificate::issue(&user, &device, UnixTime(1), UnixTime(0), "").unwrap()
}

// proves S127
#[test]
fn each_level_may_do_what_the_design_says_and_nothing_else() {
    use Capability::{Calls, Groups, Messages, Pairing, Ping, Streams};
    let all = [Ping, Pairing, Groups, Messages, Calls, Streams];
    let granted = |level| all.into_iter().filter(|c| allows(level, *c)).collect::<Vec<_>>();
    for level in LADDER {
        let expected: &[Capability] = match level {
            TrustLevel::Malicious | TrustLevel::Untrusted => &[],
            TrustLevel::Unknown | TrustLevel::NewUser => &[Ping, Pairing],
            TrustLevel::NewDevice | TrustLevel::Known => &[Ping, Pairing, Groups],
            TrustLevel::Trusted | TrustLevel::Own => &all,
        };
        assert_eq!(granted(level), expected, "{level:?}");
    }
}

#[test]
fn ladder_carries_the_proposals_numbers() {
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

// proves D06
#[test]
fn stored_keys_that_differ_always_reject() {
    let mut pins = Pins::default();
    assert_eq!(pins.check(&certificate(1, 2)), Ok(false));
    pins.pin(&certificate(1, 2)).unwrap();
    assert_eq!(pins.check(&certificate(1, 2)), Ok(true));

    // The same device under another user: genuine signatures, and still refused.
    let moved = certificate(3, 2);
    let changed = KeyChanged { device: moved.device_id(), key: PinnedKey::User };
    assert_eq!(pins.check(&moved), Err(changed));
    assert_eq!(pins.pin(&moved), Err(changed));
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
