//! The dialing side.

use std::sync::Arc;

use peers_proto::id::ConnectionId;
use peers_proto::timing;
use rustls::ClientConfig;

use super::connect::{DialError, Endpoint, upgrade};
use super::{Race, halves, is_local, path, tls};
use crate::clock::Clock;
use crate::random;
use crate::transport::{Transport, TransportKind};

/// Options of a dial.
#[derive(Debug, Clone, Default)]
pub struct DialOptions {
    /// True if `ws://` may leave the local network. Frames are sealed all the same; the two addresses are not.
    pub allow_plain_internet: bool,
    /// Certificates and keys that TLS trusts; [`super::public_roots`] if `None`.
    pub tls: Option<Arc<ClientConfig>>,
}

/// Opens a transport to the device that listens at `url`, and picks the connection's id (S051). Its kind is
/// [`TransportKind::Lan`] if every address of the host is local (S090), else [`TransportKind::Internet`], which
/// takes `wss://`.
///
/// # Errors
/// [`DialError`].
pub async fn dial(url: &str, options: &DialOptions) -> Result<(ConnectionId, Transport), DialError> {
    let endpoint = Endpoint::parse(url)?;
    let opened = Clock::system().timeout(timing::DIAL_TIMEOUT, open(&endpoint, options)).await;
    opened.unwrap_or(Err(DialError::TimedOut))
}

async fn open(endpoint: &Endpoint, options: &DialOptions) -> Result<(ConnectionId, Transport), DialError> {
    let addresses = endpoint.resolve().await?;
    let kind =
        if addresses.iter().all(|a| is_local(a.ip())) { TransportKind::Lan } else { TransportKind::Internet };
    if kind == TransportKind::Internet && !endpoint.secure() && !options.allow_plain_internet {
        return Err(DialError::Insecure);
    }
    let connection = ConnectionId::from_bytes(random::array());
    let url = endpoint.url(&format!("{}{}", endpoint.path(), path(kind, connection)));
    let tls = options.tls.clone().unwrap_or_else(tls::public_roots);
    let clock = Clock::system();
    let mut race =
        Race::new(&clock, &addresses, None, |tcp| upgrade(&url, tcp, halves::config(), tls.clone()));
    let mut failed = DialError::Connect("no address".into());
    while let Some((_, opened)) = race.next().await {
        match opened {
            Ok(socket) => return Ok((connection, halves::transport(kind, socket))),
            Err(error) => failed = failed.furthest(error),
        }
    }
    Err(failed)
}
