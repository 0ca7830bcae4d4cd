//! A device in a process of its own.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::error::CommandError;

/// A JVM on a busy machine starts slowly; a stream of 64 MiB takes its time.
const PATIENCE: Duration = Duration::from_secs(90);
/// Nothing is left to do but to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(15);
/// From the end of its output to its end.
const END_PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Process {
    pub(super) name: String,
    pub(super) device: String,
    child: Child,
    /// None once it has the command to stop.
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(super) fn start(name: &str, mut command: Command) -> Result<Self, CommandError> {
        // A group of its own, so that whatever the command started ends with it.
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(CommandError::io(name))?;
        let (input, output) = child.stdin.take().zip(child.stdout.take()).ok_or_else(|| no_pipes(name))?;
        let output = BufReader::new(output).lines();
        Ok(Self { name: name.into(), device: String::new(), child, input: Some(input), output })
    }

    /// Gives a command and waits for its answer.
    pub(super) async fn ask(&mut self, command: Value) -> Result<Value, CommandError> {
        let answer = match timeout(PATIENCE, self.exchange(&command)).await {
            Ok(Ok(Some(answer))) => answer,
            Ok(Ok(None) | Err(_)) => {
                let why = self.ending().await;
                return Err(self.failed(&command, why));
            }
            Err(_) => return Err(self.failed(&command, format!("no answer in {} s", PATIENCE.as_secs()))),
        };
        let answer: Value =
            serde_json::from_str(&answer).map_err(|e| self.failed(&command, format!("{e}: {answer}")))?;
        match answer.get("error") {
            Some(error) => Err(self.failed(&command, error.to_string())),
            None => Ok(answer),
        }
    }

    async fn exchange(&mut self, command: &Value) -> std::io::Result<Option<String>> {
        if let Some(input) = &mut self.input {
            input.write_all(format!("{command}\n").as_bytes()).await?;
        }
        self.output.next_line().await
    }

    /// The exit status of a process that does not answer any more.
    async fn ending(&mut self) -> String {
        match timeout(END_PATIENCE, self.child.wait()).await {
            Ok(Ok(status)) => format!("the device ended with {status}"),
            _ => "the device closed its output".into(),
        }
    }

    fn failed(&self, command: &Value, why: String) -> CommandError {
        CommandError::Failed(format!("{}: {command}: {why}", self.name))
    }

    /// Lets it end in good order.
    pub(super) async fn stop(mut self) -> Result<(), CommandError> {
        let ended = timeout(STOP_PATIENCE, self.end()).await;
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(CommandError::Failed(format!("{}: stop: ended with {status}", self.name))),
            Ok(Err(e)) => Err(CommandError::Failed(format!("{}: stop: {e}", self.name))),
            Err(_) => Err(CommandError::Failed(format!(
                "{}: still there {} s after stop",
                self.name,
                STOP_PATIENCE.as_secs()
            ))),
        }
    }

    async fn end(&mut self) -> std::io::Result<ExitStatus> {
        if let Some(mut input) = self.input.take() {
            input.write_all(b"{\"do\":\"stop\"}\n").await?;
        }
        self.child.wait().await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Known until somebody saw it end, so this is still its own number.
        let Some(group) = self.child.id().and_then(|id| i32::try_from(id).ok()) else { return };
        // SAFETY: takes two numbers and touches no memory.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
}

fn no_pipes(name: &str) -> CommandError {
    CommandError::Failed(format!("{name}: no pipes"))
}
