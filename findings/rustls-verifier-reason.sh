#!/usr/bin/env bash
# rustls 0.23.46: an own ServerCertVerifier's reason, given as `CertificateError::Other`, is in no text of the error. Display shows
# the Debug form of the wrapped type, and `source()` is none. In `Error::Other` the same reason shows as its Display, but that is
# no certificate error.
# Guess: `OtherError` wraps a `std::error::Error`, so its Display is part of the text or one `source()` away.
# Met: the error that the SDK gives an app for a relay whose certificate is not the pinned one.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export CARGO_TARGET_DIR="$dir/target"
mkdir "$dir/src"
cd "$dir"

cat > Cargo.toml <<'END'
[package]
name = "reason"
version = "0.0.0"
edition = "2024"
[dependencies]
rcgen = { version = "=0.14.10", default-features = false, features = ["crypto", "ring"] }
rustls = { version = "=0.23.46", default-features = false, features = ["ring", "std"] }
END

cat > src/main.rs <<'END'
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, OtherError};
use rustls::{ServerConfig, ServerConnection, SignatureScheme};
use std::{error::Error as _, fmt, sync::Arc};

#[derive(Debug)]
struct NotPinned;
impl fmt::Display for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate is not the pinned one")
    }
}
impl std::error::Error for NotPinned {}

type Signature = Result<HandshakeSignatureValid, Error>;

/// Refuses every certificate.
#[derive(Debug)]
struct Refuses(Error);
impl ServerCertVerifier for Refuses {
    fn verify_server_cert(
        &self, _: &CertificateDer, _: &[CertificateDer], _: &ServerName, _: &[u8], _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Err(self.0.clone())
    }
    fn verify_tls12_signature(&self, _: &[u8], _: &CertificateDer, _: &DigitallySignedStruct) -> Signature {
        Err(self.0.clone())
    }
    fn verify_tls13_signature(&self, _: &[u8], _: &CertificateDer, _: &DigitallySignedStruct) -> Signature {
        Err(self.0.clone())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The error of a client whose verifier refuses the server with `reason`.
fn client_error(reason: Error) -> Error {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let server = ServerConfig::builder().with_no_client_auth();
    let server = server.with_single_cert(vec![own.cert.into()], key.into()).unwrap();
    let client = ClientConfig::builder().dangerous().with_custom_certificate_verifier(Arc::new(Refuses(reason)));
    let client = Arc::new(client.with_no_client_auth());
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let mut client = ClientConnection::new(client, "localhost".try_into().unwrap()).unwrap();
    let (mut hello, mut flight) = (Vec::new(), Vec::new());
    client.write_tls(&mut hello).unwrap();
    server.read_tls(&mut &hello[..]).unwrap();
    server.process_new_packets().unwrap();
    server.write_tls(&mut flight).unwrap();
    client.read_tls(&mut &flight[..]).unwrap();
    client.process_new_packets().unwrap_err()
}

fn main() {
    let reason = || OtherError(Arc::new(NotPinned));
    println!("rustls 0.23.46, a verifier that answers: {NotPinned}");
    for (error, text) in [
        (CertificateError::Other(reason()).into(), "invalid peer certificate: Other(OtherError(NotPinned))"),
        (Error::Other(reason()), "other error: the certificate is not the pinned one"),
    ] {
        let error = client_error(error);
        println!("  \"{error}\", source: {:?}", error.source());
        assert_eq!((error.to_string().as_str(), error.source().is_none()), (text, true), "the behaviour has changed");
    }
}
END
cargo run --quiet
