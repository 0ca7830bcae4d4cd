//! Errors of tasks.

use std::path::PathBuf;
use std::process::ExitStatus;

/// The reason for which a task failed; its text is all that the user sees.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{}: not Rust: {reason}", path.display())]
    NotRust { path: PathBuf, reason: String },
    #[error("cannot run {program}: {source}")]
    Spawn { program: String, source: std::io::Error },
    #[error("{program}: {status}")]
    Failed { program: String, status: ExitStatus },
    #[error("cargo metadata: {0}")]
    Metadata(#[from] serde_json::Error),
    #[error("{}:{line}: {reason}", path.display())]
    Requirements { path: PathBuf, line: usize, reason: String },
    #[error("{0}")]
    Check(String),
}

impl Error {
    /// For `map_err` on anything that touched `path`.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
