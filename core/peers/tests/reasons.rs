//! Reasons that an app hears of relays that are not reached, and relays whose certificate no public authority has issued.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peers::{Client, ClientState, DeviceId, Error, Events, Identity, RelayAddress, RelayStatus};
use peers_proto::timing::{OFFLINE_GRACE, REGISTRATION_TIMEOUT};
use peers_relay::{Relay, RelayConfig};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.unwrap()
}

/// A relay behind something that forwards connections, and may cut them.
struct Front {
    address: SocketAddr,
    relay: Relay,
    connections: Arc<Mutex<JoinSet<()>>>,
    accepts: tokio::task::JoinHandle<()>,
}

impl Front {
    async fn start(tls: Option<ServerConfig>) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let config = RelayConfig {
            bind: ([127, 0, 0, 1], 0).into(),
            names: vec![address.to_string()],
            ..RelayConfig::default()
        };
        let relay = Relay::start(config).await.unwrap();
        let (upstream, connections) = (relay.local_addr(), Arc::<Mutex<JoinSet<()>>>::default());
        let (tls, kept) = (tls.map(|tls| TlsAcceptor::from(Arc::new(tls))), connections.clone());
        let accepts = tokio::spawn(async move {
            loop {
                let (mut tcp, _) = tcp.accept().await.unwrap();
                let tls = tls.clone();
                kept.lock().unwrap().spawn(async move {
                    let mut to_relay = TcpStream::connect(upstream).await.unwrap();
                    // However it ends.
                    let _ = match tls {
                        None => copy_bidirectional(&mut tcp, &mut to_relay).await,
                        Some(tls) => match tls.accept(tcp).await {
                            Ok(mut tls) => copy_bidirectional(&mut tls, &mut to_relay).await,
                            Err(_) => return,
                        },
                    };
                });
            }
        });
        Self { address, relay, connections, accepts }
    }

    fn cut(&self) {
        self.connections.lock().unwrap().abort_all();
    }

    /// Nothing accepts any more.
    async fn close(self) {
        self.accepts.abort();
        let _ = self.accepts.await;
        self.connections.lock().unwrap().abort_all();
    }
}

/// A certificate for this machine, its issuer's, and its key.
struct Certificate {
    der: CertificateDer<'static>,
    authority_pem: String,
    authority_der: Vec<u8>,
    key: KeyPair,
}

impl Certificate {
    fn new() -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = authority.self_signed(&authority_key).unwrap();
        let (authority_pem, authority_der) = (certificate.pem(), certificate.der().to_vec());
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let der = params.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap().der().clone();
        Self { der, authority_pem, authority_der, key }
    }

    fn server(&self) -> ServerConfig {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], key)
            .unwrap()
    }
}

async fn start(relay: impl Into<RelayAddress>) -> (Client, Events) {
    Client::builder().relay(relay).start().await.unwrap()
}

/// The state of the only relay when it has a problem.
async fn problem(client: &Client) -> (&'static str, String) {
    let mut relays = client.watch_relays();
    let relays = soon(relays.wait_for(|relays| relays[0].problem.is_some())).await.unwrap();
    let problem = relays[0].problem.as_ref().unwrap();
    (problem.code(), problem.to_string())
}

