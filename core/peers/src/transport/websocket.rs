//! WebSockets between two devices, one of which listens: a desktop or a server, never a phone.
//!
//! ```text
//!   dial(ws://192.168.1.7:9000)   GET /v1/peer/lan/<connection id>        ──>  Listener
//!   dial(wss://device.example)    GET /v1/peer/internet/<connection id>   ──>  TLS proxy ──> Listener
//! ```
//!
//! The dialer picks the connection id and says which kind it takes the path for, since a listener behind a proxy
//! cannot know; both go into the handshake's prologue. One binary message is one frame.

mod connect;
mod dial;
mod halves;
mod listen;
mod locality;
mod race;
mod tls;

pub use connect::DialError;
pub use dial::{DialOptions, dial};
pub use listen::{AcceptedSocket, Listener};
pub use locality::is_local;
pub use tls::{TrustError, pinned, private_roots, public_roots};

pub(crate) use connect::{Endpoint, Socket, upgrade};
pub(crate) use race::Race;

use peers_proto::id::ConnectionId;

use super::TransportKind;

/// Each path is this, the kind, and the connection id in hexadecimal.
const PATH: &str = "/v1/peer";

fn path(kind: TransportKind, connection: ConnectionId) -> String {
    let kind = if kind == TransportKind::Lan { "lan" } else { "internet" };
    format!("{PATH}/{kind}/{connection}")
}

/// The path that a dialer asked for; a proxy may have put something before it.
fn parse_path(path: &str) -> Option<(TransportKind, ConnectionId)> {
    let (rest, connection) = path.rsplit_once('/')?;
    let (rest, kind) = rest.rsplit_once('/')?;
    let kind = match kind {
        "lan" => TransportKind::Lan,
        "internet" => TransportKind::Internet,
        _ => return None,
    };
    rest.ends_with(PATH).then_some((kind, connection.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_the_kind_and_the_connection() {
        let connection = ConnectionId::from_bytes([0xa5; 16]);
        for kind in [TransportKind::Lan, TransportKind::Internet] {
            assert_eq!(parse_path(&path(kind, connection)), Some((kind, connection)));
            assert_eq!(parse_path(&format!("/devices{}", path(kind, connection))), Some((kind, connection)));
        }
        let id = connection.to_string();
        for wrong in ["", "/", "/v1/peer/lan/", "/v1/peer/lan/xy", &format!("/v1/peer/relay/{id}"), &id] {
            assert_eq!(parse_path(wrong), None, "{wrong}");
        }
    }
}
