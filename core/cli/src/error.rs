//! Failures of the command: a code for programs, words for people, a status for shells.

use std::path::PathBuf;

use peers::DeviceId;

use crate::receive::Reason;
use crate::signals::Signal;
use crate::status;

/// A failure; [`CommandError::code`] is its stable name.
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
    /// The device is not there, or does not trust this one.
    #[error("{device}: {error}. There, `--trust {own}` lets this device in")]
    NotReached { device: DeviceId, error: peers::Error, own: DeviceId },
    #[error("{name:?} has {} bytes: {}", .name.len(), peers::Error::NameTooLong)]
    NameTooLong { name: String },
    #[error("{device} does not take {name:?}: {reason}")]
    NotTaken { device: DeviceId, name: String, reason: Reason },
    #[error("{device} takes no pipe: {reason}")]
    NoPipe { device: DeviceId, reason: &'static str },
    #[error("{0}")]
    Damaged(&'static str),
    #[error(
        "another process has registered with the identity {}: each that runs needs its own, see --identity",
        .0.display()
    )]
    Superseded(PathBuf),
    #[error("RUST_LOG={wanted}: {reason}")]
    LogFilter { wanted: String, reason: String },
    /// A step of `peers demo` or `peers bench`.
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

    /// A stable name for programs: that of the library's error where there is one.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Peers(error) | Self::NotReached { error, .. } => error.code(),
            Self::Relay(_) => "relay",
            Self::RelayConfig(_) | Self::LogFilter { .. } => "config",
            Self::Io { .. } => "io",
            Self::NameTooLong { .. } => peers::Error::NameTooLong.code(),
            Self::NotTaken { .. } | Self::NoPipe { .. } => "not-taken",
            Self::Damaged(_) => "damaged",
            Self::Superseded(_) => "superseded",
            Self::Failed(_) => "failed",
            Self::Stopped(_) => "stopped",
            Self::OutputClosed => "output-closed",
        }
    }

    /// The status of the process that ends with it.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Stopped(signal) => signal.exit_code(),
            error => status::of(error.code()),
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
