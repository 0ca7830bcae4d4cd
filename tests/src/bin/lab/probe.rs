//! The kind of NAT that a device is behind, found out as RFC 5780 does: so that the lab's NATs are what they are called.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::UdpSocket;

use crate::Outcome;
use crate::world::{PROBED, PROBED_ON_TURN};

/// The lab's links take no tenth of it.
const PATIENCE: Duration = Duration::from_millis(400);

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answers {
    pub(crate) local: SocketAddr,
    /// As seen by each of [`PROBED`] that answered, from the same socket.
    pub(crate) mapped: Vec<SocketAddr>,
    /// From a socket that had sent to the first of [`PROBED`] only.
    pub(crate) other_port: bool,
    pub(crate) other_address: bool,
    /// True if the TURN server's address answers.
    pub(crate) from_turn: bool,
}

/// Answers from where it is asked to: the datagram is the index of the socket that shall answer.
pub(crate) async fn serve() -> Outcome<()> {
    let mut sockets = Vec::new();
    for address in PROBED.iter().chain([&PROBED_ON_TURN]) {
        sockets.push(UdpSocket::bind(address).await?);
    }
    println!("ready");
    tokio::try_join!(
        answer_at(&sockets, 0),
        answer_at(&sockets, 1),
        answer_at(&sockets, 2),
        answer_at(&sockets, 3)
    )?;
    Ok(())
}

/// Never returns but with an error.
async fn answer_at(sockets: &[UdpSocket], asked: usize) -> Outcome<()> {
    let mut datagram = [0; 16];
    loop {
        let (_, from) = sockets[asked].recv_from(&mut datagram).await?;
        if let Some(answerer) = sockets.get(usize::from(datagram[0])) {
            answerer.send_to(json!(from).to_string().as_bytes(), from).await?;
        }
    }
}

/// Prints [`Answers`].
pub(crate) async fn ask(local: SocketAddr) -> Outcome<()> {
    let socket = UdpSocket::bind(local).await?;
    let local = socket.local_addr()?;
    // Filtering first: afterwards the NAT knows every address. The farthest first, for the same reason.
    let other_address = answer(&socket, PROBED[0], 2).await.is_some();
    let other_port = answer(&socket, PROBED[0], 1).await.is_some();
    let mut mapped = Vec::new();
    for (index, address) in PROBED.iter().enumerate() {
        mapped.extend(answer(&socket, address, index).await);
    }
    let from_turn = answer(&socket, PROBED_ON_TURN, PROBED.len()).await.is_some();
    println!("{}", json!(Answers { local, mapped, other_port, other_address, from_turn }));
    Ok(())
}

async fn answer(socket: &UdpSocket, to: &str, from: usize) -> Option<SocketAddr> {
    let mut datagram = [0; 64];
    socket.send_to(&[u8::try_from(from).ok()?], to).await.ok()?;
    let length = tokio::time::timeout(PATIENCE, socket.recv(&mut datagram)).await.ok()?.ok()?;
    serde_json::from_slice(datagram.get(..length)?).ok()
}
