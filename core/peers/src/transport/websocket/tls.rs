//! TLS with ring, and the public authorities by default.

use std::sync::{Arc, LazyLock};

use rustls::{ClientConfig, RootCertStore};

/// Trusts the authorities browsers trust (webpki-roots). Who runs a private authority passes a configuration of
/// their own.
pub fn public_roots() -> Arc<ClientConfig> {
    static CONFIG: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        #[expect(clippy::expect_used, reason = "ring supports the default versions")]
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring supports TLS 1.2 and 1.3");
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    });
    CONFIG.clone()
}
