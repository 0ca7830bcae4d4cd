//! The stack's settings.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use peers_proto::signaling::IceServer;
use peers_proto::{limits, timing};
use rtc::crypto::{self, RTCCryptoProvider, SignatureScheme};
use rtc::ice::mdns::MulticastDnsMode;
use rtc::ice::url::{SchemeType, Url};
use rtc::peer_connection::certificate::CertificateParams;
use rtc::peer_connection::configuration::RTCConfiguration;
use sha2::{Digest, Sha256};
use webrtc::peer_connection::{
    RTCCertificate, RTCConfigurationBuilder, RTCIceServer, RTCIceTransportPolicy, SettingEngine,
    SettingEngineBuilder,
};

use super::addresses;
use super::config::WebRtcConfig;
use super::sdp::Fingerprint;

pub(super) fn configuration(config: &WebRtcConfig, certificate: RTCCertificate) -> RTCConfiguration {
    let servers = config.ice_servers.iter().map(|server| {
        let (username, credential) = server.account().unwrap_or_default();
        RTCIceServer { urls: readable(server), username: username.into(), credential: credential.into() }
    });
    let policy = match config.relay_only {
        true => RTCIceTransportPolicy::Relay,
        false => RTCIceTransportPolicy::All,
    };
    RTCConfigurationBuilder::new()
        .with_certificates(vec![certificate])
        .with_ice_servers(servers.filter(|server| !server.urls.is_empty()).collect())
        .with_ice_transport_policy(policy)
        .build()
}

/// The URLs the stack takes. One that it cannot read costs all the others.
fn readable(server: &IceServer) -> Vec<String> {
    let urls = server.urls.iter().map(|url| match url.split_once('?') {
        // Some say by which transport a STUN server is reached, for which there is no such word (RFC 7064).
        Some((stun, _)) if stun.starts_with("stun:") => stun,
        _ => url,
    });
    let readable = urls.filter(|url| match Url::parse_url(url) {
        Ok(parsed) => server.account().is_some() || parsed.scheme == SchemeType::Stun,
        Err(_) => false,
    });
    readable.map(str::to_owned).collect()
}

pub(super) fn settings(config: &WebRtcConfig, crypto: Arc<dyn RTCCryptoProvider>) -> SettingEngine {
    let (interval, attempts) = timing::ICE_CHECKS;
    let relay_wait = if config.relay_only { Duration::ZERO } else { timing::ICE_RELAY_WAIT };
    SettingEngineBuilder::new()
        .with_crypto_provider(crypto)
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_include_loopback_candidate(config.include_loopback)
        .with_ice_connection_attempts(Some(interval), Some(attempts))
        .with_ice_timeouts(Some(timing::ICE_GIVE_UP), Some(timing::ICE_GIVE_UP), Some(timing::ICE_KEEP_ALIVE))
        // A check from the peer that overtakes its candidate must not hold up the nomination for a second.
        .with_prflx_acceptance_min_wait(Some(std::time::Duration::ZERO))
        .with_host_acceptance_min_wait(Some(std::time::Duration::ZERO))
        .with_srflx_acceptance_min_wait(Some(timing::ICE_SRFLX_WAIT))
        .with_relay_acceptance_min_wait(Some(relay_wait))
        .with_discard_local_candidates_during_ice_restart(true)
        .with_sctp_max_receive_buffer_size(limits::WEBRTC_MAX_WINDOW as u32)
        .build()
}

/// The addresses that the stack binds: those of this device, at most `room`, or the wildcard of a device that is offline; and
/// loopback where it is wanted.
pub(super) fn bind_addresses(config: &WebRtcConfig, room: usize, peers: &[IpAddr]) -> Vec<SocketAddr> {
    // Traffic through TURN alone takes the default routes.
    let room = if config.relay_only { limits::MIN_HOST_CANDIDATES } else { room };
    let mut chosen = addresses::choose(room, peers);
    if chosen.is_empty() {
        chosen.push(Ipv4Addr::UNSPECIFIED.into());
    }
    if config.include_loopback {
        chosen.push(Ipv4Addr::LOCALHOST.into());
    }
    chosen.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect()
}

pub(super) fn fresh_certificate() -> Result<(RTCCertificate, Fingerprint), webrtc::error::Error> {
    let failed = |e: &dyn std::fmt::Display| webrtc::error::Error::Other(e.to_string());
    let provider = crypto::default_provider().map_err(|e| failed(&e))?;
    let params = CertificateParams::new(Vec::<String>::new()).map_err(|e| failed(&e))?;
    let certificate = RTCCertificate::generate(provider.crypto(), SignatureScheme::EcdsaP256Sha256, params)?;
    let der = certificate.dtls_certificate.certificate.first().ok_or_else(|| failed(&"no certificate"))?;
    let fingerprint = Sha256::digest(der.as_ref()).into();
    Ok((certificate, fingerprint))
}

/// Both sides create it under this id, so it needs no opening message (RFC 8832 §4).
pub(super) const CHANNEL_ID: u16 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_stack_cannot_read_costs_nothing_else() {
        let urls = |server: &IceServer| readable(server).join(" ");
        let server = |username: Option<&str>, text: &str| IceServer {
            urls: text.split(' ').map(str::to_owned).collect(),
            username: username.map(str::to_owned),
            credential: username.map(str::to_owned),
        };
        let all = "stun:a.example?transport=udp stun:[2001:db8::1]:3478 turn:b.example?transport=udp http://c.example turn:";
        assert_eq!(urls(&server(None, all)), "stun:a.example stun:[2001:db8::1]:3478");
        assert_eq!(
            urls(&server(Some("ada"), all)),
            "stun:a.example stun:[2001:db8::1]:3478 turn:b.example?transport=udp"
        );
    }
}