async fn state(client: &Client, wanted: ClientState) {
    soon(client.watch_state().wait_for(|state| *state == wanted)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_relay_says_why_it_is_not_reached() {
    // Says what a web server says to a path it does not know.
    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web_address = web.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = web.accept().await.unwrap();
            let _ = tcp.read(&mut [0; 1024]).await;
            let _ = tcp.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let nothing = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (url, code, words) in [
        ("ws://no-such-host.invalid".to_owned(), "not-found", "host was not found"),
        (format!("ws://{nothing}"), "unreachable", "refused"),
        (format!("ws://{web_address}"), "not-a-relay", "404"),
        (format!("wss://{web_address}"), "tls", "ws://"),
    ] {
        let (client, _events) = start(&url).await;
        let (found, text) = problem(&client).await;
        assert_eq!(found, code, "{url}: {text}");
        assert!(text.contains(words), "{url}: {text}");
        state(&client, ClientState::Offline).await;
        assert_eq!(client.relays()[0].url, url);
        client.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_without_a_relay_fails_with_each_relays_reason() {
    let nothing = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let builder = Client::builder().relay(format!("ws://{nothing}")).relay("ws://no-such-host.invalid");
    let (client, _events) = builder.start().await.unwrap();
    let error = soon(client.session(DeviceId::derive(b"somebody"))).await.unwrap_err();
    let Error::Offline(why) = error else { panic!("{error:?}") };
    for words in ["not reachable: connection refused", "host was not found"] {
        assert!(why.contains(words), "{why}");
    }
    // Errors are logged.
    assert!(!why.contains("127.0.0.1"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_fails_at_once_where_the_relay_refuses_the_device_or_another_process_has_it() {
    let front = Front::start(None).await;
    let (somebody, other_name) = (DeviceId::derive(b"somebody"), front.relay.url());
    let (client, _events) = start(other_name).await;
    let begun = std::time::Instant::now();
    let error = soon(client.session(somebody)).await.unwrap_err();
    assert!(matches!(&error, Error::Offline(why) if why.contains("`names`")), "{error:?}");
    client.shutdown().await;

    let (identity, url) = (Identity::generate(), format!("ws://{}", front.address));
    let builder = || Client::builder().relay(url.clone()).identity(identity.clone());
    let (first, _events) = builder().start().await.unwrap();
    state(&first, ClientState::Online).await;
    let (second, _events) = builder().start().await.unwrap();
    state(&first, ClientState::Superseded).await;
    let error = soon(first.session(somebody)).await.unwrap_err();
    assert!(matches!(&error, Error::Offline(why) if why.contains("another process")), "{error:?}");
    assert!(begun.elapsed() < REGISTRATION_TIMEOUT, "{:?}", begun.elapsed());
    first.shutdown().await;
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_authority_or_a_pin_lets_its_relay_be_reached_and_nothing_else_does() {
    let certificate = Certificate::new();
    let front = Front::start(Some(certificate.server())).await;
    let relay = RelayAddress::new(format!("wss://{}", front.address));
    let other = Certificate::new();
    let key = hash(&certificate.key.subject_public_key_info());

    for (wrong, words) in [
        (relay.clone(), "no authority that is trusted here has issued it"),
        (relay.clone().authority(other.authority_der), "invalid peer certificate"),
    ] {
        let (client, _events) = start(wrong).await;
        let (code, text) = problem(&client).await;
        assert_eq!(code, "tls", "{text}");
        assert!(text.contains(words), "{text}");
        client.shutdown().await;
    }
    let (client, _events) = start(relay.clone().pin(hash(&other.key.subject_public_key_info()))).await;
    let (code, text) = problem(&client).await;
    assert_eq!(code, "tls", "{text}");
    // Whoever knows it to be right can pin it.
    assert!(text.contains(&key), "{text}");
    client.shutdown().await;

    let both = format!("{}\n{}", other.authority_pem, certificate.authority_pem);
    for right in [
        relay.clone().authority(both),
        relay.clone().authority(certificate.authority_der.clone()),
        relay.clone().pin(hash(&other.key.subject_public_key_info())).pin(key),
        relay.clone().pin(hash(&certificate.der)),
    ] {
        let (client, _events) = start(right).await;
        state(&client, ClientState::Online).await;
        assert!(matches!(&client.relays()[..], [RelayStatus { problem: None, .. }]), "{:?}", client.relays());
        client.shutdown().await;
    }

    let wrong = Client::builder().relay(relay.clone().pin("beef")).start().await;
    assert!(matches!(wrong, Err(Error::Config(why)) if why.contains("pin")));
    let wrong = Client::builder().relay(relay.authority("?")).start().await;
    assert!(matches!(wrong, Err(Error::Config(why)) if why.contains("authority")));
}

fn hash(bytes: &[u8]) -> String {
    format!("sha256/{}", peers_proto::signaling::base64::encode(&Sha256::digest(bytes)))
}

// proves S019
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_back_in_a_moment_was_not_away_and_one_that_is_not_was() {
    let front = Front::start(None).await;
    let (client, _events) = start(format!("ws://{}", front.address)).await;
    state(&client, ClientState::Online).await;
    let mut states = client.watch_state();
    states.mark_unchanged();
    // The second wait may be of a second.
    for registrations in 2..=3 {
        front.cut();
        let mut relays = client.watch_relays();
        soon(relays.wait_for(|_| front.relay.stats().registrations == registrations)).await.unwrap();
        soon(relays.wait_for(|relays| relays[0].problem.is_none())).await.unwrap();
    }
    assert!(!states.has_changed().unwrap(), "{:?}", client.state());

    let cut = std::time::Instant::now();
    front.close().await;
    soon(states.changed()).await.unwrap();
    assert!(cut.elapsed() >= OFFLINE_GRACE, "{:?}", cut.elapsed());
    let refused =
        |relays: &Vec<RelayStatus>| relays[0].problem.as_ref().is_some_and(|p| p.code() == "unreachable");
    soon(client.watch_relays().wait_for(refused)).await.unwrap();
    state(&client, ClientState::Offline).await;
}
