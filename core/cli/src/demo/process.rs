//! A device in a process of its own.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::error::Error;

/// A JVM on a busy machine starts slowly; a stream of 64 MiB takes its time.
const PATIENCE: Duration = Duration::from_secs(90);

pub(super) struct Process {
    pub(super) name: String,
    pub(super) device: String,
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(super) fn start(name: &str, mut command: Command) -> Result<Self, Error> {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(Error::io(name))?;
        let (input, output) = child.stdin.take().zip(child.stdout.take()).ok_or_else(|| no_pipes(name))?;
        let output = BufReader::new(output).lines();
        Ok(Self { name: name.into(), device: String::new(), child, input, output })
    }

    /// Gives a command and waits for its answer.
    pub(super) async fn ask(&mut self, command: Value) -> Result<Value, Error> {
        let failed = |why: String| Error::Failed(format!("{}: {command}: {why}", self.name));
        let line = format!("{command}\n");
        self.input.write_all(line.as_bytes()).await.map_err(|e| failed(e.to_string()))?;
        let answer = match tokio::time::timeout(PATIENCE, self.output.next_line()).await {
            Ok(Ok(Some(answer))) => answer,
            Ok(Ok(None)) => return Err(failed("the process ended".into())),
            Ok(Err(e)) => return Err(failed(e.to_string())),
            Err(_) => return Err(failed("no answer in time".into())),
        };
        let answer: Value = serde_json::from_str(&answer).map_err(|e| failed(format!("{e}: {answer}")))?;
        match answer.get("error") {
            Some(error) => Err(failed(error.to_string())),
            None => Ok(answer),
        }
    }

    /// Lets it end in good order.
    pub(super) async fn stop(mut self) -> Result<(), Error> {
        let told = self.input.write_all(b"{\"do\":\"stop\"}\n").await;
        drop(self.input);
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        match (told, ended) {
            (Ok(()), Ok(Ok(status))) if status.success() => Ok(()),
            (_, Ok(Ok(status))) => Err(Error::Failed(format!("{} ended with {status}", self.name))),
            _ => Err(Error::Failed(format!("{} does not end", self.name))),
        }
    }
}

fn no_pipes(name: &str) -> Error {
    Error::Failed(format!("{name}: no pipes"))
}
