//! The `peers` command: a relay, and a device to talk to from a terminal.

mod answer;
mod bench;
mod demo;
mod device;
mod error;
mod event;
mod flow;
mod listen;
mod log;
mod pair;
mod pipe;
mod print;
mod problems;
mod receive;
mod relay;
mod send;
mod shell;
mod signals;
mod status;
mod tally;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use peers::DeviceId;

use device::DeviceArgs;
use error::CommandError;
use event::CommandEvent;
use print::{OutputArgs, Printer};

/// Sessions between devices: try them, test them, host the relay.
#[derive(Parser)]
#[command(name = "peers", version, after_help = status::help())]
struct Cli {
    #[command(subcommand)]
    command: PeersCommand,
}

#[derive(Subcommand)]
enum PeersCommand {
    /// Shows the id of an identity file; makes the file if it is not there.
    Id {
        /// The file of the keys.
        #[arg(long, default_value = "peers.key")]
        identity: PathBuf,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Runs a relay until it is interrupted.
    ///
    /// Settings come from the file, then from `PEERS_RELAY_*`, then from the flags; later wins, key by key.
    Relay(relay::RelayArgs),
    /// Waits for other devices: echoes messages, answers calls, receives files.
    Listen {
        #[command(flatten)]
        device: DeviceArgs,
        #[command(flatten)]
        output: OutputArgs,
        /// Lets every device connect, and not only knock. `--trust` decides what becomes of it.
        #[arg(long)]
        open: bool,
        /// The folder for received files; without it they are only counted and hashed.
        #[arg(long)]
        save: Option<PathBuf>,
    },
    /// Connects to a device and measures the path.
    Connect {
        #[command(flatten)]
        device: DeviceArgs,
        #[command(flatten)]
        output: OutputArgs,
        /// The id of the other device.
        to: DeviceId,
    },
    /// Sends a file, or standard input, to a device that listens.
    Send(send::SendArgs),
    /// Joins standard input and output to those of `peers pipe` on another device.
    ///
    /// It ends when both directions have ended and all that was sent is written at the other end.
    Pipe(pipe::PipeArgs),
    /// Devices in processes of their own meet through a relay: two of this command, or one and those of `--with`.
    Demo(demo::DemoArgs),
    /// Measures a session between two clients in this process, as JSON lines.
    Bench {
        /// MiB to transfer.
        #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
        mb: u32,
    },
    /// Prints the completions of a shell, as in `source <(peers completions bash)`.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Prints the manual page of this command, or writes those of all commands.
    Man {
        /// The folder for the pages. It has to exist.
        folder: Option<PathBuf>,
    },
}

impl PeersCommand {
    fn printer(&self) -> Printer {
        match self {
            Self::Id { output, .. } | Self::Listen { output, .. } | Self::Connect { output, .. } => {
                output.printer()
            }
            Self::Send(args) => args.printer(),
            Self::Pipe(_) => Printer::Beside,
            Self::Relay(_)
            | Self::Demo(_)
            | Self::Bench { .. }
            | Self::Completions { .. }
            | Self::Man { .. } => Printer::Text,
        }
    }
}

/// The time for tasks to drop what they hold, such as parts of files. A read of a disk that hangs does not hold the end up.
const DROP_PATIENCE: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let printer = command.printer();
    let Err(error) = start(command, printer) else { return ExitCode::SUCCESS };
    printer.failure(&error);
    error.exit_status().into()
}

fn start(command: PeersCommand, printer: Printer) -> Result<(), CommandError> {
    let _log = log::start(match &command {
        // The operator sees the start, and each kind of refusal.
        PeersCommand::Relay(_) => "warn,peers_relay=info",
        _ => "warn",
    })?;
    let runtime = tokio::runtime::Runtime::new().map_err(CommandError::io("threads"))?;
    let outcome = runtime.block_on(run(command, printer));
    runtime.shutdown_timeout(DROP_PATIENCE);
    outcome
}

async fn run(command: PeersCommand, printer: Printer) -> Result<(), CommandError> {
    match command {
        PeersCommand::Id { identity, .. } => {
            let device = peers::Identity::load_or_create(identity)?.device_id();
            printer.print(&CommandEvent::Identity { device })
        }
        PeersCommand::Relay(args) => relay::run(args).await,
        PeersCommand::Listen { device, open, save, .. } => listen::run(&device, printer, open, save).await,
        PeersCommand::Connect { device, to, .. } => device::connect(&device, printer, to).await,
        PeersCommand::Send(args) => send::run(args).await,
        PeersCommand::Pipe(args) => pipe::run(&args, printer).await,
        PeersCommand::Demo(args) => demo::run(args).await,
        PeersCommand::Bench { mb } => bench::run(mb).await,
        PeersCommand::Completions { shell } => shell::completions(Cli::command(), shell),
        PeersCommand::Man { folder } => shell::man(Cli::command(), folder.as_deref()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flattened arguments share their names; without this check only debug builds notice, when they run the command.
    #[test]
    fn the_command_line_has_no_name_twice() {
        Cli::command().debug_assert();
    }
}
