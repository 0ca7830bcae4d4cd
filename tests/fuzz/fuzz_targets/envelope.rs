//! Sealed envelopes, and what a peer may have written into one. Two chunks: bytes to open, a body to seal.

#![no_main]

use libfuzzer_sys::fuzz_target;
use peers_fuzz::{Person, chunks};
use peers_proto::envelope::{Content, open, seal};
use peers_proto::id::ConnectionId;
use peers_proto::signaling::{Contents, base64};
use peers_proto::trust::KnownKeys;

fuzz_target!(|data: &[u8]| {
    let (from, to) = (Person::new(1), Person::new(2));
    let mut chunks = chunks(data);
    if let Some(sealed) = chunks.next() {
        let _ = open(sealed, &to.keys);
    }
    let content = Content {
        connection_id: ConnectionId::from_bytes([7; 16]),
        attempt: 1,
        fingerprint: data.first().filter(|first| **first & 1 == 1).map(|first| [*first; 32]),
        body: chunks.next().unwrap_or_default().to_vec(),
    };
    let recipient = KnownKeys::of(&to.certificate);
    let Ok(sealed) = seal(&content, &from.keys, &from.certificate, &recipient, [3; 32]) else { return };
    let opened = open(&sealed, &to.keys).expect("what was sealed opens");
    assert!(opened.content == content && opened.sender == from.certificate);
    let open = |sealed: &str| {
        Contents::open(sealed, &to.keys, from.certificate.device_id(), content.connection_id).ok()
    };
    if let Some((_, contents)) = open(&base64::encode(&sealed)) {
        let again = contents.seal(&from.keys, &from.certificate, &recipient, [4; 32]);
        let again = again.expect("what was received can be sent");
        assert_eq!(open(&again), Some((from.certificate.clone(), contents)));
    }
});
