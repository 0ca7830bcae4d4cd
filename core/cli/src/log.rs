//! The log on standard error.

use std::io::{IsTerminal, stderr};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::error::CommandError;

/// Lines that wait for a reader of standard error. More are lost: a relay serves on where nothing reads its log.
const WAITING_LINES: usize = 1000;

/// Logs what `RUST_LOG` asks for, or else `default`. What waits is written when the guard is dropped.
pub(crate) fn start(default: &str) -> Result<WorkerGuard, CommandError> {
    let wanted = std::env::var("RUST_LOG").ok().filter(|wanted| !wanted.is_empty());
    let wanted = wanted.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(wanted)
        .map_err(|e| CommandError::LogFilter { wanted: wanted.to_owned(), reason: e.to_string() })?;
    // https://no-color.org
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let (writer, guard) =
        NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES).lossy(true).finish(stderr());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(!plain && stderr().is_terminal())
        // It would panic where standard error is closed.
        .log_internal_errors(false)
        .init();
    Ok(guard)
}
