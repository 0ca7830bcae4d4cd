//! The stack's settings.

use std::net::UdpSocket;
use std::sync::Arc;

use peers_proto::{limits, timing};
use rtc::crypto::{self, RTCCryptoProvider, SignatureScheme};
use rtc::ice::mdns::MulticastDnsMode;
use rtc::peer_connection::certificate::CertificateParams;
use rtc::peer_connection::configuration::RTCConfiguration;
use sha2::{Digest, Sha256};
use webrtc::peer_connection::{
    RTCCertificate, RTCConfigurationBuilder, RTCIceServer, RTCIceTransportPolicy, SettingEngine,
    SettingEngineBuilder,
};

use super::config::WebRtcConfig;
use super::sdp::Fingerprint;

pub(super) fn configuration(config: &WebRtcConfig, certificate: RTCCertificate) -> RTCConfiguration {
    let servers = config.ice_servers.iter().map(|server| RTCIceServer {
        urls: server.urls.clone(),
        username: server.username.clone(),
        credential: server.credential.clone(),
    });
    let policy = match config.relay_only {
        true => RTCIceTransportPolicy::Relay,
        false => RTCIceTransportPolicy::All,
    };
    RTCConfigurationBuilder::new()
        .with_certificates(vec![certificate])
        .with_ice_servers(servers.collect())
        .with_ice_transport_policy(policy)
        .build()
}

pub(super) fn settings(config: &WebRtcConfig, crypto: Arc<dyn RTCCryptoProvider>) -> SettingEngine {
    let (interval, attempts) = timing::ICE_CHECKS;
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
        .with_relay_acceptance_min_wait(Some(timing::ICE_RELAY_WAIT))
        .with_discard_local_candidates_during_ice_restart(true)
        .with_sctp_max_receive_buffer_size(limits::WEBRTC_MAX_WINDOW as u32)
        .build()
}

/// Wildcards are bound per interface by the stack, again at every ICE restart. They leave loopback out.
pub(super) fn bind_addresses(config: &WebRtcConfig) -> Vec<String> {
    let mut addresses = vec!["0.0.0.0:0".to_owned()];
    if UdpSocket::bind("[::]:0").is_ok() {
        addresses.push("[::]:0".to_owned());
    }
    if config.include_loopback {
        addresses.push("127.0.0.1:0".to_owned());
    }
    addresses
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
