//! ICE candidates: read, judged, and written anew. The stack would send packets to any address in a remote one, and read
//! its text in its own way, so it gets only what [`Candidate`] prints.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use peers_proto::limits;

/// The reason for which a remote candidate was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CandidateError {
    /// Not a candidate attribute (RFC 8839 §5.1).
    #[error("not a candidate attribute")]
    Malformed,
    /// A loopback, unspecified, multicast or broadcast address, or port 0.
    #[error("an address that cannot be a peer")]
    Address,
    /// A host name: mDNS names are not resolved.
    #[error("a name instead of an address")]
    Name,
    /// Only UDP candidates are used.
    #[error("not UDP")]
    NotUdp,
    /// A data channel has one component.
    #[error("not component 1")]
    Component,
    /// More than `MAX_CANDIDATES` in one attempt, or more than `MAX_HOST_CANDIDATES` of the peer's own addresses.
    #[error("too many candidates")]
    TooMany,
}

/// One way to reach an end, over UDP. Its `Display` is the attribute's text without `a=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    foundation: String,
    component: u16,
    priority: u32,
    address: SocketAddr,
    pub(super) kind: CandidateKind,
    /// The address it was derived from.
    related: Option<SocketAddr>,
}

/// The way a candidate was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CandidateKind {
    /// An address of the device, which a peer learns from the description itself.
    Host,
    ServerReflexive,
    PeerReflexive,
    /// On a TURN server.
    Relay,
}

impl Candidate {
    /// Reads the attribute's text, with or without `a=`. Extensions are left out.
    pub(super) fn parse(text: &str) -> Result<Self, CandidateError> {
        use CandidateError::{Malformed, Name, NotUdp};
        if text.len() > limits::MAX_CANDIDATE || text.chars().any(char::is_control) {
            return Err(Malformed);
        }
        let text = text.trim();
        let value = text.strip_prefix("a=").unwrap_or(text).strip_prefix("candidate:").ok_or(Malformed)?;
        let words: Vec<&str> = value.split_ascii_whitespace().collect();
        let [foundation, component, protocol, priority, ip, port, "typ", kind, extensions @ ..] = &words[..]
        else {
            return Err(Malformed);
        };
        if !protocol.eq_ignore_ascii_case("udp") {
            return Err(NotUdp);
        }
        if foundation.len() > MAX_FOUNDATION || !foundation.bytes().all(is_ice_char) {
            return Err(Malformed);
        }
        let ip: IpAddr = ip.parse().map_err(|_| Name)?;
        Ok(Self {
            foundation: (*foundation).to_owned(),
            component: number(component).ok_or(Malformed)?,
            priority: number(priority).ok_or(Malformed)?,
            // The address that is judged is the one that is written.
            address: SocketAddr::new(ip.to_canonical(), number(port).ok_or(Malformed)?),
            kind: CandidateKind::parse(kind).ok_or(Malformed)?,
            related: related(extensions)?,
        })
    }

    /// The one kind of component there is, with an address the peer can send to.
    pub(super) fn is_usable(&self) -> bool {
        self.component == 1 && !self.address.ip().is_unspecified()
    }

    /// The address, if it is the peer's own.
    pub(super) fn host(&self) -> Option<IpAddr> {
        (self.kind == CandidateKind::Host).then(|| self.address.ip())
    }

    /// The same without the address it was derived from, which would name this device's own (S136).
    #[must_use]
    pub(super) fn hidden(self) -> Self {
        let hide = |_| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        Self { related: self.related.map(hide), ..self }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { foundation, component, priority, address, kind, related } = self;
        let (ip, port, kind) = (address.ip(), address.port(), kind.name());
        write!(f, "candidate:{foundation} {component} udp {priority} {ip} {port} typ {kind}")?;
        match related {
            Some(from) => write!(f, " raddr {} rport {}", from.ip(), from.port()),
            None => Ok(()),
        }
    }
}

impl CandidateKind {
    const ALL: [Self; 4] = [Self::Host, Self::ServerReflexive, Self::PeerReflexive, Self::Relay];

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relay => "relay",
        }
    }
}

/// Filters and counts the remote candidates of one attempt.
#[derive(Debug)]
pub(super) struct CandidateFilter {
    include_loopback: bool,
    left: usize,
    hosts_left: usize,
}

impl CandidateFilter {
    pub(super) fn new(include_loopback: bool) -> Self {
        let (left, hosts_left) = (limits::MAX_CANDIDATES, limits::MAX_HOST_CANDIDATES);
        Self { include_loopback, left, hosts_left }
    }

    /// Reads `text`, judges the candidate and counts it if it passes.
    pub(super) fn admit(&mut self, text: &str) -> Result<Candidate, CandidateError> {
        let candidate = Candidate::parse(text)?;
        if candidate.component != 1 {
            return Err(CandidateError::Component);
        }
        let ip = candidate.address.ip();
        let unusable = ip.is_unspecified()
            || ip.is_multicast()
            || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
            || (ip.is_loopback() && !self.include_loopback);
        if unusable || candidate.address.port() == 0 {
            return Err(CandidateError::Address);
        }
        if candidate.kind == CandidateKind::Host {
            self.hosts_left = self.hosts_left.checked_sub(1).ok_or(CandidateError::TooMany)?;
        }
        self.left = self.left.checked_sub(1).ok_or(CandidateError::TooMany)?;
        Ok(candidate)
    }
}

/// A character of ICE's own names (RFC 8839 §5.1).
pub(super) fn is_ice_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

