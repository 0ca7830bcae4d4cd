//! The lab: the real stack in network namespaces of this machine, with NATs, long links, outages and killed servers.
//! `scripts/lab` builds and calls it. Its other roles are the processes inside the namespaces.

mod agent;
mod bulk;
mod flow;
mod link;
mod nat;
mod probe;
mod process;
mod registered;
mod runner;
mod scenarios;
mod shim;
mod world;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use peers::DeviceId;
use peers_relay::{Relay, RelayConfig};
use peers_tests::bench::Outcome;
use tracing_subscriber::EnvFilter;

/// Written by each process unless RUST_LOG says otherwise: a failure that comes once in fifty runs has to explain itself.
const LOGGED: &str = "lab=debug,peers=debug,peers_relay=debug";

#[derive(Parser)]
#[command(about)]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Runs scenarios.
    Run(runner::Choice),
    /// Runs a relay; says `ready` when it listens.
    Relay {
        /// Its configuration, as in core/docs/relay.md.
        #[arg(long)]
        config: PathBuf,
    },
    /// A device that obeys lines of JSON; says its id when it is online.
    Device(agent::Device),
    /// Devices that dial one.
    Crowd {
        #[command(flatten)]
        device: agent::Device,
        /// The number of devices.
        #[arg(long)]
        count: usize,
        /// The device that they dial.
        #[arg(long)]
        to: Option<DeviceId>,
    },
    /// A device that registers and stays silent.
    Registered(registered::Registered),
    /// A link between two TUN devices.
    Link(link::Link),
    /// Answers probes.
    Probed,
    /// Probes the NAT.
    Probe {
        /// This device's address.
        local: SocketAddr,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    let outcome = match Cli::parse().role {
        Role::Run(choice) => return runner::run(choice).await,
        Role::Relay { config } => relay(&config).await,
        Role::Device(device) => agent::run(&device).await,
        Role::Crowd { device, count, to } => agent::crowd(&device, count, to).await,
        Role::Registered(device) => registered::run(device).await,
        Role::Link(link) => link::run(&link),
        Role::Probed => probe::serve().await,
        Role::Probe { local } => probe::ask(local).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

async fn relay(config: &Path) -> Outcome<()> {
    let _relay = Relay::start(RelayConfig::from_sources(Some(config), [], [])?).await?;
    println!("ready");
    std::future::pending().await
}
