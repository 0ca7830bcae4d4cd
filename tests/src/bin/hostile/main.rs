//! Hostile behaviours against the real client and the real relay, each in a process of its own.
//!
//! ```text
//!  runner ── attack ──> relay (process) <──> victim (process, memory limit)
//!                          ^                    ^
//!                          └── honest (process) ┘   calls all the time, and dials anew
//! ```
//!
//! While the attack lasts, the victim must live, and grow by no more than its limits say. It must keep the session with the
//! honest device, answer its calls, and let a trusted device connect. `scripts/test hostile` calls this.

mod bare_peer;
mod behaviours;
mod honest;
mod link;
mod measure;
mod raw_peer;
mod relay;
mod runner;
mod scene;
mod socket;
mod victim;
mod world;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use peers_tests::bench::Outcome;

#[derive(Parser)]
#[command(about)]
struct Cli {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    choice: runner::Choice,
}

/// The processes of a world. Each ends with its standard input.
#[derive(Subcommand)]
enum Role {
    /// A relay; says its process is `ready` when it listens.
    Relay(relay::Relay),
    /// A device under attack; reads its settings, says `ready`, then obeys lines of JSON.
    Victim,
    /// Devices that only want to talk; the same.
    Honest,
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let cli = Cli::parse();
    let outcome = match cli.role {
        None => return runner::run(&cli.choice),
        Some(Role::Relay(relay)) => in_process(relay::run(relay)),
        Some(Role::Victim) => in_process(victim::run()),
        Some(Role::Honest) => in_process(honest::run()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("hostile: {e}");
            ExitCode::FAILURE
        }
    }
}

/// As many workers as the bindings give an app.
fn in_process(role: impl Future<Output = Outcome<()>>) -> Outcome<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(role)
}
