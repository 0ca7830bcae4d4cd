//! A process of a test and the lines it says.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::bench::Outcome;

/// Ends when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts it. Its standard error is appended to `log`.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(mut command: Command, log: &Path) -> Outcome<Self> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true).spawn()?;
        let input = child.stdin.take().ok_or("no input")?;
        let output = child.stdout.take().ok_or("no output")?;
        Ok(Self { child, input, lines: BufReader::new(output).lines() })
    }

    /// The next line it says.
    ///
    /// # Errors
    /// None comes in time, or the process has ended.
    pub async fn line(&mut self, within: Duration) -> Outcome<String> {
        let line = tokio::time::timeout(within, self.lines.next_line()).await;
        let line = line.map_err(|_| format!("a process said nothing within {within:?}"))??;
        Ok(line.ok_or("a process ended")?)
    }

    /// Writes a line to it.
    ///
    /// # Errors
    /// It does not read any more.
    pub async fn tell(&mut self, line: &str) -> Outcome<()> {
        self.input.write_all(line.as_bytes()).await?;
        Ok(self.input.write_all(b"\n").await?)
    }

    /// Its number.
    ///
    /// # Errors
    /// It has ended.
    pub fn id(&self) -> Outcome<u32> {
        Ok(self.child.id().ok_or("a process ended")?)
    }

    /// The end of the process, if it has ended.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self) -> Outcome<Option<std::process::ExitStatus>> {
        Ok(self.child.try_wait()?)
    }
}
