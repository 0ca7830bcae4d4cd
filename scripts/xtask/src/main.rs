//! Checks and builds that need more than a shell: `cargo xtask <task>`.

mod counts;
mod dependencies;
mod error;
mod framework;
mod layers;
mod library;
mod metadata;
mod package;
mod process;
mod requirements;
mod rust_tests;
mod sim;
mod size;
mod targets;

mod words;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Error;

/// Checks and builds that need more than a shell.
#[derive(Parser)]
#[command(name = "cargo xtask", version)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check the licences and the sources of all dependencies.
    Dependencies,
    /// Check the library of an Apple framework.
    Framework(framework::Args),
    /// Check which crate depends on which, and which module imports which.
    Layers,
    /// Check the packages for Android and the JVM that `scripts/package` has made.
    Package(package::Args),
    /// List the requirements and the tests that prove them.
    Requirements(requirements::Args),
    /// Run seeded worlds of devices in virtual time, or one of them again.
    Sim(sim::Args),
    /// Build the library as it ships inside an app and check its size.
    Size,
    /// Type-check the library for the phones' targets.
    Targets(targets::Args),
    /// Run the tests of the workspace, several executables at a time.
    RustTests,
    /// Count prose that is hard to read.
    Words(words::Args),
}

fn main() -> ExitCode {
    match run(&Args::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<(), Error> {
    match task {
        Task::Dependencies => dependencies::run(),
        Task::Framework(args) => framework::run(args),
        Task::Layers => layers::run(),
        Task::Package(args) => package::run(args),
        Task::Requirements(args) => requirements::run(args),
        Task::Sim(args) => sim::run(args),
        Task::Size => size::run(),
        Task::Targets(args) => targets::run(args),
        Task::RustTests => rust_tests::run(),
        Task::Words(args) => words::run(args),
    }
}
