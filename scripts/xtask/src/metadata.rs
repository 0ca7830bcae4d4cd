//! The part of `cargo metadata` that the tasks need.

use serde::Deserialize;

use crate::error::Error;
use crate::{process, workspace};

/// The packages of the workspace, without their dependencies' own packages.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: std::path::PathBuf,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` for an ordinary dependency, else `"dev"` or `"build"`.
    pub(crate) kind: Option<String>,
}

impl Metadata {
    /// Asks cargo.
    pub(crate) fn load() -> Result<Self, Error> {
        let json = process::read(workspace::cargo().args(["metadata", "--format-version=1", "--no-deps"]))?;
        Ok(serde_json::from_slice(&json)?)
    }
}
