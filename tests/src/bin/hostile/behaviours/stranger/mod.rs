//! Devices at the relay that the victim does not know.

mod consent;
mod handshakes;
mod load;

use std::time::Duration;

use peers::random;
use peers_proto::id::ConnectionId;

use super::Behaviour;

/// At full speed, as long as a fault needs to show.
const FLOOD: Duration = Duration::from_millis(1500);

pub(super) fn all() -> Vec<Behaviour> {
    [load::all(), handshakes::all(), consent::all()].into_iter().flatten().collect()
}

fn fresh() -> ConnectionId {
    ConnectionId::from_bytes(random::array())
}

/// Base64 that is no envelope.
fn noise(len: usize) -> String {
    let mut bytes = vec![0; len];
    random::fill(&mut bytes);
    peers_proto::signaling::base64::encode(&bytes)
}
