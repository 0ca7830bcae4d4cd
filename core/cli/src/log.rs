//! The log on standard error.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::error::CommandError;

/// Logs what `RUST_LOG` asks for, or else `default`.
pub(crate) fn start(default: &str) -> Result<(), CommandError> {
    let wanted = std::env::var("RUST_LOG").ok().filter(|wanted| !wanted.is_empty());
    let wanted = wanted.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(wanted)
        .map_err(|e| CommandError::LogFilter { wanted: wanted.to_owned(), reason: e.to_string() })?;
    // https://no-color.org
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(!plain && stderr().is_terminal())
        // It would panic where standard error is closed.
        .log_internal_errors(false)
        .init();
    Ok(())
}
