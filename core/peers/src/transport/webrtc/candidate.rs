//! Which remote ICE candidates may reach the stack: it would send packets, and for TCP connect, to any of them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use peers_proto::limits;
use webrtc::peer_connection::{RTCIceCandidate, RTCIceCandidateType};

/// Why a remote candidate was refused.
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
    /// More than `MAX_CANDIDATES` in one attempt.
    #[error("too many candidates")]
    TooMany,
}

/// Filters and counts the remote candidates of one attempt.
#[derive(Debug)]
pub(super) struct CandidateFilter {
    include_loopback: bool,
    left: usize,
}

impl CandidateFilter {
    pub(super) fn new(include_loopback: bool) -> Self {
        Self { include_loopback, left: limits::MAX_CANDIDATES }
    }

    /// Checks `candidate` (with or without `a=`) and counts it if it passes.
    pub(super) fn admit(&mut self, candidate: &str) -> Result<(), CandidateError> {
        check(candidate, self.include_loopback)?;
        self.left = self.left.checked_sub(1).ok_or(CandidateError::TooMany)?;
        Ok(())
    }
}

/// `true` for the candidate kinds a peer learns from the description itself.
pub(super) fn is_host(candidate: &str) -> bool {
    kind(candidate) == Some("host")
}

/// `true` for candidates on a TURN server.
pub(super) fn is_relay(candidate: &str) -> bool {
    kind(candidate) == Some("relay")
}

/// Whether a TURN server forwards what goes between `local` and `remote`, the nominated pair. A check that overtook the
/// candidate it came from made `remote` peer-reflexive: the address tells that it is the same as one of `signaled`.
pub(super) fn forwarded(
    local: &RTCIceCandidate,
    remote: &RTCIceCandidate,
    signaled: &[RTCIceCandidate],
) -> bool {
    let on_turn = |candidate: &RTCIceCandidate| candidate.typ == RTCIceCandidateType::Relay;
    let same = |other: &&RTCIceCandidate| (&other.address, other.port) == (&remote.address, remote.port);
    on_turn(local) || on_turn(remote) || signaled.iter().filter(same).any(on_turn)
}

/// The address of the socket a local candidate stands for (RFC 8445 section 5.1.1).
pub(super) fn base(local: &RTCIceCandidate) -> Option<SocketAddr> {
    match local.typ {
        RTCIceCandidateType::Host => address(local),
        _ => Some(SocketAddr::new(local.related_address.parse().ok()?, local.related_port)),
    }
}

pub(super) fn address(candidate: &RTCIceCandidate) -> Option<SocketAddr> {
    Some(SocketAddr::new(candidate.address.parse().ok()?, candidate.port))
}

/// The address field is one the peer can send to.
pub(super) fn is_specified(candidate: &str) -> bool {
    let address = attribute(candidate).and_then(|a| a.split_ascii_whitespace().nth(4));
    address.and_then(|a| a.parse::<IpAddr>().ok()).is_some_and(|ip| !ip.is_unspecified())
}

/// `candidate` without the address it was derived from, which would name this device's own (S136).
pub(super) fn hide_related(candidate: &str) -> String {
    let mut words: Vec<&str> = candidate.split_ascii_whitespace().collect();
    for i in 1..words.len() {
        match words[i - 1] {
            "raddr" => words[i] = "0.0.0.0",
            "rport" => words[i] = "0",
            _ => {}
        }
    }
    words.join(" ")
}

/// The attribute's value, without `a=` and `candidate:`.
pub(super) fn attribute(candidate: &str) -> Option<&str> {
    let candidate = candidate.trim();
    candidate.strip_prefix("a=").unwrap_or(candidate).strip_prefix("candidate:")
}

fn kind(candidate: &str) -> Option<&str> {
    let mut words = attribute(candidate)?.split_ascii_whitespace().skip(6);
    (words.next()? == "typ").then(|| words.next())?
}

fn check(candidate: &str, include_loopback: bool) -> Result<(), CandidateError> {
    use CandidateError::{Address, Malformed, Name, NotUdp};
    if candidate.len() > MAX_CANDIDATE_TEXT {
        return Err(Malformed);
    }
    let words: Vec<&str> = attribute(candidate).ok_or(Malformed)?.split_ascii_whitespace().collect();
    let [_foundation, _component, protocol, _priority, address, port, "typ", _kind, ..] = words[..] else {
        return Err(Malformed);
    };
    if !protocol.eq_ignore_ascii_case("udp") {
        return Err(NotUdp);
    }
    let Ok(ip) = address.parse::<IpAddr>() else {
        return Err(Name);
    };
    let port: u16 = port.parse().map_err(|_| Malformed)?;
    let ip = ip.to_canonical();
    let unusable = ip.is_unspecified()
        || ip.is_multicast()
        || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
        || (ip.is_loopback() && !include_loopback);
    if unusable || port == 0 { Err(Address) } else { Ok(()) }
}

/// The longest real ones (IPv6, relay, extensions) stay below 250.
const MAX_CANDIDATE_TEXT: usize = 512;

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
            assert_eq!(filter.admit(&udp(good, "5000")), Ok(()), "{good}");
        }
        assert_eq!(CandidateFilter::new(true).admit(&udp("127.0.0.1", "5000")), Ok(()));
    }

    #[test]
    fn names_tcp_and_garbage_are_refused() {
        let mut filter = CandidateFilter::new(true);
        assert_eq!(filter.admit(&udp("d1f2.local", "5000")), Err(CandidateError::Name));
        let tcp = "candidate:1 1 tcp 1 192.0.2.1 22 typ host tcptype passive";
        assert_eq!(filter.admit(tcp), Err(CandidateError::NotUdp));
        for garbage in ["", "candidate:", "candidate:1 1 udp 1 192.0.2.1", "m=audio 9", &"a".repeat(9000)] {
            assert_eq!(filter.admit(garbage), Err(CandidateError::Malformed), "{garbage:.20}");
        }
    }

    #[test]
    fn only_so_many_are_admitted() {
        let mut filter = CandidateFilter::new(false);
        for i in 0..limits::MAX_CANDIDATES {
            assert_eq!(filter.admit(&udp("192.0.2.1", &(i + 1).to_string())), Ok(()));
        }
        assert_eq!(filter.admit(&udp("192.0.2.1", "9")), Err(CandidateError::TooMany));
    }

    #[test]
    fn a_pair_is_forwarded_if_either_end_is_on_a_turn_server() {
        use RTCIceCandidateType::{Host, Prflx, Relay, Srflx};
        let at = |port, typ| RTCIceCandidate { address: "192.0.2.1".into(), port, typ, ..Default::default() };
        let (host, relay, early) = (at(1, Host), at(2, Relay), at(2, Prflx));
        assert!(!forwarded(&host, &at(3, Srflx), &[at(3, Srflx), relay.clone()]));
        assert!(forwarded(&relay, &host, &[]));
        assert!(forwarded(&host, &relay, &[]));
        assert!(!forwarded(&host, &early, &[]), "nothing says so");
        assert!(forwarded(&host, &early, &[early.clone(), relay]));
    }

    // proves S136
    #[test]
    fn a_hidden_candidate_does_not_name_its_base() {
        let relay = "candidate:1 1 udp 1 198.51.100.7 49152 typ relay raddr 10.0.0.5 rport 4000";
        assert_eq!(
            hide_related(relay),
            "candidate:1 1 udp 1 198.51.100.7 49152 typ relay raddr 0.0.0.0 rport 0"
        );
        assert!(is_relay(relay) && !is_host(relay));
    }
}
