//! Runs seeded worlds: `peers-sim --seeds 2000`, or one of them again: `peers-sim --seed 42 --scenario crash`.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use peers_sim::{Fault, SCENARIOS, Scenario, Totals, replay, scenario, sweep};

/// Runs seeded worlds of devices and checks that nothing is lost, repeated, reordered or stuck.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Only this scenario.
    #[arg(long)]
    scenario: Option<String>,
    /// Only this seed, with its timeline.
    #[arg(long)]
    seed: Option<u64>,
    /// Seeds of every scenario.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// List the scenarios.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let chosen: Vec<&Scenario> = match &args.scenario {
        None => SCENARIOS.iter().collect(),
        Some(name) => match scenario(name) {
            Some(one) => vec![one],
            None => {
                eprintln!("peers-sim: no scenario {name}; --list shows them");
                return ExitCode::FAILURE;
            }
        },
    };
    if args.list {
        chosen.iter().for_each(|s| println!("{:<24} {}", s.name, s.about));
        return ExitCode::SUCCESS;
    }
    let passed = match args.seed {
        Some(seed) => chosen.iter().filter(|one| !show(one, seed, args.scenario.is_some())).count() == 0,
        None => all(&chosen, args.first..args.first + args.seeds),
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn all(chosen: &[&Scenario], seeds: std::ops::Range<u64>) -> bool {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let started = Instant::now();
    let (mut totals, mut failed) = (Totals::default(), 0);
    for one in chosen {
        let begun = Instant::now();
        match sweep(one, seeds.clone(), Fault::None, threads) {
            Ok(sum) => {
                println!("{:<24} {sum}, {:.1} s", one.name, begun.elapsed().as_secs_f32());
                totals += sum;
            }
            Err((seed, _)) => {
                failed += 1;
                show(one, seed, true);
            }
        }
    }
    let seconds = started.elapsed().as_secs();
    println!("{} scenarios, {failed} failed: {totals}, {seconds} s on {threads} threads", chosen.len());
    failed == 0
}

/// Runs one world; its timeline is printed if it failed or if it was asked for.
fn show(one: &Scenario, seed: u64, timeline: bool) -> bool {
    let report = replay(one, seed, Fault::None);
    if timeline || report.failure.is_some() {
        report.timeline.iter().for_each(|line| println!("{line}"));
    }
    match &report.failure {
        None => println!("{} seed {seed}: all invariants hold", one.name),
        Some(failure) => {
            println!("{} seed {seed}: FAILED at {} µs: {:?}", one.name, failure.at.as_micros(), failure.what);
            println!("again: cargo xtask sim --seed {seed} --scenario {}", one.name);
        }
    }
    report.failure.is_none()
}
