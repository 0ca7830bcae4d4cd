//! Facts about the candidate pair in use.

use std::net::SocketAddr;

use webrtc::peer_connection::{RTCIceCandidate, RTCIceCandidateType};

/// `true` if a TURN server forwards what goes between `local` and `remote`, the nominated pair. A check that overtook the
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

/// The address at a TURN server, if `local` is one.
pub(super) fn on_turn(local: &RTCIceCandidate) -> Option<SocketAddr> {
    (local.typ == RTCIceCandidateType::Relay).then(|| address(local))?
}

pub(super) fn address(candidate: &RTCIceCandidate) -> Option<SocketAddr> {
    Some(SocketAddr::new(candidate.address.parse().ok()?, candidate.port))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
