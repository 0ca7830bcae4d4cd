use super::*;
use proptest::prelude::*;

const ISSUED: UnixTime = UnixTime(1_700_000_000);

fn user() -> UserKeys {
    UserKeys::from_seed([1; 32])
}

fn device() -> DeviceKeys {
    DeviceKeys::from_seed([2; 32])
}

fn certificate() -> DeviceCertificate {
    DeviceCertificate::issue(&user(), &device(), ISSUED, "Ada's phone").unwrap()
}

/// Signs `body` with whatever keys an attacker has.
fn assemble(body: &[u8], user: &UserKeys, device: &DeviceKeys) -> Vec<u8> {
    [body, &user.sign(USER_DOMAIN, body), &device.sign(DEVICE_DOMAIN, body)].concat()
}

fn body(certificate: &DeviceCertificate) -> Vec<u8> {
    certificate.as_bytes()[..certificate.as_bytes().len() - 2 * SIGNATURE_LEN].to_vec()
}

#[test]
fn certificate_names_device_and_user_by_their_keys() {
    let read = DeviceCertificate::decode(certificate().as_bytes()).unwrap();
    assert_eq!(read, certificate());
    assert_eq!(read.device_id(), device().device_id());
    assert_eq!(read.user_id(), user().user_id());
    assert_eq!((read.noise_pk(), read.box_pk()), (&device().noise_pk(), &device().box_pk()));
    assert_eq!((read.issued(), read.name()), (ISSUED, "Ada's phone"));
}

// proves S131
#[test]
fn victims_signing_key_with_the_attackers_handshake_key_is_refused() {
    // The attacker is a user of its own, so the user's signature is genuine; the victim's device never signed.
    let (attacker, mallory) = (UserKeys::from_seed([9; 32]), DeviceKeys::from_seed([8; 32]));
    let own = DeviceCertificate::issue(&attacker, &mallory, ISSUED, "Ada's phone").unwrap();
    let mut forged = body(&own);
    forged[33..65].copy_from_slice(&device().sign_pk());
    let forged = assemble(&forged, &attacker, &mallory);
    assert_eq!(DeviceCertificate::decode(&forged), Err(CertificateError::DeviceSignature));
}

// proves S131
#[test]
fn device_that_claims_another_user_is_refused() {
    let mut forged = body(&certificate());
    forged[1..33].copy_from_slice(&UserKeys::from_seed([5; 32]).user_pk());
    let forged = assemble(&forged, &user(), &device());
    assert_eq!(DeviceCertificate::decode(&forged), Err(CertificateError::UserSignature));
}

#[test]
fn swapped_signatures_are_refused() {
    let bytes = certificate().as_bytes().to_vec();
    let (body, signatures) = bytes.split_at(bytes.len() - 128);
    let swapped = [body, &signatures[64..], &signatures[..64]].concat();
    assert_eq!(DeviceCertificate::decode(&swapped), Err(CertificateError::UserSignature));
}

#[test]
fn keys_of_small_order_are_refused() {
    for at in [65, 97] {
        let mut weak = body(&certificate());
        weak[at..at + 32].fill(0);
        let weak = assemble(&weak, &user(), &device());
        assert_eq!(DeviceCertificate::decode(&weak), Err(CertificateError::WeakKey));
    }
}

#[test]
fn each_malformed_field_has_its_error() {
    let good = body(&certificate());
    let decode = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut body = good.clone();
        change(&mut body);
        DeviceCertificate::decode(&assemble(&body, &user(), &device())).unwrap_err()
    };
    assert_eq!(decode(&|b| b[0] = 2), CertificateError::Version(2));
    assert_eq!(decode(&|b| b.push(0)), CertificateError::Length);
    assert_eq!(decode(&|b| b[137] -= 1), CertificateError::Length);
    assert_eq!(decode(&|b| b[138] = 0xff), CertificateError::Name);
    assert_eq!(decode(&|b| b[138] = b'\n'), CertificateError::Name);
    let long = "x".repeat(MAX_DEVICE_NAME + 1);
    assert_eq!(
        decode(&|b| {
            b[137] = 65;
            b.truncate(138);
            b.extend_from_slice(long.as_bytes());
        }),
        CertificateError::Name
    );
    let made = DeviceCertificate::issue(&user(), &device(), ISSUED, &long);
    assert_eq!(made, Err(CertificateError::Name));
}

