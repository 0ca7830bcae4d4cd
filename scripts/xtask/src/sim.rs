//! `cargo xtask sim`: seeded worlds in virtual time, optimised.

use crate::error::Error;
use crate::{process, workspace};

/// The worlds to run; without any of these, a few seeds of each.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this seed, with its timeline if it fails or if a scenario is named.
    #[arg(long)]
    seed: Option<u64>,
    /// Only this scenario.
    #[arg(long)]
    scenario: Option<String>,
    /// Seeds of every scenario.
    #[arg(long)]
    seeds: Option<u64>,
}

/// Builds the simulator and runs it.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let mut command = workspace::cargo();
    command.args(["run", "--quiet", "--locked", "--release", "--package=peers-sim", "--"]);
    let given = [
        ("--seed", args.seed.map(|n| n.to_string())),
        ("--scenario", args.scenario.clone()),
        ("--seeds", args.seeds.map(|n| n.to_string())),
    ];
    for (option, value) in given {
        command.args(value.map(|value| format!("{option}={value}")));
    }
    process::run(&mut command)
}
