//! `peers-bench`: the figures of `scripts/bench`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use peers_tests::bench::{self, Counting, Options, ffi, soak};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Parser)]
#[command(about)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Measures sessions over WebRTC against the raw data channel and against simple-peer, side by side.
    Core(Core),
    /// Measures the façades against the Rust API, side by side.
    Ffi(Ffi),
    /// Connects, parts and changes networks many times, and looks for what stays behind.
    Soak(Soak),
    /// Is the Rust device that `ffi` compares others to: commands on standard input, answers on standard output.
    Device,
}

#[derive(Args)]
struct Core {
    /// Write one JSON object a line here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The program that measures simple-peer, run by `node`; without it that comparison is left out.
    #[arg(long, value_name = "FILE")]
    simple_peer: Option<PathBuf>,
    /// Runs of each side, of which the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Megabytes (10^6) of one bulk transfer.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    megabytes: u32,
    /// Connections set up for the setup times.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    connects: u32,
}

#[derive(Args)]
struct Ffi {
    /// Write one JSON object a line here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A device of another language, run by the shell. May be given several times.
    #[arg(long, value_name = "NAME=COMMAND")]
    with: Vec<String>,
    /// Runs of each side, of which the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Messages of one run.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..))]
    messages: u32,
    /// Mebibytes of one bulk transfer.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    mebibytes: u32,
}

#[derive(Args)]
struct Soak {
    /// Write one JSON object a line here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Connections made and closed.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    cycles: u32,
    /// Changes of network under one session.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    switches: u32,
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let outcome = match Cli::parse().what {
        What::Core(Core { json, simple_peer, rounds, megabytes, connects }) => {
            bench::run(Options { json, simple_peer, rounds, megabytes, connects })
        }
        What::Ffi(Ffi { json, with, rounds, messages, mebibytes }) => {
            ffi::run(ffi::Options { json, with, rounds, messages, mebibytes })
        }
        What::Soak(Soak { json, cycles, switches }) => soak::run(soak::Options { json, cycles, switches }),
        What::Device => ffi::be_device().map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("peers-bench: {error}");
            ExitCode::from(2)
        }
    }
}
