//! Failures of the command, and its status then.

use crate::signals::Signal;

/// Shown to a person.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Peers(#[from] peers::Error),
    #[error("relay: {0}")]
    Relay(#[from] peers_relay::StartError),
    #[error(transparent)]
    RelayConfig(#[from] peers_relay::ConfigError),
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
    #[error("{0}")]
    Failed(String),
    /// A person or an init system wants it so.
    #[error("stopped by a signal")]
    Stopped(Signal),
    /// Nothing reads the result, as in `peers … | head -1`.
    #[error("standard output is closed")]
    OutputClosed,
}

impl CommandError {
    pub(crate) fn io(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what: what.to_string(), source }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Stopped(signal) => signal.exit_code(),
            // As of a tool that SIGPIPE ends.
            Self::OutputClosed => 128 + 13,
            _ => 1,
        }
    }

    /// The lines to show. None for an end that the person at the terminal has chosen.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Stopped(_) | Self::OutputClosed => Vec::new(),
            // The parser of the file points at the place, on lines of their own.
            Self::RelayConfig(error) => error.to_string().lines().map(Into::into).collect(),
            error => vec![error.to_string()],
        }
    }
}
