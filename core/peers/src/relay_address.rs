//! The address of a relay, and the proof of its identity.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::error::Error;
use crate::transport::websocket::{Endpoint, pinned, private_roots};

/// A relay to register at: `wss://host` or `ws://host:port`, and what it takes besides.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayAddress {
    pub(crate) url: String,
    pub(crate) token: Option<String>,
    authorities: Vec<Vec<u8>>,
    pins: Vec<String>,
}

impl RelayAddress {
    /// A relay that admits every device, with a certificate of an authority that browsers trust.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), token: None, authorities: Vec::new(), pins: Vec::new() }
    }

    /// Its operator's token, at most 256 bytes: for a relay that admits devices with one only. See
    /// [`ClientState::NotAdmitted`].
    ///
    /// [`ClientState::NotAdmitted`]: crate::ClientState::NotAdmitted
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// An authority that has issued its certificate, in PEM (any number of certificates) or DER. With one, the authorities
    /// that browsers trust do not count.
    #[must_use]
    pub fn authority(mut self, certificate: impl Into<Vec<u8>>) -> Self {
        self.authorities.push(certificate.into());
        self
    }

    /// The SHA-256 of its certificate's public key (SubjectPublicKeyInfo) or of the certificate: `sha256/` and base64, or
    /// hexadecimal. With one, no other key is accepted, and no authority, name or date is asked: right for a certificate
    /// without an issuer. Several pins let the relay change its key.
    #[must_use]
    pub fn pin(mut self, hash: impl Into<String>) -> Self {
        self.pins.push(hash.into());
        self
    }

    /// The trust of TLS; `None` for the public authorities.
    pub(crate) fn tls(&self) -> Result<Option<Arc<ClientConfig>>, Error> {
        let wrong = |why: &dyn fmt::Display| Error::Config(format!("relay {}: {why}", self.url));
        let named = !self.authorities.is_empty() || !self.pins.is_empty();
        // They would protect nothing.
        if named && Endpoint::parse(&self.url).is_ok_and(|endpoint| !endpoint.secure()) {
            return Err(wrong(&"ws:// has no certificate: an authority or a pin takes wss://"));
        }
        match (&self.authorities[..], &self.pins[..]) {
            ([], []) => Ok(None),
            (authorities, []) => private_roots(authorities).map(Some).map_err(|e| wrong(&e)),
            ([], pins) => pinned(pins).map(Some).map_err(|e| wrong(&e)),
            _ => Err(wrong(&"it has an authority or a pin, not both")),
        }
    }
}

impl From<&str> for RelayAddress {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl From<&String> for RelayAddress {
    fn from(url: &String) -> Self {
        Self::new(url)
    }
}

impl From<String> for RelayAddress {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

/// Without the token.
impl fmt::Debug for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayAddress").field("url", &self.url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_name_the_relay() {
        let relay = RelayAddress::new("wss://relay.example.com");
        assert!(relay.tls().is_ok_and(|tls| tls.is_none()));
        for wrong in [relay.clone().authority("?"), relay.clone().pin("?"), relay.authority("?").pin("?")] {
            let Err(Error::Config(why)) = wrong.tls() else { panic!("{wrong:?}") };
            assert!(why.starts_with("relay wss://relay.example.com: "), "{why}");
        }
    }

    #[test]
    fn an_authority_or_a_pin_that_would_not_be_used_is_refused() {
        let relay = RelayAddress::new("ws://relay.example.com");
        assert!(relay.tls().is_ok());
        for unused in [relay.clone().authority("?"), relay.pin("?")] {
            let Err(Error::Config(why)) = unused.tls() else { panic!("{unused:?}") };
            assert!(why.contains("takes wss://"), "{why}");
        }
    }

    #[test]
    fn a_token_is_not_in_debug_output() {
        let shown = format!("{:?}", RelayAddress::new("wss://relay").token("hush"));
        assert!(shown.contains("wss://relay") && !shown.contains("hush"), "{shown}");
    }
}
