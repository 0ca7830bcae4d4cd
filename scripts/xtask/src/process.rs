//! Running other programs.

use std::process::{Command, Stdio};

use crate::error::Error;

/// Runs `command` with its output on the user's screen.
pub(crate) fn run(command: &mut Command) -> Result<(), Error> {
    let program = name(command);
    let status = command.status().map_err(|source| Error::Spawn { program: program.clone(), source })?;
    if status.success() { Ok(()) } else { Err(Error::Failed { program, status }) }
}

/// Runs `command` and returns what it wrote to standard output.
pub(crate) fn read(command: &mut Command) -> Result<Vec<u8>, Error> {
    let program = name(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Error::Spawn { program: program.clone(), source })?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(Error::Failed { program, status: output.status })
    }
}

/// True if `command` succeeds; its output goes nowhere.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool, Error> {
    let program = name(command);
    let silent = command.stdout(Stdio::null()).stderr(Stdio::null());
    let status = silent.status().map_err(|source| Error::Spawn { program, source })?;
    Ok(status.success())
}

fn name(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
