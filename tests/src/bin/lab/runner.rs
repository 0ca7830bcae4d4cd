//! Runs scenarios side by side and tells what happened.

use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{Outcome, scenarios};

/// A scenario that takes longer hangs; the longest sleeps for ten minutes.
const LIMIT: Duration = Duration::from_secs(15 * 60);

#[derive(Args)]
pub(crate) struct Choice {
    /// One JSON object a line goes here.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Each kind of scenario, but fewer and shorter ones.
    #[arg(long)]
    quick: bool,
    /// Scenarios that run at once. More disturb the times that are measured.
    #[arg(long, default_value_t = 3)]
    jobs: u32,
    /// The folder of logs.
    #[arg(long)]
    logs: PathBuf,
    /// Only scenarios with this in their names.
    name: Option<String>,
}

type Run = Box<dyn FnOnce(PathBuf) -> Pin<Box<dyn Future<Output = Outcome<Value>> + Send>> + Send>;

/// A scenario's needs of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    /// It mostly sleeps: it does not take the place of another.
    Idle,
    Usual,
    /// All of it: the others are over.
    Alone,
}

/// Something that has to work.
pub(crate) struct Scenario {
    pub(crate) name: String,
    load: Load,
    run: Run,
}

impl Scenario {
    pub(crate) fn new<F>(name: impl Into<String>, run: impl FnOnce(PathBuf) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Outcome<Value>> + Send + 'static,
    {
        Self { name: name.into(), load: Load::Usual, run: Box::new(move |folder| Box::pin(run(folder))) }
    }

    pub(crate) fn idle(mut self) -> Self {
        self.load = Load::Idle;
        self
    }

    pub(crate) fn alone(mut self) -> Self {
        self.load = Load::Alone;
        self
    }
}

struct Report {
    name: String,
    seconds: f64,
    outcome: Outcome<Value>,
}

pub(crate) async fn run(choice: Choice) -> ExitCode {
    let mut all = scenarios::all(choice.quick);
    all.retain(|scenario| choice.name.as_ref().is_none_or(|part| scenario.name.contains(part.as_str())));
    // The scenario that sleeps longest begins first.
    all.sort_by_key(|scenario| scenario.load != Load::Idle);
    tokio::select! {
        outcome = run_all(all, &choice) => match outcome {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(e) => {
                eprintln!("lab: {e}");
                ExitCode::FAILURE
            }
        },
        _ = tokio::signal::ctrl_c() => ExitCode::FAILURE,
    }
}

async fn run_all(all: Vec<Scenario>, choice: &Choice) -> Outcome<bool> {
    let mut file = choice.json.as_ref().map(File::create).transpose()?;
    let places = Arc::new(Semaphore::new(choice.jobs.max(1) as usize));
    let mut running = JoinSet::new();
    let (last, all): (Vec<_>, Vec<_>) = all.into_iter().partition(|scenario| scenario.load == Load::Alone);
    for scenario in all {
        running.spawn(run_one(scenario, places.clone(), choice.logs.clone()));
    }
    let (mut passed, mut failed, mut usable) = (0, 0, Vec::new());
    let mut tell = |report: &Report| -> Outcome<()> {
        let ok = report.outcome.is_ok();
        if ok {
            passed += 1
        } else {
            failed += 1
        }
        let (word, what) = match &report.outcome {
            Ok(value) => ("ok    ", value.clone()),
            Err(e) => ("FAILED", Value::String(e.to_string())),
        };
        println!("{word}  {:<52} {:6.1} s  {what}", report.name, report.seconds);
        if let Some(file) = &mut file {
            let line =
                json!({ "scenario": report.name, "passed": ok, "seconds": report.seconds, "result": what });
            writeln!(file, "{line}")?;
        }
        Ok(())
    };
    while let Some(report) = running.join_next().await {
        let report = report?;
        tell(&report)?;
        if let Ok(value) = &report.outcome {
            usable.extend(
                value["usable_ms"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_u64)
                    .map(|ms| (ms, report.name.contains("UDP blocked"))),
            );
        }
    }
    for report in first_paths(&usable) {
        tell(&report)?;
    }
    for scenario in last {
        tell(&run_one(scenario, places.clone(), choice.logs.clone()).await)?;
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}

/// The matrix as a whole: when its devices had their first usable path.
fn first_paths(usable: &[(u64, bool)]) -> Vec<Report> {
    let judge = |name: &str, blocked: bool, limit: u64| {
        let mut times: Vec<u64> = usable.iter().filter(|(_, b)| *b == blocked).map(|(ms, _)| *ms).collect();
        let times = Percentiles::of(&mut times)?;
        Some(Report { name: name.to_owned(), seconds: 0.0, outcome: times.within(None, limit) })
    };
    [
        judge("first usable path, 50 ms RTT", false, 1000),
        judge("first usable path, UDP blocked, 50 ms RTT", true, 3000),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn run_one(scenario: Scenario, places: Arc<Semaphore>, logs: PathBuf) -> Report {
    let Scenario { name, load, run } = scenario;
    let place = if load == Load::Idle { None } else { places.acquire().await.ok() };
    let began = Instant::now();
    // Scenarios that run side by side and differ in a sign have a folder each.
    let folder = logs.join(name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '+', "-"));
    let _ = std::fs::remove_dir_all(&folder);
    let outcome = match tokio::time::timeout(LIMIT, run(folder.clone())).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("did not end within {LIMIT:?}").into()),
    };
    drop(place);
    if outcome.is_ok() {
        let _ = std::fs::remove_dir_all(&folder);
    }
    let outcome = outcome.map_err(|e| format!("{e} (logs: {})", folder.display()).into());
    Report { name, seconds: began.elapsed().as_secs_f64(), outcome }
}

/// Of measured milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Percentiles {
    count: usize,
    p50: u64,
    p95: u64,
    max: u64,
}

impl Percentiles {
    /// By nearest rank; `None` of nothing.
    pub(crate) fn of(times: &mut [u64]) -> Option<Self> {
        times.sort_unstable();
        let rank =
            |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Self { count: times.len(), p50: rank(50)?, p95: rank(95)?, max: rank(100)? })
    }

    pub(crate) fn median(&self) -> u64 {
        self.p50
    }

    /// As a result, if they are below the limits.
    pub(crate) fn within(&self, p50: Option<u64>, p95: u64) -> Outcome<Value> {
        let value = json!({ "n": self.count, "p50_ms": self.p50, "p95_ms": self.p95, "max_ms": self.max });
        if self.p95 >= p95 || p50.is_some_and(|limit| self.p50 >= limit) {
            return Err(format!("too slow: {value}, wanted p95 < {p95}, p50 < {p50:?}").into());
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values_by_nearest_rank() {
        let mut times: Vec<u64> = (1..=30).rev().collect();
        let expected = Percentiles { count: 30, p50: 15, p95: 29, max: 30 };
        assert_eq!(Percentiles::of(&mut times), Some(expected));
        assert_eq!(Percentiles::of(&mut []), None);
    }

    #[test]
    fn what_reaches_its_limit_is_too_slow() {
        let Some(times) = Percentiles::of(&mut [10, 20]) else { unreachable!() };
        assert!(times.within(Some(11), 21).is_ok());
        assert!(times.within(Some(10), 21).is_err());
        assert!(times.within(None, 20).is_err());
    }
}
