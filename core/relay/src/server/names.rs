//! The names under which devices dial this relay.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use crate::config::RelayConfig;

/// The relay's names: those of the configuration, or else the address that a connection arrives at.
///
/// A registration counts for these and no others, so that a hostile relay cannot use what a device signed for it. An
/// address proves nothing once the operator gave names: behind a proxy each connection arrives at `127.0.0.1`, and a device
/// that dials that reaches itself.
#[derive(Debug)]
pub(super) struct ServerNames(Vec<String>);

impl ServerNames {
    pub(super) fn new(config: &RelayConfig) -> Self {
        Self(config.names.clone())
    }

    /// Those that count for a connection which arrived at `local`. Never empty; the first is what the relay calls itself.
    pub(super) fn at(&self, local: SocketAddr) -> Cow<'_, [String]> {
        match &self.0[..] {
            [] => Cow::Owned(addressed(local)),
            names => Cow::Borrowed(names),
        }
    }

    /// Tells at the start what devices may dial.
    pub(super) fn log(&self, listens: SocketAddr) {
        if !self.0.is_empty() {
            tracing::info!(names = self.0.join(", "), "relay named");
        } else if !listens.ip().is_loopback() {
            tracing::warn!("relay unnamed: devices can dial it by its address only");
        }
    }
}

/// As [`peers_proto::signaling::server_name`] makes them of `ws:` URLs.
fn addressed(local: SocketAddr) -> Vec<String> {
    let authority = |host: &str| match local.port() {
        80 => host.to_owned(),
        port => format!("{host}:{port}"),
    };
    let ip = local.ip().to_canonical();
    let own = match ip {
        IpAddr::V4(ip) => authority(&ip.to_string()),
        IpAddr::V6(ip) => authority(&format!("[{ip}]")),
    };
    let mut names = vec![own];
    if ip.is_loopback() {
        // The device is on this machine.
        names.extend(["localhost", "127.0.0.1", "[::1]"].map(authority));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(configured: &[&str], local: &str) -> Vec<String> {
        let names = configured.iter().map(|name| (*name).to_owned()).collect();
        ServerNames(names).at(local.parse().unwrap()).into_owned()
    }

    #[test]
    fn the_operators_names_replace_the_address() {
        assert_eq!(names(&["relay.example.com"], "127.0.0.1:8443"), ["relay.example.com"]);
    }

    #[test]
    fn without_names_the_address_that_was_reached_counts() {
        assert_eq!(names(&[], "192.0.2.1:8443"), ["192.0.2.1:8443"]);
        assert_eq!(names(&[], "[::ffff:192.0.2.1]:80"), ["192.0.2.1"]);
        assert_eq!(names(&[], "[2001:db8::1]:8443"), ["[2001:db8::1]:8443"]);
        let local = names(&[], "127.0.0.1:8443");
        assert!(local.contains(&"localhost:8443".to_owned()) && local[0] == "127.0.0.1:8443", "{local:?}");
    }
}
