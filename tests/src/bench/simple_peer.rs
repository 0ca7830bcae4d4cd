//! The stack the original used, in a Node process of its own: `tests/bench/simple_peer.mjs`.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Outcome;
use super::usage::Usage;

pub(super) struct SimplePeer {
    program: PathBuf,
}

#[derive(Deserialize)]
struct Bulk {
    wall_s: f64,
    cpu_s: f64,
    peak_kib: f64,
}

impl SimplePeer {
    pub(super) fn new(program: PathBuf) -> Self {
        Self { program }
    }

    pub(super) async fn bulk(&self, bytes: usize) -> Outcome<Usage> {
        let Bulk { wall_s, cpu_s, peak_kib } = self.run("bulk", bytes).await?;
        Ok(Usage {
            wall: Duration::try_from_secs_f64(wall_s)?,
            cpu: Duration::try_from_secs_f64(cpu_s)?,
            peak_mib: peak_kib / 1024.0,
        })
    }

    /// Milliseconds of each of `count` connections.
    pub(super) async fn setup(&self, count: u32) -> Outcome<Vec<f64>> {
        self.run("setup", count as usize).await
    }

    async fn run<T: DeserializeOwned>(&self, what: &str, amount: usize) -> Outcome<T> {
        let mut command = Command::new("node");
        command.arg(&self.program).args([what, &amount.to_string()]).stderr(Stdio::inherit());
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        if !output.status.success() {
            return Err(format!("simple-peer's {what} ended with {}", output.status).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
