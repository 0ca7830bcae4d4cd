//! From a URL to an open WebSocket.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use peers_proto::timing;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::{self, protocol::WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

/// Bytes a WebSocket has for what it reads, from its first moment on: a frame. The library's own choice is eight times as much.
pub(super) const READ_BUFFER: usize = 16 * 1024;

/// What [`connect`] opens.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why a WebSocket did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Not a `ws://` or `wss://` URL with a host.
    #[error("not a ws:// or wss:// URL with a host")]
    Url,
    /// A public address without TLS, and nobody allowed that.
    #[error("the address is public and the URL is not wss://")]
    Insecure,
    /// The host's name has no address now.
    #[error("the host was not found: {0}")]
    Resolve(String),
    /// No address of the host accepts connections.
    #[error("not reachable: {0}")]
    Connect(String),
    /// The host's certificate is not accepted, or TLS failed otherwise.
    #[error("TLS: {0}")]
    Tls(String),
    /// What answers does not speak this protocol.
    #[error("WebSocket upgrade: {0}")]
    Upgrade(String),
    /// It took longer than [`timing::DIAL_TIMEOUT`].
    #[error("timed out")]
    TimedOut,
}

/// A parsed URL.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    secure: bool,
    authority: String,
    host: String,
    port: u16,
    path: String,
}

impl Endpoint {
    pub(crate) fn parse(url: &str) -> Result<Self, DialError> {
        let uri: Uri = url.parse().map_err(|_| DialError::Url)?;
        let secure = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(DialError::Url),
        };
        let authority = uri.authority().ok_or(DialError::Url)?;
        let bracketed = authority.host();
        let host = bracketed.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match authority.port() {
            Some(port) => port.as_str().parse().map_err(|_| DialError::Url)?,
            // A port that is no number is not the default one.
            None if authority.as_str() != bracketed => return Err(DialError::Url),
            None if secure => 443,
            None => 80,
        };
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(DialError::Url);
        }
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { secure, authority: authority.to_string(), host, port, path })
    }

    pub(crate) fn secure(&self) -> bool {
        self.secure
    }

    /// Empty if the URL has none.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The same host with another path.
    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        format!("{scheme}://{}{path}", self.authority)
    }

    pub(crate) async fn resolve(&self) -> Result<Vec<SocketAddr>, DialError> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let addresses: Vec<_> = found.map_err(|e| DialError::Resolve(e.kind().to_string()))?.collect();
        if addresses.is_empty() { Err(DialError::Resolve("no address".into())) } else { Ok(addresses) }
    }
}

/// Opens a WebSocket to `url` at the first of `addresses` that accepts.
pub(crate) async fn connect(
    url: &str,
    addresses: &[SocketAddr],
    config: WebSocketConfig,
    tls: Arc<ClientConfig>,
) -> Result<Socket, DialError> {
    let tcp = race(addresses).await?;
    tcp.set_nodelay(true).map_err(|e| unreachable(&e))?;
    let connector = Some(Connector::Rustls(tls));
    let config = config.read_buffer_size(READ_BUFFER);
    match client_async_tls_with_config(url, tcp, Some(config), connector).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Tls(error)) => Err(DialError::Tls(error.to_string())),
        // tokio-rustls reports a refused certificate as an I/O error that holds rustls's.
        Err(tungstenite::Error::Io(error)) => {
            let tls = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
            Err(tls.map_or_else(|| unreachable(&error), |tls| DialError::Tls(tls.to_string())))
        }
        Err(tungstenite::Error::Http(response)) => Err(DialError::Upgrade(response.status().to_string())),
        Err(error) => Err(DialError::Upgrade(error.to_string())),
    }
}

/// Happy eyeballs (RFC 8305): a broken IPv6 must not cost more than a moment.
async fn race(addresses: &[SocketAddr]) -> Result<TcpStream, DialError> {
    let mut attempts: FuturesUnordered<_> = (0_u32..)
        .zip(interleave(addresses))
        .map(async |(nth, address)| {
            tokio::time::sleep(timing::HAPPY_EYEBALLS * nth).await;
            TcpStream::connect(address).await
        })
        .collect();
    let mut failed = DialError::Connect("no address".into());
    while let Some(result) = attempts.next().await {
        match result {
            Ok(tcp) => return Ok(tcp),
            Err(error) => failed = unreachable(&error),
        }
    }
    Err(failed)
}

/// The families in turns, beginning with the resolver's favourite.
fn interleave(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first = addresses.first().map(SocketAddr::is_ipv6);
    let (mut preferred, mut other): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|a| Some(a.is_ipv6()) == first);
    preferred.reverse();
    other.reverse();
    let mut mixed = Vec::with_capacity(addresses.len());
    while mixed.len() < addresses.len() {
        mixed.extend(preferred.pop());
        mixed.extend(other.pop());
    }
    mixed
}

fn unreachable(error: &std::io::Error) -> DialError {
    DialError::Connect(error.kind().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_or_refused() {
        let parsed = Endpoint::parse("wss://[2001:db8::1]:8443/prefix/").unwrap();
        assert_eq!((parsed.host.as_str(), parsed.port, parsed.path()), ("2001:db8::1", 8443, "/prefix"));
        assert_eq!(parsed.url("/v1"), "wss://[2001:db8::1]:8443/v1");
        assert_eq!(Endpoint::parse("ws://example.com").map(|e| e.port), Ok(80));
        assert_eq!(Endpoint::parse("wss://example.com/").map(|e| e.port), Ok(443));
        for bad in [
            "",
            "example.com",
            "http://example.com",
            "ws://",
            "ws:///v1",
            "ws://a:b@example.com",
            "ws://h:99999",
        ] {
            assert_eq!(Endpoint::parse(bad).map(|e| e.host), Err(DialError::Url), "{bad}");
        }
    }

    #[test]
    fn families_take_turns() {
        let (a, b) = ("192.0.2.1:1".parse().unwrap(), "192.0.2.2:1".parse().unwrap());
        let c = "[2001:db8::1]:1".parse().unwrap();
        assert_eq!(interleave(&[c, a, b]), [c, a, b]);
        assert_eq!(interleave(&[a, b, c]), [a, c, b]);
    }
}
