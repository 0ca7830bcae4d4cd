use peers_proto::certificate::DeviceCertificate;
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::timing::NEW_DEVICE_AGE;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::limits::{MAX_ADDRESS, MAX_ADDRESSES, MAX_PENDING_REQUEST, MAX_REVOCATION_LIST};

const LEVELS: [TrustLevel; 8] = [
    TrustLevel::Malicious,
    TrustLevel::Untrusted,
    TrustLevel::Unknown,
    TrustLevel::NewUser,
    TrustLevel::NewDevice,
    TrustLevel::Known,
    TrustLevel::Trusted,
    TrustLevel::Own,
];

fn certificate() -> DeviceCertificate {
    let (user, device) = (UserKeys::from_seed([1; 32]), DeviceKeys::from_seed([2; 32]));
    DeviceCertificate::issue(&user, &device, UnixTime(3), "phone").unwrap()
}

fn device() -> DeviceRecord {
    DeviceRecord::new(DeviceId::from_bytes([1; 20]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn round_trips(record: &StoredRecord) {
    let bytes = record.encode().unwrap();
    assert_eq!(StoredRecord::decode(record.key(), &bytes).as_ref(), Ok(record));
    let name = record.key();
    assert_eq!(RecordKey::from_bytes(name.table(), name.as_bytes()), Ok(name));
}

#[test]
fn golden_bytes_of_each_record() {
    let level = GivenLevel { level: TrustLevel::Malicious, since: UnixTime(0x0102) };
    let (user, connection) = (UserId::from_bytes([2; 20]), ConnectionId::from_bytes([3; 16]));
    let known = DeviceRecord {
        level: Some(level),
        certificate: Some(vec![0xaa, 0xbb]),
        addresses: vec!["ws://a".into(), "wss://b".into()],
        seen: UnixTime(5),
        ..device()
    };
    let pending =
        PendingRecord { connection, device: device().device, request: vec![9, 8], received: UnixTime(7) };
    for (record, golden) in [
        (StoredRecord::Device(device()), "01000000000000000000 00".to_owned()),
        (
            StoredRecord::Device(known),
            "01 06 ec0000000000000102 0002aabb 02 0677733a2f2f61 077773733a2f2f62 0000000000000005".into(),
        ),
        (StoredRecord::User(UserRecord { user, level }), "01 ec 0000000000000102".into()),
        (
            StoredRecord::Revocation(RevocationRecord { user, serial: 4, list: vec![6, 6] }),
            "01 0000000000000004 0606".into(),
        ),
        (StoredRecord::Pending(pending), format!("01 {} 0000000000000007 0908", "01".repeat(20))),
    ] {
        assert_eq!(hex(&record.encode().unwrap()), golden.replace(' ', ""), "{record:?}");
        round_trips(&record);
    }
}

#[test]
fn golden_bytes_of_pinned_keys() {
    let certificate = certificate();
    let keys = KnownKeys::of(&certificate);
    let record = DeviceRecord { keys: Some(keys), ..DeviceRecord::new(certificate.device_id()) };
    assert_eq!(record.user(), Some(certificate.user_id()));
    let all = [keys.user_pk, keys.sign_pk, keys.noise_pk, keys.box_pk];
    let golden = format!("0101{}{}", hex(all.as_flattened()), "00".repeat(9));
    assert_eq!(hex(&StoredRecord::Device(record.clone()).encode().unwrap()), golden);
    round_trips(&StoredRecord::Device(record));
}

#[test]
fn keys_of_another_device_are_not_kept_for_this_one() {
    let record = DeviceRecord { keys: Some(KnownKeys::of(&certificate())), ..device() };
    assert_eq!(StoredRecord::Device(record.clone()).encode(), Err(RecordError::Keys));
    // Nor are they read from a changed file.
    let own = DeviceRecord { device: certificate().device_id(), ..record };
    let bytes = StoredRecord::Device(own).encode().unwrap();
    assert_eq!(StoredRecord::decode(RecordKey::Device(device().device), &bytes), Err(RecordError::Keys));
}

#[test]
fn the_longest_of_everything_is_kept_and_one_byte_more_is_not() {
    let (user, connection) = (UserId::from_bytes([2; 20]), ConnectionId::from_bytes([3; 16]));
    let with = |certificate: usize, address: usize, addresses: usize| {
        StoredRecord::Device(DeviceRecord {
            certificate: Some(vec![1; certificate]),
            addresses: vec!["a".repeat(address); addresses],
            ..device()
        })
    };
    let list = |len| StoredRecord::Revocation(RevocationRecord { user, serial: 1, list: vec![1; len] });
    let pending = |len| {
        let (device, received) = (device().device, UnixTime(1));
        StoredRecord::Pending(PendingRecord { connection, device, request: vec![1; len], received })
    };
    let certificate = peers_proto::certificate::MAX_CERTIFICATE;
    for record in [
        with(certificate, MAX_ADDRESS, MAX_ADDRESSES),
        list(MAX_REVOCATION_LIST),
        pending(MAX_PENDING_REQUEST),
    ] {
        round_trips(&record);
    }
    for (record, error) in [
        (with(certificate + 1, 1, 1), RecordError::TooLong("certificate")),
        (with(1, MAX_ADDRESS + 1, 1), RecordError::TooLong("address")),
        (with(1, 1, MAX_ADDRESSES + 1), RecordError::Addresses),
        (with(1, 0, 1), RecordError::Addresses),
        (list(MAX_REVOCATION_LIST + 1), RecordError::TooLong("revocation list")),
        (pending(MAX_PENDING_REQUEST + 1), RecordError::TooLong("request")),
    ] {
        assert_eq!(record.encode(), Err(error));
    }
}

#[test]
fn a_real_revocation_list_fits_with_as_many_devices_as_it_may_have() {
    let ids = (0..peers_proto::limits::MAX_REVOKED).map(|n| DeviceId::derive(&n.to_be_bytes()));
    let list = RevocationList::issue(&UserKeys::from_seed([1; 32]), 9, ids).unwrap();
    let record = RevocationRecord::from(&list);
    assert_eq!((record.list.len(), record.serial), (MAX_REVOCATION_LIST, 9));
    assert_eq!(RevocationList::decode(&record.list), Ok(list));
    round_trips(&StoredRecord::Revocation(record));
}

#[test]
fn bytes_of_another_version_flags_or_levels_are_typed_errors() {
    let key = RecordKey::Device(device().device);
    let user = RecordKey::User(UserId::from_bytes([2; 20]));
    for (key, bytes, error) in [
        (key, &[][..], RecordError::Length),
        (key, &[2, 0], RecordError::Version(2)),
        (key, &[1, 8], RecordError::Flags(8)),
        (key, &[1, 0, 1, 1, 0xff, 0, 0, 0, 0, 0, 0, 0, 0], RecordError::Text),
        (key, &[1, 0, 9], RecordError::Length),
        (user, &[1, 31, 0, 0, 0, 0, 0, 0, 0, 0], RecordError::Level(31)),
        (user, &[1, 30, 0, 0, 0, 0, 0, 0, 0, 0, 0], RecordError::Length),
    ] {
        assert_eq!(StoredRecord::decode(key, bytes), Err(error), "{bytes:?}");
    }
    assert_eq!(RecordKey::from_bytes(RecordTable::Devices, &[1; 19]), Err(RecordError::Length));
    assert_eq!(RecordKey::from_bytes(RecordTable::Pending, &[1; 20]), Err(RecordError::Length));
}

#[test]
fn every_level_is_read_as_it_was_written() {
    // A new level fails to compile here until `LEVELS` and the codec have it.
    let known = |level| match level {
        TrustLevel::Malicious | TrustLevel::Untrusted | TrustLevel::Unknown | TrustLevel::NewUser => true,
        TrustLevel::NewDevice | TrustLevel::Known | TrustLevel::Trusted | TrustLevel::Own => true,
    };
    for level in LEVELS {
        assert!(known(level));
        let level = GivenLevel { level, since: UnixTime(u64::MAX) };
        round_trips(&StoredRecord::User(UserRecord { user: UserId::from_bytes([2; 20]), level }));
    }
}

#[test]
fn a_level_ages_from_the_time_it_was_given_and_no_clock_set_back_ages_it() {
    let given = |level| GivenLevel { level, since: UnixTime(1000) };
    let aged = UnixTime(1000 + NEW_DEVICE_AGE.as_secs());
    assert_eq!(given(TrustLevel::NewDevice).at(UnixTime(aged.0 - 1)), TrustLevel::NewDevice);
    assert_eq!(given(TrustLevel::NewDevice).at(aged), TrustLevel::Known);
    assert_eq!(given(TrustLevel::NewDevice).at(UnixTime(0)), TrustLevel::NewDevice);
    for blocked in [TrustLevel::Malicious, TrustLevel::Untrusted] {
        assert_eq!(given(blocked).at(UnixTime(u64::MAX)), blocked);
    }
}

proptest! {
    #[test]
    fn random_bytes_are_a_record_in_its_one_form_or_a_typed_error(
        kind in 0..4usize,
        body in vec(any::<u8>(), 0..200),
        known in any::<bool>(),
    ) {
        let kind = RecordTable::ALL[kind];
        let name = [7; 20];
        let name = if kind == RecordTable::Pending { &name[..16] } else { &name[..] };
        let key = RecordKey::from_bytes(kind, name).unwrap();
        // Half of them get past the version and the flags.
        let mut bytes = if known { vec![1, 6] } else { Vec::new() };
        bytes.extend(body);
        if let Ok(record) = StoredRecord::decode(key, &bytes) {
            prop_assert_eq!(record.encode(), Ok(bytes));
        }
    }

    #[test]
    fn devices_round_trip_and_every_shorter_form_is_an_error(
        level in 0..9usize,
        certificate in proptest::option::of(vec(any::<u8>(), 0..100)),
        addresses in vec("[a-zé:/]{1,40}", 0..=MAX_ADDRESSES),
        (since, seen) in any::<(u64, u64)>(),
        keys in any::<bool>(),
    ) {
        let issued = self::certificate();
        let level = LEVELS.get(level).map(|level| GivenLevel { level: *level, since: UnixTime(since) });
        let keys = keys.then(|| KnownKeys::of(&issued));
        let device = issued.device_id();
        let record = DeviceRecord { device, keys, level, certificate, addresses, seen: UnixTime(seen) };
        let record = StoredRecord::Device(record);
        round_trips(&record);
        let bytes = record.encode().unwrap();
        for end in 0..bytes.len() {
            prop_assert!(StoredRecord::decode(record.key(), &bytes[..end]).is_err());
        }
    }
}
