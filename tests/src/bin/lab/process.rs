//! A process in a world, and the lines it says.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use peers::DeviceId;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::Outcome;
use crate::agent::Command as Order;
use crate::nat::Carrier;

/// Ends when it is dropped.
pub(crate) struct Process {
    _child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(crate) fn start(mut command: Command, log: &Path) -> Outcome<Self> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true).spawn()?;
        let input = child.stdin.take().ok_or("no input")?;
        let output = child.stdout.take().ok_or("no output")?;
        Ok(Self { _child: child, input, lines: BufReader::new(output).lines() })
    }

    pub(crate) async fn line(&mut self, within: Duration) -> Outcome<String> {
        let line = tokio::time::timeout(within, self.lines.next_line()).await;
        let line = line.map_err(|_| format!("a process said nothing within {within:?}"))??;
        Ok(line.ok_or("a process ended")?)
    }

    pub(crate) async fn tell(&mut self, line: &str) -> Outcome<()> {
        self.input.write_all(line.as_bytes()).await?;
        Ok(self.input.write_all(b"\n").await?)
    }
}

/// A device that obeys.
pub(crate) struct Peer {
    pub(crate) id: DeviceId,
    process: Process,
}

impl Peer {
    pub(crate) async fn new(mut process: Process) -> Outcome<Self> {
        let said = process.line(Duration::from_secs(20)).await?;
        Ok(Self { id: said.parse().map_err(|_| said)?, process })
    }

    pub(crate) async fn order(&mut self, order: &Order, within: Duration) -> Outcome<Value> {
        self.process.tell(&serde_json::to_string(order)?).await?;
        let said = self.process.line(within).await.map_err(|e| format!("{order:?}: {e}"))?;
        let answer: Value = serde_json::from_str(&said)?;
        match answer.get("error") {
            Some(error) => Err(format!("{order:?}: {error}").into()),
            None => Ok(answer),
        }
    }

    /// A number of the answer.
    pub(crate) async fn ask(&mut self, order: &Order, field: &str, within: Duration) -> Outcome<u64> {
        let answer = self.order(order, within).await?;
        Ok(answer[field].as_u64().ok_or_else(|| format!("{order:?}: {answer}"))?)
    }

    /// A text of the answer.
    pub(crate) async fn text(&mut self, order: &Order, field: &str, within: Duration) -> Outcome<String> {
        let answer = self.order(order, within).await?;
        Ok(answer[field].as_str().ok_or_else(|| format!("{order:?}: {answer}"))?.to_owned())
    }

    /// A session that is used once; how long it took in milliseconds.
    pub(crate) async fn dial(&mut self, to: DeviceId) -> Outcome<u64> {
        self.ask(&Order::Dial { to }, "usable_ms", Duration::from_secs(40)).await
    }

    pub(crate) async fn settle(&mut self, with: DeviceId, over: Carrier, within: Duration) -> Outcome<u64> {
        let within_ms = u64::try_from(within.as_millis())?;
        self.ask(&Order::Settle { with, over, within_ms }, "path_ms", within + Duration::from_secs(5)).await
    }
}
