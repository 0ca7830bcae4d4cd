//! What the command fails with.

/// Shown to a person, on one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
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
}

impl Error {
    pub(crate) fn io(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what: what.to_string(), source }
    }
}
