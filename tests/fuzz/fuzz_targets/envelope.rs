//! Sealed envelopes, and what a peer may have written into one. Two chunks: bytes to open, a body to seal.

#![no_main]

use libfuzzer_sys::fuzz_target;
use peers_fuzz::{Person, chunks};
use peers_proto::envelope::{Content, open, seal};
use peers_proto::id::ConnectionId;
use peers_proto::signaling::Contents;
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
    if let Ok(sealed) = seal(&content, &from.keys, &from.certificate, &recipient, [3; 32]) {
        let opened = open(&sealed, &to.keys).expect("what was sealed opens");
        assert!(opened.content == content && opened.sender == from.certificate);
    }
    if let Ok(contents) = Contents::from_envelope(&content) {
        let again = contents.to_envelope().expect("what was received can be sent");
        assert_eq!(Contents::from_envelope(&again).ok(), Some(contents));
    }
});
