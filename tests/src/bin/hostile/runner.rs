//! Runs behaviours one after the other and tells what came of each.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use peers_tests::bench::Outcome;
use tokio::runtime::{Builder, Handle};

use crate::behaviours::{self, Behaviour};
use crate::measure::{self, MachineTime};
use crate::world::{Verdict, judge, megabytes, millis};

/// A fault of ours makes every try late; a machine that others use too makes one late, and the next one if it begins at once.
const TRIES: usize = 3;
const BETWEEN_TRIES: Duration = Duration::from_secs(3);

#[derive(Args)]
pub(crate) struct Choice {
    /// Only behaviours with this in their names.
    #[arg(long)]
    only: Option<String>,
    /// Names them instead of running them.
    #[arg(long)]
    list: bool,
    /// The folder of the processes' logs.
    #[arg(long, default_value = "build/logs/hostile")]
    logs: PathBuf,
}

pub(crate) fn run(choice: &Choice) -> ExitCode {
    let mut all = behaviours::all();
    all.retain(|behaviour| choice.only.as_ref().is_none_or(|part| behaviour.name().contains(part.as_str())));
    if choice.list {
        all.iter().for_each(|behaviour| println!("{}", behaviour.name()));
        return ExitCode::SUCCESS;
    }
    match run_all(&all, choice) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("hostile: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run_all(all: &[Behaviour], choice: &Choice) -> Outcome<bool> {
    std::fs::create_dir_all(&choice.logs)?;
    measure::raise_descriptors()?;
    let world = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let attacker = Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(measure::give_way)
        .enable_all()
        .build()?;
    let failed = world.block_on(async {
        tokio::select! {
            failed = judge_all(all, choice, attacker.handle()) => Ok(failed),
            _ = tokio::signal::ctrl_c() => Err("interrupted"),
        }
    })?;
    attacker.shutdown_background();
    Ok(failed == 0)
}

async fn judge_all(all: &[Behaviour], choice: &Choice, attacker: &Handle) -> usize {
    let (mut failed, mut worst_growth, mut worst_p99) = (0, 0, Duration::ZERO);
    for behaviour in all {
        let name = behaviour.name();
        let log = choice.logs.join(format!("{}.log", name.replace(['/', ' '], "-")));
        // A log of another run says nothing about this one.
        let _ = std::fs::remove_file(&log);
        let began = Instant::now();
        let mut left = TRIES;
        let verdict = loop {
            let machine = MachineTime::now();
            let verdict = judge(behaviour, &log, attacker).await;
            left -= 1;
            if left == 0 || !verdict.is_only_late() {
                break verdict;
            }
            let stolen = 100.0 * machine.stolen_since();
            println!("again  {name}: {}; {stolen:.0} % of processor time stolen", verdict.late.join("; "));
            tokio::time::sleep(BETWEEN_TRIES).await;
        };
        failed += usize::from(!verdict.holds());
        worst_growth = worst_growth.max(verdict.growth);
        worst_p99 = worst_p99.max(verdict.p99);
        println!("{}", line(&name, &verdict, began.elapsed()));
    }
    println!(
        "hostile: {} held, {failed} failed, worst growth {:.1} MB, worst p99 {:.1} ms",
        all.len() - failed,
        megabytes(worst_growth),
        millis(worst_p99)
    );
    failed
}

fn line(name: &str, verdict: &Verdict, took: Duration) -> String {
    let word = if verdict.holds() { "held  " } else { "FAILED" };
    let faults: Vec<_> = verdict.faults.iter().chain(&verdict.late).map(String::as_str).collect();
    format!(
        "{word} {name:<56} +{:6.1} MB  p99 {:7.1} ms  dial {:5.0} ms  {:4.1} s  {}",
        megabytes(verdict.growth),
        millis(verdict.p99),
        millis(verdict.slowest_dial),
        took.as_secs_f64(),
        faults.join("; ")
    )
}