/// A decimal number without a sign.
pub(super) fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The related address among the extensions. One that is a name is left out.
fn related(extensions: &[&str]) -> Result<Option<SocketAddr>, CandidateError> {
    let (mut ip, mut port) = (None, None);
    for pair in extensions.chunks(2) {
        let [name, value] = pair else { return Err(CandidateError::Malformed) };
        let replaced = match *name {
            "raddr" => ip.replace(*value),
            "rport" => port.replace(*value),
            _ => None,
        };
        if replaced.is_some() {
            return Err(CandidateError::Malformed);
        }
    }
    let (ip, port) = (ip.and_then(|ip| ip.parse().ok()), port.and_then(number));
    Ok(ip.zip(port).map(|(ip, port)| SocketAddr::new(ip, port)))
}

const MAX_FOUNDATION: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(address: &str, port: &str) -> String {
        format!("candidate:1 1 udp 2130706431 {address} {port} typ host")
    }

    // proves S065 (every candidate of a batch is judged by itself)
    #[test]
    fn addresses_no_peer_can_have_are_refused() {
        let mut filter = CandidateFilter::new(false);
        let bad = [
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
        ];
        for address in bad {
            assert_eq!(filter.admit(&udp(address, "5000")), Err(CandidateError::Address), "{address}");
        }
        assert_eq!(filter.admit(&udp("192.0.2.1", "0")), Err(CandidateError::Address));
        for good in ["192.168.1.2", "10.0.0.1", "2001:db8::1", "100.64.0.1"] {
            assert!(filter.admit(&udp(good, "5000")).is_ok(), "{good}");
        }
        assert!(CandidateFilter::new(true).admit(&udp("127.0.0.1", "5000")).is_ok());
    }

    #[test]
    fn names_tcp_other_components_and_garbage_are_refused() {
        let mut filter = CandidateFilter::new(true);
        assert_eq!(filter.admit(&udp("d1f2.local", "5000")), Err(CandidateError::Name));
        let tcp = "candidate:1 1 tcp 1 192.0.2.1 22 typ host tcptype passive";
        assert_eq!(filter.admit(tcp), Err(CandidateError::NotUdp));
        let rtcp = "candidate:1 2 udp 1 192.0.2.1 22 typ host";
        assert_eq!(filter.admit(rtcp), Err(CandidateError::Component));
        for garbage in [
            "",
            "candidate:",
            "candidate:1 1 udp 1 192.0.2.1",
            "m=audio 9",
            &"a".repeat(9000),
            "candidate:1 1 udp 1 192.0.2.1 5 typ host raddr",
            "candidate:1 1 udp 1 192.0.2.1 5 typ host raddr 10.0.0.1 rport 1 raddr 10.0.0.2 rport 2",
            "candidate:1 1 udp 1 192.0.2.1 5 typ hosts",
            "candidate:1 1 udp +1 192.0.2.1 5 typ host",
            "candidate:1 1 udp 1 192.0.2.1 70000 typ host",
            "candidate:1\u{b} 1 udp 1 192.0.2.1 5 typ host",
            "candidate:1 1 udp 1 192.0.2.1 5 typ host\ra=setup:active",
        ] {
            assert_eq!(filter.admit(garbage), Err(CandidateError::Malformed), "{garbage:.40}");
        }
    }

    #[test]
    fn only_so_many_are_admitted() {
        let mut filter = CandidateFilter::new(false);
        let port = |i: usize| (i + 1).to_string();
        let hosts = (0..100).filter(|i| filter.admit(&udp("192.0.2.1", &port(*i))).is_ok()).count();
        assert_eq!(hosts, limits::MAX_HOST_CANDIDATES);
        let reflexive = |i| udp("192.0.2.1", &port(i)).replace("host", "srflx");
        let others = (0..100).filter(|i| filter.admit(&reflexive(*i)).is_ok()).count();
        assert_eq!(hosts + others, limits::MAX_CANDIDATES);
        assert_eq!(filter.admit(&reflexive(9)), Err(CandidateError::TooMany));
    }

    #[test]
    fn what_is_written_is_what_was_read_and_nothing_else() {
        for (text, written) in [
            (" a=candidate:1 1 UDP 5 192.0.2.1 5000 typ host", "candidate:1 1 udp 5 192.0.2.1 5000 typ host"),
            // Chromium's.
            (
                "candidate:842163049 1 udp 1677729535 198.51.100.7 46154 typ srflx raddr 0.0.0.0 rport 0 generation 0 \
                 ufrag Ab+/ network-cost 999",
                "candidate:842163049 1 udp 1677729535 198.51.100.7 46154 typ srflx raddr 0.0.0.0 rport 0",
            ),
            (
                "candidate:1 1 udp 1 198.51.100.7 9 typ srflx raddr x.local rport 4",
                "candidate:1 1 udp 1 198.51.100.7 9 typ srflx",
            ),
            ("candidate:1 1 udp 1 ::ffff:192.0.2.1 9 typ prflx", "candidate:1 1 udp 1 192.0.2.1 9 typ prflx"),
        ] {
            let candidate = Candidate::parse(text).unwrap();
            assert_eq!(candidate.to_string(), written);
            assert_eq!(Candidate::parse(written), Ok(candidate));
        }
    }

    // proves S136
    #[test]
    fn a_hidden_candidate_does_not_name_its_base() {
        let relay = "candidate:1 1 udp 1 198.51.100.7 49152 typ relay raddr 10.0.0.5 rport 4000";
        let relay = Candidate::parse(relay).unwrap();
        assert_eq!(relay.kind, CandidateKind::Relay);
        assert_eq!(
            relay.hidden().to_string(),
            "candidate:1 1 udp 1 198.51.100.7 49152 typ relay raddr 0.0.0.0 rport 0"
        );
    }
}
