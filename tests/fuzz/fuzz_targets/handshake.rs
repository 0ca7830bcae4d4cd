//! One side of a handshake. The first byte chooses the side and how many true messages precede the chunks that follow.

#![no_main]

use libfuzzer_sys::fuzz_target;
use peers_fuzz::{chunks, handshake, step, transcript};
use peers_proto::handshake::HandshakeEvent;
use peers_proto::limits::MAX_HANDSHAKE;
use peers_proto::time::Instant;

fuzz_target!(|data: &[u8]| {
    let Some((&start, data)) = data.split_first() else { return };
    let (mut initiator, mut responder) = handshake();
    for n in 0..start % 4 {
        let (from, to) =
            if n % 2 == 0 { (&mut initiator, &mut responder) } else { (&mut responder, &mut initiator) };
        step(from, to);
    }
    let mut target = if start & 4 == 0 { responder } else { initiator };
    let mut authenticated = target.accept(b"ready").is_ok();
    for frame in chunks(data) {
        match target.handle_frame(frame, Instant::ZERO) {
            // Keys are fixed, so a corpus may hold the true messages: nothing else may authenticate.
            Ok(Some(HandshakeEvent::Authenticated(_))) => {
                assert!(!authenticated && transcript().iter().any(|true_one| true_one == frame));
                authenticated = true;
            }
            Ok(Some(HandshakeEvent::Asking(_))) => panic!("nobody else has the keys to say so"),
            Ok(Some(HandshakeEvent::Established)) => panic!("established without the peer's consent"),
            Ok(None) => assert!(!authenticated, "only READY may follow, and nobody made one"),
            Err(_) => assert!(target.poll_timeout().is_none(), "a handshake goes on after an error"),
        }
        while let Some(frame) = target.poll_output() {
            assert!(frame.len() <= MAX_HANDSHAKE);
        }
    }
});
