//! A device in a process of its own.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::super::Outcome;

/// A device that has not answered by then never will.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) struct Process {
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// The Rust device, which is this program.
    pub(super) fn own() -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("device");
        Self::start(command)
    }

    pub(super) fn of_shell(line: &str) -> Outcome<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec {line}")]);
        Self::start(command)
    }

    fn start(mut command: Command) -> Outcome<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let commands = child.stdin.take().ok_or("no standard input")?;
        let answers = child.stdout.take().ok_or("no standard output")?;
        Ok(Self { child, commands, answers: BufReader::new(answers).lines() })
    }

    pub(super) async fn tell(&mut self, command: &Value) -> Outcome<()> {
        self.commands.write_all(format!("{command}\n").as_bytes()).await?;
        Ok(self.commands.flush().await?)
    }

    /// The next answer, which has `key`.
    pub(super) async fn answer(&mut self, key: &str) -> Outcome<Value> {
        let line = tokio::time::timeout(PATIENCE, self.answers.next_line()).await??;
        let line = line.ok_or("the device ended")?;
        let answer: Value = serde_json::from_str(&line)?;
        if answer.get(key).is_none() {
            return Err(format!("{line} instead of {key}").into());
        }
        Ok(answer)
    }

    /// Ends the device and waits for it.
    pub(super) async fn end(self) -> Outcome<()> {
        let Self { mut child, commands, .. } = self;
        drop(commands);
        let status = tokio::time::timeout(PATIENCE, child.wait()).await??;
        if status.success() { Ok(()) } else { Err(format!("a device ended with {status}").into()) }
    }
}
