//! A device at a terminal.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use peers::{
    Client, ClientBuilder, ClientState, DeviceId, Event, Events, FileStore, IdError, Identity, RelayAddress,
    Session, TrustLevel, TrustPolicy, UserId,
};

use crate::answer::Echo;
use crate::error::CommandError;
use crate::event::CommandEvent;
use crate::print::Printer;
use crate::problems;
use crate::signals::StopSignals;

/// The time to close sessions and to leave relays: a person waits for the prompt.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// A peer that is there has answered by then.
const SILENCE: Duration = Duration::from_secs(2);

/// The identity of this device, and its relays.
#[derive(Args)]
pub(crate) struct DeviceArgs {
    /// A relay, `ws://` or `wss://`. May be given several times. None is needed with `--address` and `--at`.
    #[arg(long, required_unless_present_any = ["address", "at"])]
    relay: Vec<String>,
    /// The token that the first relay asks for, if it admits devices with a token only. Other users of the machine see a
    /// command line: keep it in the environment.
    #[arg(long, value_name = "TOKEN", env = "PEERS_TOKEN", hide_env_values = true)]
    relay_token: Option<String>,
    /// The authority that has issued the relays' certificates, a file in PEM or DER, in place of those that browsers trust. May
    /// be given several times.
    #[arg(long, value_name = "FILE", conflicts_with = "relay_pin")]
    relay_ca: Vec<PathBuf>,
    /// The SHA-256 of the key, or of the certificate, that the relays show, by any issuer: `sha256/` and base64, or
    /// hexadecimal. May be given several times. `openssl x509 -in relay.crt -noout -pubkey | openssl pkey -pubin -outform der |
    /// openssl dgst -sha256` prints a key's; so does the error of a device that has another pin.
    #[arg(long, value_name = "HASH")]
    relay_pin: Vec<String>,
    /// The file of the keys; made if it is not there. One device at a time has them.
    #[arg(long, default_value = "peers.key")]
    identity: PathBuf,
    /// The file that remembers the levels and keys of other devices; made if it is not there. A device that shows other keys
    /// than before is refused. One device at a time uses it.
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// The address of a device that listens, as `ID=ws://192.168.1.2:7000`: it is reached there without a relay once its keys are
    /// known, which `--store` remembers. May be given several times.
    #[arg(long, value_name = "DEVICE=URL")]
    address: Vec<KnownAddress>,
    /// Listens at this address too, as `192.168.1.2:7000`; port 0 picks one. Devices that know the keys of this one get an answer
    /// there.
    #[arg(long, value_name = "ADDRESS")]
    at: Option<SocketAddr>,
    /// The name of this device.
    #[arg(long, default_value = "peers")]
    name: String,
    /// The devices that may connect: `any`, or a device's id; others are refused. May be given several times.
    #[arg(long, value_name = "any|DEVICE")]
    trust: Vec<Trusted>,
    /// Uses loopback addresses too, to try things on one machine.
    #[arg(long)]
    loopback: bool,
    /// The ways to a peer that may be used.
    #[arg(long, value_enum, default_value_t = WayChoice::All)]
    ways: WayChoice,
}

#[derive(Clone, Copy, ValueEnum)]
enum WayChoice {
    All,
    Webrtc,
    Relay,
}

/// A value of `--trust`.
#[derive(Debug, Clone, Copy)]
enum Trusted {
    Any,
    Device(DeviceId),
}

impl FromStr for Trusted {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text == "any" { Ok(Self::Any) } else { text.parse().map(Self::Device) }
    }
}

/// A value of `--address`.
#[derive(Debug, Clone)]
struct KnownAddress {
    device: DeviceId,
    url: String,
}

impl FromStr for KnownAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (device, url) = text.split_once('=').ok_or("expected DEVICE=URL")?;
        Ok(Self { device: device.parse().map_err(|e: IdError| e.to_string())?, url: url.to_owned() })
    }
}

struct Anybody;

impl TrustPolicy for Anybody {
    fn trust(&self, _: DeviceId, _: UserId) -> Option<TrustLevel> {
        Some(TrustLevel::Trusted)
    }
}

/// Does `work` with a client, then closes its sessions. The work ends early for a signal, and when another process takes the
/// identity over.
pub(crate) async fn run<T>(
    args: &DeviceArgs,
    open: bool,
    work: impl AsyncFnOnce(&Client, Events) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    // Before the signals are taken: a file that hangs leaves Ctrl-C as it is.
    let builder = builder(args, open)?;
    let mut signals = StopSignals::new()?;
    let (client, events) = tokio::select! {
        started = builder.start() => started?,
        signal = signals.next() => return Err(CommandError::Stopped(signal)),
    };
    let outcome = tokio::select! {
        outcome = work(&client, events) => outcome,
        signal = signals.next() => Err(CommandError::Stopped(signal)),
        error = superseded(&client, args) => Err(error),
    };
    // Connections that take longer are cut when the process ends.
    let _ = tokio::time::timeout(END_PATIENCE, client.shutdown()).await;
    outcome
}

