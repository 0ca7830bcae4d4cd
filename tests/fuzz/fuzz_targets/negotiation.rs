//! Offers, answers, candidates and byes of a peer in any order. Each chunk: what happens, to which attempt, its number,
//! then the body of an envelope.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use peers_fuzz::chunks;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::limits::MAX_CANDIDATES;
use peers_proto::signaling::{Action, Body, Contents, Negotiation};
use peers_proto::time::Instant;

fuzz_target!(|data: &[u8]| {
    let Some((&first, data)) = data.split_first() else { return };
    let (local, remote) = (DeviceId::from_bytes([first & 1; 20]), DeviceId::from_bytes([!first & 1; 20]));
    let mut negotiation = Negotiation::new(local, remote, 1, first & 2 == 0);
    let mut now = Instant::ZERO;
    for chunk in chunks(data) {
        let Some((&[what, which, number], body)) = chunk.split_first_chunk() else { continue };
        let connection_id = ConnectionId::from_bytes([which % 8; 16]);
        match what % 8 {
            0 => drop(negotiation.dial(connection_id, now)),
            1 => negotiation.hang_up(now),
            2 => negotiation.handle_connected(connection_id, now),
            3 => negotiation.handle_closed(connection_id, now),
            4 => negotiation.handle_signaling(what & 8 != 0, now),
            _ => {
                let (attempt, fingerprint) = (number.into(), (what & 8 == 0).then_some([which; 32]));
                if let Ok(body) = Body::decode(body) {
                    let contents = Contents { connection_id, attempt, fingerprint, body };
                    negotiation.handle_remote(contents, now);
                }
            }
        }
        act(&mut negotiation, now);
        now += Duration::from_millis(u64::from(what) * 8);
        negotiation.handle_timeout(now);
        act(&mut negotiation, now);
        assert!(negotiation.poll_timeout().is_none_or(|at| at > now), "what was due is still due");
    }
});

/// Does what the machine asks for, as the owner of a peer connection would.
fn act(negotiation: &mut Negotiation, now: Instant) {
    while let Some(action) = negotiation.poll_output() {
        match action {
            Action::CreateOffer { connection_id } | Action::CreateAnswer { connection_id, .. } => {
                negotiation.handle_local_description(connection_id, "v=0".into(), [1; 32], now);
                let candidates = (0..MAX_CANDIDATES + 1).map(|n| format!("candidate:{n}"));
                negotiation.handle_local_candidates(connection_id, candidates, now);
            }
            Action::Send(contents) => {
                let body = contents.body.encode().expect("what is to be sent can be");
                assert!(Body::decode(&body) == Ok(contents.body));
            }
            Action::AddCandidates { candidates, .. } => assert!(candidates.len() <= MAX_CANDIDATES),
            Action::Dial | Action::ApplyAnswer { .. } | Action::Abandon { .. } => {}
        }
    }
}
