//! TLS with ring: the public authorities by default, or those, or the very keys, that the app names.

use std::sync::{Arc, LazyLock};

use peers_proto::signaling::base64;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256};

/// Trusts the authorities browsers trust (webpki-roots).
pub fn public_roots() -> Arc<ClientConfig> {
    static CONFIG: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), PROVIDER.clone());
        #[expect(
            clippy::expect_used,
            reason = "there are roots, and no revocation lists that could be wrong"
        )]
        config(verifier.build().expect("there are roots"))
    });
    CONFIG.clone()
}

/// The reason for which a setting of TLS cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Neither PEM with certificates nor one certificate in DER.
    #[error("an authority is not a certificate, in PEM or DER")]
    Authority,
    /// Not a SHA-256 hash.
    #[error("a pin is not a SHA-256 hash: `sha256/` and base64, or 64 hexadecimal digits")]
    Pin,
}

/// Trusts these authorities and no others: certificates in PEM, any number in each, or DER.
///
/// # Errors
/// [`TrustError::Authority`].
pub fn private_roots<A: AsRef<[u8]>>(authorities: &[A]) -> Result<Arc<ClientConfig>, TrustError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        for certificate in certificates(authority.as_ref())? {
            roots.add(certificate).map_err(|_| TrustError::Authority)?;
        }
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), PROVIDER.clone());
    Ok(config(verifier.build().map_err(|_| TrustError::Authority)?))
}

fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    // DER begins with the tag of a sequence, which no text does.
    if bytes.first() == Some(&0x30) {
        return Ok(vec![CertificateDer::from(bytes.to_vec())]);
    }
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or(TrustError::Authority)
}

/// Trusts the certificates whose SHA-256, or whose public key's (of its SubjectPublicKeyInfo, RFC 7469 section 2.4), is
/// among these, and no others. Issuer, name and dates do not count (RFC 7671 section 5.1): the key is the identity.
///
/// # Errors
/// [`TrustError::Pin`].
pub fn pinned<P: AsRef<str>>(pins: &[P]) -> Result<Arc<ClientConfig>, TrustError> {
    let pins: Option<Vec<_>> = pins.iter().map(|pin| parse_pin(pin.as_ref())).collect();
    Ok(config(Arc::new(Pinned { pins: pins.ok_or(TrustError::Pin)? })))
}

/// As OkHttp and curl write the hash of a key (`sha256/` or `sha256//` and base64), or as OpenSSL prints it (hexadecimal, with
/// colons or without).
fn parse_pin(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    let bare = text.strip_prefix("sha256/").unwrap_or(text);
    let digits: Vec<_> = bare.bytes().filter(|byte| *byte != b':').collect();
    if digits.len() != 64 {
        // The second slash is curl's only if what follows is a hash without it: base64 may begin with one.
        let second = bare.strip_prefix('/').unwrap_or(bare);
        return [bare, second].into_iter().find_map(|text| base64::decode(text)?.try_into().ok());
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |n: usize| char::from(pair[n]).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(hash)
}

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(crypto::ring::default_provider()));

fn config(verifier: Arc<dyn ServerCertVerifier>) -> Arc<ClientConfig> {
    #[expect(clippy::expect_used, reason = "ring supports the default versions")]
    let builder = ClientConfig::builder_with_provider(PROVIDER.clone())
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3");
    Arc::new(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

#[derive(Debug)]
struct Pinned {
    pins: Vec<[u8; 32]>,
}

/// Names the key there is, so that a person who knows it to be right can pin it.
#[derive(Debug, thiserror::Error)]
#[error("its key is sha256/{0}, which is not pinned")]
struct NotPinned(String);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let key = Sha256::digest(ParsedCertificate::try_from(end_entity)?.subject_public_key_info());
        let certificate = Sha256::digest(end_entity);
        if self.pins.iter().any(|pin| pin[..] == key[..] || pin[..] == certificate[..]) {
            return Ok(ServerCertVerified::assertion());
        }
        let why = OtherError(Arc::new(NotPinned(base64::encode(&key))));
        Err(CertificateError::Other(why).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(message, cert, dss, &PROVIDER.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(message, cert, dss, &PROVIDER.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_read_as_tools_write_them() {
        for hash in [std::array::from_fn(|n| n as u8 * 7), [0xff; 32]] {
            is_read(hash);
        }
        let base64 = base64::encode(&[7; 32]);
        for wrong in ["", "sha256/", "sha1/AAAA", &base64[..40], &"zz".repeat(32)] {
            assert_eq!(parse_pin(wrong), None, "{wrong}");
            assert_eq!(pinned(&[wrong]).err(), Some(TrustError::Pin));
        }
    }

    fn is_read(hash: [u8; 32]) {
        let hex: String = hash.iter().map(|byte| format!("{byte:02X}")).collect();
        let colons = hash.map(|byte| format!("{byte:02x}")).join(":");
        let base64 = base64::encode(&hash);
        for text in [
            hex,
            colons,
            base64.clone(),
            format!("sha256/{base64}"),
            format!("sha256//{base64}"),
            format!(" {base64}\n"),
        ] {
            assert_eq!(parse_pin(&text), Some(hash), "{text}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_no_authority() {
        for wrong in
            ["", "hello", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", "0\u{3}abc"]
        {
            assert_eq!(private_roots(&[wrong]).err(), Some(TrustError::Authority), "{wrong:?}");
        }
        assert_eq!(private_roots::<&str>(&[]).err(), Some(TrustError::Authority));
    }
}