fn builder(args: &DeviceArgs, open: bool) -> Result<ClientBuilder, CommandError> {
    let mut builder = Client::builder()
        .identity(Identity::load_or_create(&args.identity)?)
        .name(args.name.clone())
        .loopback(args.loopback)
        .open(open)
        .handler("echo", Arc::new(Echo))
        .transports(match args.ways {
            WayChoice::All => peers::Transports::default(),
            WayChoice::Webrtc => peers::Transports { webrtc: true, relay: false },
            WayChoice::Relay => peers::Transports { webrtc: false, relay: true },
        });
    let authorities: Result<Vec<_>, _> = args
        .relay_ca
        .iter()
        .map(|path| std::fs::read(path).map_err(CommandError::io(path.display())))
        .collect();
    let authorities = authorities?;
    let mut token = args.relay_token.as_ref();
    for url in &args.relay {
        let mut relay = authorities.iter().cloned().fold(RelayAddress::new(url), RelayAddress::authority);
        relay = args.relay_pin.iter().fold(relay, RelayAddress::pin);
        // A token is a secret between this device and one operator.
        if let Some(token) = token.take() {
            relay = relay.token(token);
        }
        builder = builder.relay(relay);
    }
    for KnownAddress { device, url } in &args.address {
        builder = builder.address(*device, url);
    }
    if let Some(address) = args.at {
        builder = builder.listen(address);
    }
    if let Some(path) = &args.store {
        builder = builder.store(FileStore::open(path).map_err(peers::Error::from)?);
    }
    for trusted in &args.trust {
        builder = match trusted {
            Trusted::Any => builder.trust_policy(Arc::new(Anybody)),
            Trusted::Device(device) => builder.trust(*device, TrustLevel::Trusted),
        };
    }
    Ok(builder)
}

/// Waits until another process registers with the same identity.
async fn superseded(client: &Client, args: &DeviceArgs) -> CommandError {
    if client.watch_state().wait_for(|state| *state == ClientState::Superseded).await.is_err() {
        return std::future::pending().await;
    }
    CommandError::Superseded(args.identity.clone())
}

/// The session with a device. Fails as soon as no relay is worth waiting for.
pub(crate) async fn session(
    client: &Client,
    printer: Printer,
    to: DeviceId,
) -> Result<Session, CommandError> {
    let waiting = async {
        tokio::time::sleep(SILENCE).await;
        printer.note(&CommandEvent::Waiting { device: to });
        std::future::pending().await
    };
    tokio::select! {
        session = client.session(to) => session.map_err(|error| match error {
            peers::Error::Offline(_) if !client.relays().is_empty() => problems::unreachable(&client.relays()),
            error @ (peers::Error::Denied | peers::Error::Unreachable(_)) => {
                CommandError::NotReached { device: to, error, own: client.device_id() }
            }
            error => error.into(),
        }),
        error = problems::none_left(client) => Err(error),
        error = waiting => error,
    }
}

/// Shows what two people compare when the other one is asked about this device.
pub(crate) async fn show_digits(mut events: Events, printer: Printer) {
    while let Some(event) = events.next().await {
        if let Event::Comparing { device, sas } = event {
            printer.note(&CommandEvent::Comparing { device, digits: sas.to_string() });
        }
    }
}

/// `peers connect`
pub(crate) async fn connect(args: &DeviceArgs, printer: Printer, to: DeviceId) -> Result<(), CommandError> {
    run(args, false, async |client, events| {
        tokio::spawn(show_digits(events, printer));
        let begun = Instant::now();
        let session = session(client, printer, to).await?;
        let tenths = (begun.elapsed().as_secs_f64() * 1e4).round();
        printer.print(&CommandEvent::Connected {
            device: session.device(),
            name: session.peer_name().to_owned(),
            path: session.path(),
            ms: Some(tenths / 10.0),
        })?;
        let call_us = (round_trip(&session, "echo").await? * 1e6).round() as u64;
        printer.print(&CommandEvent::Measured { device: session.device(), path: session.path(), call_us })
    })
    .await
}

/// The median of twenty calls, in seconds.
pub(crate) async fn round_trip(session: &Session, service: &str) -> Result<f64, CommandError> {
    let mut samples = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        if session.call(service, "echo", vec![7; 64]).await? != vec![7; 64] {
            return Err(CommandError::Damaged("the call came back changed"));
        }
        samples.push(begun.elapsed().as_secs_f64());
    }
    samples.sort_by(f64::total_cmp);
    Ok(samples[samples.len() / 2])
}
