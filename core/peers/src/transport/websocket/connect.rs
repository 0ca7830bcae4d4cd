//! From a URL to an open WebSocket.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::{CertificateError, ClientConfig, InvalidMessage};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::{self, protocol::WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use super::is_local;
use crate::resolver;

/// Bytes a WebSocket has for what it reads, from its first moment on: a frame. The library's own choice is eight times as much.
pub(super) const READ_BUFFER: usize = 16 * 1024;

/// The stream that [`upgrade`] opens.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The reason for which a WebSocket did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Not a `ws://` or `wss://` URL with a host.
    #[error("not a ws:// or wss:// URL with a host")]
    Url,
    /// A public address without TLS, which the options do not allow.
    #[error("the address is public and the URL is not wss://")]
    Insecure,
    /// The host's name has no address now.
    #[error("the host was not found: {0}")]
    Resolve(String),
    /// The host does not accept connections, or ends them at once.
    #[error("not reachable: {0}")]
    Connect(String),
    /// The host's certificate is not accepted, or TLS failed otherwise.
    #[error("TLS: {0}")]
    Tls(String),
    /// The server does not speak this protocol.
    #[error("WebSocket upgrade: {0}")]
    Upgrade(String),
    /// It took longer than [`DIAL_TIMEOUT`](peers_proto::timing::DIAL_TIMEOUT).
    #[error("timed out")]
    TimedOut,
}

impl DialError {
    /// The later of two failures: the one that got further, the first of equals. Of several addresses it is the one worth
    /// telling.
    pub(crate) fn furthest(self, other: Self) -> Self {
        if other.progress() > self.progress() { other } else { self }
    }

    fn progress(&self) -> u8 {
        match self {
            Self::Url | Self::Insecure | Self::Resolve(_) => 0,
            Self::Connect(_) => 1,
            Self::TimedOut => 2,
            Self::Tls(_) => 3,
            Self::Upgrade(_) => 4,
        }
    }
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

    /// True if the host is on the local network for sure: without TLS no other is dialed, and a public name may
    /// lead anywhere.
    pub(crate) fn is_local(&self) -> bool {
        !self.secure || self.host.parse().is_ok_and(is_local)
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
        let found = resolver::look_up(&self.host).await.map_err(|e| DialError::Resolve(e.to_string()))?;
        let addresses: Vec<_> = found.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect();
        if addresses.is_empty() { Err(DialError::Resolve("no address".into())) } else { Ok(addresses) }
    }
}

/// Opens a WebSocket to `url` over TCP.
pub(crate) async fn upgrade(
    url: &str,
    tcp: TcpStream,
    config: WebSocketConfig,
    tls: Arc<ClientConfig>,
) -> Result<Socket, DialError> {
    tcp.set_nodelay(true).map_err(|e| unreachable(&e))?;
    let connector = Some(Connector::Rustls(tls));
    let config = config.read_buffer_size(READ_BUFFER);
    match client_async_tls_with_config(url, tcp, Some(config), connector).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Tls(error)) => Err(DialError::Tls(error.to_string())),
        // tokio-rustls reports a refused certificate as an I/O error that holds rustls's.
        Err(tungstenite::Error::Io(error)) => {
            let tls = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
            Err(tls.map_or_else(|| unreachable(&error), |tls| DialError::Tls(explain(tls))))
        }
        Err(tungstenite::Error::Http(response)) => Err(DialError::Upgrade(response.status().to_string())),
        Err(error) => Err(DialError::Upgrade(error.to_string())),
    }
}

/// In words where rustls shows a structure.
fn explain(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(why)) => {
            format!("invalid peer certificate: {why}")
        }
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "invalid peer certificate: no authority that is trusted here has issued it".to_owned()
        }
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the host does not speak it on this port; one that does not at all is ws://".to_owned()
        }
        error => error.to_string(),
    }
}

pub(super) fn unreachable(error: &std::io::Error) -> DialError {
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
}
