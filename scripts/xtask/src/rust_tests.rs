//! `cargo xtask rust-tests`: the tests of the workspace, several executables at a time, since most of their time is waiting.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;

use crate::error::Error;
use crate::{process, workspace};

/// Executables at a time: on two cores more of them fail tests that measure time.
const TOGETHER: usize = 4;

/// A message of cargo's, as far as it is about an executable.
#[derive(Debug, Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
    profile: Option<Profile>,
}

#[derive(Debug, Deserialize)]
struct Profile {
    test: bool,
}

/// An executable with tests, and the folder of its package.
#[derive(Debug, PartialEq, Eq)]
struct Tests {
    executable: PathBuf,
    folder: PathBuf,
}

/// Builds and runs all tests, those in docs last. The output of an executable appears when it has ended.
pub(crate) fn run() -> Result<(), Error> {
    let mut build = workspace::cargo();
    build.args(["test", "--locked", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]);
    let tests = parse(&process::read(&mut build)?)?;
    let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..TOGETHER {
            scope.spawn(|| {
                while let Some(tests) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match execute(tests) {
                        Ok(status) if status.success() => {}
                        Ok(status) => keep(&failure, failed(&tests.executable, status)),
                        Err(error) => keep(&failure, error),
                    }
                }
            });
        }
    });
    let docs =
        process::run(workspace::cargo().args(["test", "--locked", "--workspace", "--doc", "--no-fail-fast"]));
    failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).map_or(docs, Err)
}

/// The executables with tests among cargo's messages, one a line.
fn parse(messages: &[u8]) -> Result<Vec<Tests>, Error> {
    let mut tests = Vec::new();
    for line in messages.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let message: Message = serde_json::from_slice(line)?;
        if let Message { executable: Some(executable), manifest_path: Some(manifest), profile: Some(profile) } =
            message
            && profile.test
        {
            let folder = manifest.parent().unwrap_or(Path::new(".")).to_owned();
            tests.push(Tests { executable, folder });
        }
    }
    Ok(tests)
}

fn execute(tests: &Tests) -> Result<ExitStatus, Error> {
    let spawn = |source| Error::Spawn { program: tests.executable.display().to_string(), source };
    let output = Command::new(&tests.executable).current_dir(&tests.folder).output().map_err(spawn)?;
    let mut screen = io::stdout().lock();
    let written = writeln!(screen, "     Running {}", tests.executable.display())
        .and_then(|()| screen.write_all(&output.stdout))
        .and_then(|()| screen.write_all(&output.stderr));
    written.map_err(Error::file("standard output"))?;
    Ok(output.status)
}

fn failed(executable: &Path, status: ExitStatus) -> Error {
    Error::Failed { program: executable.display().to_string(), status }
}

/// The first failure is the one that is told.
fn keep(failure: &Mutex<Option<Error>>, error: Error) {
    failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_with_tests_are_found_among_the_messages() {
        let messages = br#"{"reason":"compiler-artifact","manifest_path":"/w/a/Cargo.toml","profile":{"test":true},"executable":"/t/a"}
{"reason":"compiler-artifact","manifest_path":"/w/a/Cargo.toml","profile":{"test":false},"executable":"/t/command"}
{"reason":"compiler-artifact","manifest_path":"/w/b/Cargo.toml","profile":{"test":true},"executable":null}
{"reason":"build-finished","success":true}
"#;
        let expected = Tests { executable: "/t/a".into(), folder: "/w/a".into() };
        assert_eq!(parse(messages).unwrap(), [expected]);
    }
}
