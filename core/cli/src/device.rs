//! A device at a terminal: `peers listen`, `peers connect`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, ValueEnum};
use peers::{
    Client, ClientState, DeviceId, Event, Events, Identity, RelayAddress, RelayStatus, Session, TrustLevel,
    TrustPolicy, UserId,
};

use crate::answer::{self, Echo};
use crate::error::Error;
use crate::receive::receive_files;
use crate::relay::stopped;

/// Who this is and where it registers.
#[derive(Args)]
pub(crate) struct DeviceArgs {
    /// A relay, `ws://` or `wss://`. May be given several times.
    #[arg(long, required = true)]
    relay: Vec<String>,
    /// What the first relay asks for, if it admits devices with a token only. Other users of the machine see a command
    /// line: keep it in the environment.
    #[arg(long, value_name = "TOKEN", env = "PEERS_RELAY_TOKEN", hide_env_values = true)]
    relay_token: Option<String>,
    /// The authority that has issued the relays' certificates, a file in PEM or DER, in place of those that browsers trust. May
    /// be given several times.
    #[arg(long, value_name = "FILE", conflicts_with = "relay_pin")]
    relay_ca: Vec<PathBuf>,
    /// The SHA-256 of the key, or of the certificate, that the relays show, whoever has issued it: `sha256/` and base64, or
    /// hexadecimal. May be given several times.
    #[arg(long, value_name = "HASH")]
    relay_pin: Vec<String>,
    /// Where the keys are kept; made if it is not there.
    #[arg(long, default_value = "peers.key")]
    identity: PathBuf,
    /// What this device calls itself.
    #[arg(long, default_value = "peers")]
    name: String,
    /// Who may connect: `any`, or device ids. Others are asked for at the terminal by their id, and refused.
    #[arg(long, value_name = "any|DEVICE")]
    trust: Vec<String>,
    /// Uses loopback addresses too, to try things on one machine.
    #[arg(long)]
    loopback: bool,
    /// Which ways to a peer may be used.
    #[arg(long, value_enum, default_value_t = Ways::All)]
    ways: Ways,
}

#[derive(Clone, Copy, ValueEnum)]
enum Ways {
    All,
    Webrtc,
    Relay,
}

struct Anybody;

impl TrustPolicy for Anybody {
    fn trust(&self, _: DeviceId, _: UserId) -> Option<TrustLevel> {
        Some(TrustLevel::Trusted)
    }
}

pub(crate) async fn start(args: &DeviceArgs, open: bool) -> Result<(Client, Events), Error> {
    let mut builder = Client::builder()
        .identity(Identity::load_or_create(&args.identity)?)
        .name(args.name.clone())
        .loopback(args.loopback)
        .open(open)
        .handler("echo", Arc::new(Echo))
        .transports(match args.ways {
            Ways::All => peers::Transports::default(),
            Ways::Webrtc => peers::Transports { webrtc: true, relay: false },
            Ways::Relay => peers::Transports { webrtc: false, relay: true },
        });
    let authorities: Result<Vec<_>, _> =
        args.relay_ca.iter().map(|path| std::fs::read(path).map_err(Error::io(path.display()))).collect();
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
    for who in &args.trust {
        builder = if who == "any" {
            builder.trust_policy(Arc::new(Anybody))
        } else {
            let device = who.parse().map_err(|e| Error::Failed(format!("--trust {who}: {e}")))?;
            builder.trust(device, TrustLevel::Trusted)
        };
    }
    Ok(builder.start().await?)
}

/// The session with a device; what fails says what can be done about it.
pub(crate) async fn session(client: &Client, to: DeviceId) -> Result<Session, Error> {
    client.session(to).await.map_err(|error| match (error, client.state()) {
        (peers::Error::Offline(_), ClientState::NotAdmitted) => {
            Error::Failed("the relay does not admit this device: see --relay-token".into())
        }
        (error, _) => error.into(),
    })
}

pub(crate) async fn listen(args: &DeviceArgs, open: bool, save: Option<PathBuf>) -> Result<(), Error> {
    let (client, mut events) = start(args, open).await?;
    println!("device {}", client.device_id());
    let mut relays = client.watch_relays();
    let mut told = relays.borrow().clone();
    loop {
        tokio::select! {
            Ok(()) = relays.changed() => {
                let now = relays.borrow_and_update().clone();
                now.iter().zip(&told).for_each(|(now, before)| show_relay(now, before));
                told = now;
            }
            result = stopped() => {
                client.shutdown().await;
                return result;
            }
            event = events.next() => match event {
                Some(event) => show(event, save.as_ref()),
                None => return Ok(()),
            },
        }
    }
}

/// A relay is tried again and again: the reason is shown when it is another one.
fn show_relay(now: &RelayStatus, before: &RelayStatus) {
    if let Some(problem) = now.problem.as_ref().filter(|problem| before.problem.as_ref() != Some(problem)) {
        eprintln!("{}: {problem}", now.url);
    }
}

fn show(event: Event, save: Option<&PathBuf>) {
    match event {
        Event::Connected { session, path } => {
            eprintln!("{} connected by {path:?}", session.device());
            tokio::spawn(answer::echo_messages(session.clone()));
            tokio::spawn(receive_files(session, save.cloned()));
        }
        Event::PathChanged { session, path: Some(path) } => {
            eprintln!("{} now by {path:?}", session.device());
        }
        Event::PathChanged { session, path: None } => eprintln!("{} has no path now", session.device()),
        Event::Disconnected { session, reason } => eprintln!("{} left: {reason}", session.device()),
        Event::Incoming(incoming) => {
            eprintln!("refused {}: trust it with --trust {}", incoming.device(), incoming.device());
            incoming.reject();
        }
        Event::State(state) => eprintln!("{state:?}"),
        _ => {}
    }
}

/// Shows what two people compare when the other one is asked about this device.
pub(crate) async fn show_digits(mut events: Events) {
    while let Some(event) = events.next().await {
        if let Event::Comparing { device, sas } = event {
            eprintln!("{device} asks its owner: both see {sas}, or somebody sits in between");
        }
    }
}

pub(crate) async fn connect(args: &DeviceArgs, to: DeviceId) -> Result<(), Error> {
    let (client, events) = start(args, false).await?;
    tokio::spawn(show_digits(events));
    let begun = Instant::now();
    let session = session(&client, to).await?;
    println!("connected to {} in {:.1} ms", session.peer_name(), begun.elapsed().as_secs_f64() * 1e3);
    let rtt = round_trip(&session, "echo").await?;
    println!("path {:?}, a call takes {:.0} µs", session.path(), rtt * 1e6);
    client.shutdown().await;
    Ok(())
}

/// The median of twenty calls, in seconds.
pub(crate) async fn round_trip(session: &Session, service: &str) -> Result<f64, Error> {
    let mut samples = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        if session.call(service, "echo", vec![7; 64]).await? != vec![7; 64] {
            return Err(Error::Failed("the call came back changed".into()));
        }
        samples.push(begun.elapsed().as_secs_f64());
    }
    samples.sort_by(f64::total_cmp);
    Ok(samples[samples.len() / 2])
}
