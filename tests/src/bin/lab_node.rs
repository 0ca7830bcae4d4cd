//! One host of the NAT lab (`tests/lab/run`): the relay, the device that waits, or the device that dials.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use clap::{Args, Parser, Subcommand, ValueEnum};
use peers::{
    Client, ClientState, DeviceId, Event, Events, InboundRequest, PathKind, RequestError, RequestHandler,
    Session, Transports, TrustLevel, TrustPolicy, UserId,
};
use peers_proto::timing::WEBRTC_ESTABLISHMENT;
use peers_relay::{Relay, RelayConfig};
use serde_json::json;

/// A relay on the same bridge answers at once; the rest is a machine under load.
const ONLINE: Duration = Duration::from_secs(15);
/// What a WebRTC attempt may take, and a moment to tell.
const ATTEMPT: Duration = WEBRTC_ESTABLISHMENT.saturating_add(Duration::from_secs(5));

type Outcome<T> = Result<T, Box<dyn Error>>;

#[derive(Parser)]
#[command(about)]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Runs a relay; says `ready` when it listens.
    Relay {
        /// Its configuration, as in core/docs/relay.md.
        #[arg(long)]
        config: PathBuf,
    },
    /// Waits for others: prints its device id when it is online, answers calls and sends every object back.
    Listen {
        #[command(flatten)]
        device: Device,
    },
    /// Connects, exchanges an object and a call, and prints what it came to as one line of JSON.
    Dial {
        #[command(flatten)]
        device: Device,
        /// Whom to dial.
        #[arg(long)]
        to: DeviceId,
        /// What has to come of it.
        #[arg(long)]
        want: Want,
    },
}

#[derive(Args)]
struct Device {
    /// The relay's URL.
    #[arg(long)]
    relay: String,
    /// Use TURN candidates only.
    #[arg(long)]
    relay_only: bool,
    /// No frames through the relay.
    #[arg(long)]
    webrtc_only: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Want {
    /// The session moves to WebRTC.
    Webrtc,
    /// The session works through the relay, and keeps doing so when the WebRTC attempt has failed.
    Relay,
    /// There is no way: the dial says so in time.
    Refusal,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let outcome = match Cli::parse().role {
        Role::Relay { config } => relay(&config).await,
        Role::Listen { device } => listen(&device).await,
        Role::Dial { device, to, want } => dial(&device, to, want).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{}", json!({ "error": error.to_string() }));
            ExitCode::FAILURE
        }
    }
}

async fn relay(config: &std::path::Path) -> Outcome<()> {
    let _relay = Relay::start(RelayConfig::from_sources(Some(config), [], [])?).await?;
    println!("ready");
    std::future::pending().await
}

async fn listen(device: &Device) -> Outcome<()> {
    let (client, mut events) = online(device).await?;
    println!("{}", client.device_id());
    while let Some(event) = events.next().await {
        if let Event::Connected { session, .. } = event {
            tokio::spawn(send_back(session));
        }
    }
    Ok(())
}

/// Until the session ends.
async fn send_back(session: Session) {
    while let Ok(message) = session.recv().await {
        if session.send_bytes(message.body).await.is_err() {
            return;
        }
    }
}

async fn dial(device: &Device, to: DeviceId, want: Want) -> Outcome<()> {
    let (client, _events) = online(device).await?;
    let began = Instant::now();
    let dialed = tokio::time::timeout(ATTEMPT, client.session(to)).await;
    let dialed = dialed.map_err(|_| format!("the dial did not end within {ATTEMPT:?}"))?;
    if want == Want::Refusal {
        let Err(error) = dialed else { return Err("a session, where there is no way".into()) };
        println!("{}", json!({ "refused": error.code(), "refused_ms": millis(began) }));
        return if error.code() == "unreachable" { Ok(()) } else { Err(error.into()) };
    }
    let session = dialed?;
    exchange(&session).await?;
    let usable_ms = millis(began);
    let path = match want {
        Want::Webrtc => PathKind::WebRtc,
        _ => PathKind::Relay,
    };
    let mut watch = session.watch_path();
    let reached = tokio::time::timeout(ATTEMPT, watch.wait_for(|now| *now == Some(path))).await;
    let path_ms = millis(began);
    let reached = reached.is_ok_and(|path| path.is_ok());
    if want == Want::Relay {
        // The attempt at WebRTC ends meanwhile; it must not take the session with it.
        let left = tokio::time::timeout(ATTEMPT, watch.wait_for(|now| *now != Some(path))).await;
        if left.is_ok() {
            return Err(format!("the path became {:?}", session.path()).into());
        }
    }
    exchange(&session).await?;
    let now = session.path().map_or("none".to_owned(), |path| format!("{path:?}").to_lowercase());
    println!("{}", json!({ "path": now, "usable_ms": usable_ms, "path_ms": path_ms }));
    client.shutdown().await;
    if reached { Ok(()) } else { Err(format!("no path {path:?} within {ATTEMPT:?}").into()) }
}

/// An object there and back, and a call.
async fn exchange(session: &Session) -> Outcome<()> {
    let object = ("an object", vec![7u32; 1000]);
    session.send(&object).await?;
    let back: (String, Vec<u32>) = session.recv().await?.decode()?;
    let answer = session.call("echo", "echo", "a call").await?;
    if (back.0.as_str(), back.1) != object || answer != "a call" {
        return Err("the peer sent something else back".into());
    }
    Ok(())
}

async fn online(device: &Device) -> Outcome<(Client, Events)> {
    let transports = Transports { webrtc: true, relay: !device.webrtc_only };
    let builder = Client::builder()
        .relay(&device.relay)
        .relay_only(device.relay_only)
        .transports(transports)
        .trust_policy(Arc::new(Everybody))
        .handler("echo", Arc::new(Echo));
    let (client, events) = builder.start().await?;
    let mut state = client.watch_state();
    let online = tokio::time::timeout(ONLINE, state.wait_for(|s| *s == ClientState::Online)).await;
    online.map_err(|_| format!("not online within {ONLINE:?}"))??;
    Ok((client, events))
}

fn millis(since: Instant) -> u128 {
    since.elapsed().as_millis()
}

struct Everybody;

impl TrustPolicy for Everybody {
    fn trust(&self, _: DeviceId, _: UserId) -> Option<TrustLevel> {
        Some(TrustLevel::Trusted)
    }
}

struct Echo;

#[async_trait]
impl RequestHandler for Echo {
    async fn handle(&self, request: InboundRequest) -> Result<Bytes, RequestError> {
        Ok(request.body)
    }
}
