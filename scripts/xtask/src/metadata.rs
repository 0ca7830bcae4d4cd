//! The part of `cargo metadata` that the tasks need.

use serde::Deserialize;

use crate::error::Error;
use crate::{process, workspace};

/// Packages, and where cargo builds.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: std::path::PathBuf,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// An SPDX expression.
    pub(crate) license: Option<String>,
    /// `None` for a package of the workspace.
    pub(crate) source: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` for an ordinary dependency, else `"dev"` or `"build"`.
    pub(crate) kind: Option<String>,
    /// The versions that will do.
    pub(crate) req: String,
    pub(crate) path: Option<String>,
}

impl Metadata {
    /// The packages of the workspace, without their dependencies' own packages.
    pub(crate) fn load() -> Result<Self, Error> {
        Self::ask("--no-deps")
    }

    /// Every package of the lock file.
    pub(crate) fn load_all() -> Result<Self, Error> {
        Self::ask("--all-features")
    }

    fn ask(option: &str) -> Result<Self, Error> {
        let arguments = ["metadata", "--locked", "--format-version=1", option];
        Ok(serde_json::from_slice(&process::read(workspace::cargo().args(arguments))?)?)
    }
}
