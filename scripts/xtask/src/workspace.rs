//! Places in the checkout.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;

/// Folders that hold no sources of ours.
const NOT_OURS: [&str; 6] = [".git", "target", "build", "node_modules", ".build", "corpus"];

/// The top of the checkout.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_owned()
}

/// The folder for everything built outside cargo's target folder; `PEERS_BUILD_DIR` moves it.
pub(crate) fn build_dir() -> PathBuf {
    std::env::var_os("PEERS_BUILD_DIR").map_or_else(|| root().join("build"), PathBuf::from)
}

/// The folder of downloaded toolchains, which several checkouts may share by `PEERS_TOOLS_DIR`.
pub(crate) fn tools_dir() -> PathBuf {
    std::env::var_os("PEERS_TOOLS_DIR").map_or_else(|| build_dir().join("tools"), PathBuf::from)
}

/// Cargo as the user runs it, in the top of the checkout.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(root());
    command
}

/// All files below `folder` that `wanted` accepts, sorted, skipping folders that are not sources.
pub(crate) fn files(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(Error::file(&folder))? {
            let entry = entry.map_err(Error::file(&folder))?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(Error::file(&folder))?);
            let ours = !NOT_OURS.iter().any(|name| entry.file_name() == *name);
            if kind.is_dir() && ours {
                folders.push(path);
            } else if kind.is_file() && wanted(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