// proves D04: it counts whatever the clock of its maker showed, and whatever that of its reader shows.
#[test]
fn a_certificate_of_any_date_counts() {
    for issued in [0, ISSUED.0, u64::MAX] {
        let made = DeviceCertificate::issue(&user(), &device(), UnixTime(issued), "").unwrap();
        assert_eq!(
            DeviceCertificate::decode(made.as_bytes()).map(|read| read.issued()),
            Ok(UnixTime(issued))
        );
    }
}

#[test]
fn every_truncation_is_a_typed_error() {
    let revocations = RevocationList::issue(&user(), 3, [device().device_id()]).unwrap();
    for len in 0..certificate().as_bytes().len() {
        assert!(DeviceCertificate::decode(&certificate().as_bytes()[..len]).is_err());
    }
    for len in 0..revocations.as_bytes().len() {
        assert_eq!(RevocationList::decode(&revocations.as_bytes()[..len]), Err(RevocationError::Length));
    }
}

#[test]
fn highest_serial_of_the_same_user_wins() {
    let id = device().device_id();
    let (old, new) =
        (RevocationList::issue(&user(), 1, []).unwrap(), RevocationList::issue(&user(), 2, [id]).unwrap());
    assert!(new.replaces(&old) && !old.replaces(&new) && !new.replaces(&new));
    assert!(new.revokes(&id) && !old.revokes(&id));
    let stranger = RevocationList::issue(&UserKeys::from_seed([9; 32]), 9, [id]).unwrap();
    assert!(!stranger.replaces(&new));
}

#[test]
fn revocation_list_is_bounded_ordered_and_signed() {
    let id = |n: u16| DeviceId::derive(&n.to_be_bytes());
    let full = RevocationList::issue(&user(), 1, (0..512).map(id)).unwrap();
    assert_eq!(RevocationList::decode(full.as_bytes()), Ok(full));
    let over = RevocationList::issue(&user(), 1, (0..513).map(id));
    assert_eq!(over, Err(RevocationError::TooMany));

    let two = RevocationList::issue(&user(), 1, [id(1), id(2)]).unwrap();
    let change = |change: &dyn Fn(&mut [u8])| {
        let mut bytes = two.as_bytes().to_vec();
        change(&mut bytes);
        RevocationList::decode(&bytes).unwrap_err()
    };
    assert_eq!(change(&|b| b[0] = 7), RevocationError::Version(7));
    assert_eq!(change(&|b| b[41] = 0xff), RevocationError::TooMany);
    assert_eq!(change(&|b| b.copy_within(43..63, 63)), RevocationError::Order);
    assert_eq!(change(&|b| b[40] ^= 1), RevocationError::Signature);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn certificates_round_trip(seeds: [[u8; 32]; 2], issued: u64, name in "[^\\p{C}]{0,16}") {
        let (user, device) = (UserKeys::from_seed(seeds[0]), DeviceKeys::from_seed(seeds[1]));
        let made = DeviceCertificate::issue(&user, &device, UnixTime(issued), &name).unwrap();
        prop_assert!(made.as_bytes().len() <= MAX_CERTIFICATE);
        prop_assert_eq!(DeviceCertificate::decode(made.as_bytes()), Ok(made));
    }

    #[test]
    fn any_flipped_bit_is_a_typed_error(at: prop::sample::Index, bit in 0..8) {
        let mut bytes = certificate().as_bytes().to_vec();
        bytes[at.index(certificate().as_bytes().len())] ^= 1u8 << bit;
        prop_assert!(DeviceCertificate::decode(&bytes).is_err());
    }

    #[test]
    fn random_bytes_are_a_typed_error(mut bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(DeviceCertificate::decode(&bytes).is_err());
        prop_assert!(RevocationList::decode(&bytes).is_err());
        if let Some(first) = bytes.first_mut() {
            *first = VERSION;
        }
        prop_assert!(DeviceCertificate::decode(&bytes).is_err());
        prop_assert!(RevocationList::decode(&bytes).is_err());
    }
}
