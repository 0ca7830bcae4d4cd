use super::*;
use crate::keys::UserKeys;
use crate::time::UnixTime;
use proptest::prelude::*;

fn device(seed: u8) -> (DeviceKeys, DeviceCertificate) {
    let (user, keys) = (UserKeys::from_seed([seed; 32]), DeviceKeys::from_seed([seed; 32]));
    let certificate = DeviceCertificate::issue(&user, &keys, UnixTime(1), "phone").unwrap();
    (keys, certificate)
}

fn recipient() -> DeviceId {
    device(2).1.device_id()
}

fn conn(n: u8) -> ConnectionId {
    ConnectionId::from_bytes([n; 16])
}

/// Of device 1 at device 2.
fn knock() -> Vec<u8> {
    let (keys, certificate) = device(1);
    make(&keys, &certificate, recipient(), conn(5))
}

fn open_at_2(bytes: &[u8]) -> Result<DeviceCertificate, KnockError> {
    open(bytes, recipient(), conn(5))
}

/// The knock with a change that its sender signs.
fn signed(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = knock();
    bytes.truncate(bytes.len() - SIGNATURE_LEN);
    change(&mut bytes);
    let signature = device(1).0.sign(DOMAIN, &bytes);
    [&bytes[..], &signature].concat()
}

#[test]
fn a_knock_shows_the_certificate_of_the_device_that_signed_it() {
    assert_eq!(open_at_2(&knock()), Ok(device(1).1));
    assert_eq!(open_at_2(&signed(|_| ())), Ok(device(1).1));
}

#[test]
fn a_knock_counts_for_one_recipient_and_one_attempt_only() {
    assert_eq!(open(&knock(), device(3).1.device_id(), conn(5)), Err(KnockError::Recipient));
    assert_eq!(open(&knock(), recipient(), conn(6)), Err(KnockError::Connection));
}

#[test]
fn a_knock_in_the_name_of_another_device_is_refused() {
    let (mallory, _) = device(8);
    let forged = make(&mallory, &device(1).1, recipient(), conn(5));
    assert_eq!(open_at_2(&forged), Err(KnockError::Signature));
    // A knock signed for another device is turned to this one.
    let (keys, certificate) = device(1);
    let mut turned = make(&keys, &certificate, mallory.device_id(), conn(5));
    turned[1..21].copy_from_slice(recipient().as_bytes());
    assert_eq!(open_at_2(&turned), Err(KnockError::Signature));
}

#[test]
fn a_copy_is_recognised_as_long_as_it_is_remembered() {
    let mut seen = SeenKnocks::default();
    let from = |n: usize| DeviceId::derive(&n.to_be_bytes());
    assert!(seen.insert(from(0), conn(5)));
    assert!(!seen.insert(from(0), conn(5)));
    assert!(
        seen.insert(from(0), conn(6)) && seen.insert(from(1), conn(5)),
        "neither id is taken by the other"
    );
    for n in 0..MAX_SEEN_KNOCKS {
        seen.insert(from(n), conn(7));
    }
    assert!(seen.insert(from(0), conn(5)));
}

#[test]
fn each_malformed_knock_has_its_error() {
    assert_eq!(open_at_2(&signed(|k| k[0] = 2)), Err(KnockError::Version(2)));
    assert_eq!(open_at_2(&signed(|k| k[37] = 0xff)), Err(KnockError::Malformed));
    assert_eq!(open_at_2(&signed(|k| k[38] -= 1)), Err(KnockError::Malformed));
    assert_eq!(open_at_2(&signed(|k| k.push(0))), Err(KnockError::Malformed));
    let weak = signed(|k| k[39 + 1..39 + 33].fill(0));
    assert!(matches!(open_at_2(&weak), Err(KnockError::Certificate(_))));
    assert_eq!(open_at_2(&[VERSION; MAX_KNOCK + 1]), Err(KnockError::TooLarge));
    assert_eq!(open_at_2(&[VERSION; MAX_KNOCK]), Err(KnockError::Malformed));
}

#[test]
fn every_truncation_extension_and_flipped_bit_is_a_typed_error() {
    let knock = knock();
    for len in 0..knock.len() {
        assert!(open_at_2(&knock[..len]).is_err());
    }
    assert!(open_at_2(&[&knock[..], &[0]].concat()).is_err());
    for at in 0..knock.len() {
        let mut flipped = knock.clone();
        flipped[at] ^= 1;
        assert!(open_at_2(&flipped).is_err(), "byte {at}");
    }
}

#[test]
fn the_largest_knock_is_within_its_limit() {
    let (user, keys) = (UserKeys::from_seed([1; 32]), DeviceKeys::from_seed([1; 32]));
    let name = "n".repeat(crate::limits::MAX_DEVICE_NAME);
    let certificate = DeviceCertificate::issue(&user, &keys, UnixTime(1), &name).unwrap();
    let knock = make(&keys, &certificate, recipient(), conn(5));
    assert!(knock.len() <= MAX_KNOCK);
    assert_eq!(open_at_2(&knock), Ok(certificate));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn knocks_round_trip(to: [u8; 20], id: [u8; 16]) {
        let (to, id) = (DeviceId::from_bytes(to), ConnectionId::from_bytes(id));
        let (keys, certificate) = device(1);
        let knock = make(&keys, &certificate, to, id);
        prop_assert_eq!(open(&knock, to, id), Ok(certificate));
    }

    #[test]
    fn random_bytes_are_a_typed_error(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(open_at_2(&bytes).is_err());
    }
}
