//! The listening side.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use peers_proto::id::ConnectionId;
use peers_proto::{limits, timing};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{StatusCode, header::ORIGIN};

use super::connect::READ_BUFFER;
use super::{halves, is_local, parse_path};
use crate::clock::Clock;
use crate::transport::{Transport, TransportKind};

/// Accepts transports. Dropping it ends the upgrades that are not done; accepted transports live on.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    upgrades: JoinSet<Option<AcceptedSocket>>,
    /// Oldest first.
    order: VecDeque<AbortHandle>,
}

/// An accepted transport. Nothing about the peer is known yet.
pub struct AcceptedSocket {
    /// The dialer's choice.
    pub connection: ConnectionId,
    /// The source of the connection, as far as TCP knows: perhaps a proxy.
    pub remote: SocketAddr,
    /// The pipe.
    pub transport: Transport,
}

impl Listener {
    /// Listens on `address`; port 0 picks one.
    ///
    /// # Errors
    /// The error of the operating system.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        Ok(Self { tcp, upgrades: JoinSet::new(), order: VecDeque::new() })
    }

    /// The address at which it listens.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// The next transport. Cancel safe. At most [`limits::MAX_HANDSHAKES`] upgrades are under way, each for
    /// [`timing::DIAL_TIMEOUT`]; beyond that the oldest gives way, since honest ones take milliseconds.
    ///
    /// # Errors The error of the operating system; trying again later may work.
    pub async fn accept(&mut self) -> io::Result<AcceptedSocket> {
        loop {
            tokio::select! {
                Some(done) = self.upgrades.join_next() => {
                    self.order.retain(|upgrade| !upgrade.is_finished());
                    if let Ok(Some(incoming)) = done {
                        return Ok(incoming);
                    }
                }
                accepted = self.tcp.accept() => match accepted {
                    Ok((tcp, remote)) => self.begin(tcp, remote),
                    Err(error) if gone(&error) => {}
                    Err(error) => return Err(error),
                },
            }
        }
    }

    fn begin(&mut self, tcp: TcpStream, remote: SocketAddr) {
        if self.order.len() >= limits::MAX_HANDSHAKES
            && let Some(oldest) = self.order.pop_front()
        {
            oldest.abort();
        }
        self.order.push_back(self.upgrades.spawn(async move {
            Clock::system().timeout(timing::DIAL_TIMEOUT, upgrade(tcp, remote)).await.flatten()
        }));
    }
}

/// The dialer left before it was accepted.
fn gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

async fn upgrade(tcp: TcpStream, remote: SocketAddr) -> Option<AcceptedSocket> {
    tcp.set_nodelay(true).ok()?;
    let mut asked = None;
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        asked = parse_path(request.uri().path());
        match asked {
            // A page in a browser, which anybody may have written. No device of this protocol is one.
            Some(_) if request.headers().contains_key(ORIGIN) => Err(refusal(StatusCode::FORBIDDEN)),
            // The dialer sees a local address where this side sees a public one: a proxy or a lie.
            Some((TransportKind::Lan, _)) if !is_local(remote.ip()) => Err(refusal(StatusCode::FORBIDDEN)),
            Some(_) => Ok(response),
            None => Err(refusal(StatusCode::NOT_FOUND)),
        }
    };
    let config = halves::config().read_buffer_size(READ_BUFFER);
    match accept_hdr_async_with_config(tcp, check, Some(config)).await {
        Ok(socket) => {
            let (kind, connection) = asked?;
            Some(AcceptedSocket { connection, remote, transport: halves::transport(kind, socket) })
        }
        Err(error) => {
            tracing::debug!(%error, "dialer refused");
            None
        }
    }
}

fn refusal(status: StatusCode) -> ErrorResponse {
    let mut response = ErrorResponse::new(None);
    *response.status_mut() = status;
    response
}
