//! A device that registers at one relay and does nothing else.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use peers::clock::Clock;
use peers::random;
use peers::relay_client::{RelayClient, RelayClientConfig, RelayState};
use peers_proto::certificate::DeviceCertificate;
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::time::UnixTime;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;

use crate::Outcome;

const ONLINE: Duration = Duration::from_secs(20);

#[derive(Args)]
pub(crate) struct Registered {
    /// The relay's URL.
    #[arg(long)]
    relay: String,
    /// The only authority that TLS trusts, in a file of PEM.
    #[arg(long)]
    ca: PathBuf,
    /// The relay's access token.
    #[arg(long)]
    token: Option<String>,
    /// The time that it stays.
    #[arg(long)]
    seconds: u64,
}

/// Says `registered`, and at the end how often it registered and how it left in between.
pub(crate) async fn run(args: Registered) -> Outcome<()> {
    let keys = DeviceKeys::from_seed(random::array());
    let user = UserKeys::from_seed(random::array());
    let certificate = DeviceCertificate::issue(&user, &keys, UnixTime(1), "idle")?;
    let config = RelayClientConfig {
        url: args.relay,
        keys: Arc::new(keys),
        certificate,
        clock: Clock::system(),
        tls: Some(trusting(&args.ca)?),
        token: args.token,
        open: false,
    };
    let (client, _events, task) = RelayClient::start(config)?;
    let mut state = client.state();
    let online = state.wait_for(|state| *state == RelayState::Registered);
    let online = tokio::time::timeout(ONLINE, online).await.is_ok_and(|state| state.is_ok());
    if !online {
        println!("not registered: {:?}", *client.state().borrow());
        return Ok(());
    }
    println!("registered");
    let mut left = Vec::new();
    let stay = tokio::time::sleep(Duration::from_secs(args.seconds));
    tokio::pin!(stay);
    loop {
        tokio::select! {
            () = &mut stay => break,
            changed = state.changed() => changed?,
        }
        let now = state.borrow_and_update();
        if *now != RelayState::Registered {
            left.push(format!("{:?}", *now));
        }
    }
    println!("{}", json!({ "registrations": client.registrations(), "left": left }));
    task.shutdown().await;
    Ok(())
}

fn trusting(ca: &PathBuf) -> Outcome<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}
