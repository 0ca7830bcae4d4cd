//! The `peers` command: a relay, and a device to talk to from a terminal.

mod answer;
mod bench;
mod demo;
mod device;
mod error;
mod receive;
mod relay;
mod send;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use peers::DeviceId;

use device::DeviceArgs;
use error::Error;

/// Sessions between devices: try them, test them, host the relay.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the id of an identity file; makes the file if it is not there.
    Id {
        /// Where the keys are kept.
        #[arg(long, default_value = "peers.key")]
        identity: PathBuf,
    },
    /// Runs a relay until it is interrupted.
    Relay(relay::RelayArgs),
    /// Waits for other devices: echoes messages, answers calls, receives files.
    Listen {
        #[command(flatten)]
        device: DeviceArgs,
        /// Lets every device connect, not only knock, before `--trust` decides.
        #[arg(long)]
        open: bool,
        /// Where to put received files; without it they are only counted and hashed.
        #[arg(long)]
        save: Option<PathBuf>,
    },
    /// Connects to a device and measures the path.
    Connect {
        #[command(flatten)]
        device: DeviceArgs,
        /// Whom to connect to.
        to: DeviceId,
    },
    /// Sends a file to a device that listens.
    Send {
        #[command(flatten)]
        device: DeviceArgs,
        /// Whom to send it to.
        to: DeviceId,
        /// What to send.
        file: PathBuf,
    },
    /// Three devices in three processes meet through a relay: see scripts/demo.
    Demo(demo::DemoArgs),
    /// Measures a session between two clients in this process, as JSON lines.
    Bench {
        /// MiB to transfer.
        #[arg(long, default_value_t = 64)]
        mb: usize,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match run(Cli::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("peers: {e}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Id { identity } => {
            println!("{}", peers::Identity::load_or_create(identity)?.device_id());
            Ok(())
        }
        Command::Relay(args) => relay::run(args).await,
        Command::Listen { device, open, save } => device::listen(&device, open, save).await,
        Command::Connect { device, to } => device::connect(&device, to).await,
        Command::Send { device, to, file } => send::run(&device, to, &file).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Bench { mb } => bench::run(mb).await,
    }
}
