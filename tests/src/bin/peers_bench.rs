//! `peers-bench`: the figures of `scripts/bench core`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use peers_tests::bench::{self, Options};

/// Measures sessions over WebRTC against the raw data channel and against simple-peer, side by side.
#[derive(Parser)]
struct Arguments {
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
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    megabytes: u32,
    /// Connections set up for the setup times.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    connects: u32,
}

fn main() -> ExitCode {
    let Arguments { json, simple_peer, rounds, megabytes, connects } = Arguments::parse();
    match bench::run(Options { json, simple_peer, rounds, megabytes, connects }) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("peers-bench: {error}");
            ExitCode::from(2)
        }
    }
}
