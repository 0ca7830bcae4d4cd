//! Certificates and revocation lists: accepted ones have one encoding.

#![no_main]

use libfuzzer_sys::fuzz_target;
use peers_proto::certificate::{DeviceCertificate, RevocationList};

fuzz_target!(|data: &[u8]| {
    if let Ok(certificate) = DeviceCertificate::decode(data) {
        assert_eq!(certificate.as_bytes(), data);
        assert!(certificate.name().len() <= data.len());
    }
    if let Ok(list) = RevocationList::decode(data) {
        assert_eq!(list.as_bytes(), data);
        assert!(list.devices().all(|device| list.revokes(device)));
    }
});
