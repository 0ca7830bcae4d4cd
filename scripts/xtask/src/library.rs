//! The part of a native library's check that no platform changes.

use std::path::PathBuf;

use crate::workspace;

/// Beginnings of the names that a library may export: what UniFFI makes, and the plain C functions of the fast lane.
const EXPORTS: [&str; 4] = ["ffi_peers_ffi_", "uniffi_peers_ffi_", "UNIFFI_META_", "peers_lane_"];

pub(crate) fn may_export(name: &str) -> bool {
    EXPORTS.iter().any(|beginning| name.starts_with(beginning))
}

/// Folders that exist on this machine alone.
pub(crate) fn machine_paths() -> Vec<String> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cargo = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    [workspace::root(), workspace::tools_dir(), cargo].map(|path| path.to_string_lossy().into_owned()).into()
}

pub(crate) fn found_paths(bytes: &[u8], paths: &[String]) -> Vec<String> {
    let holds = |path: &&String| bytes.windows(path.len()).any(|window| window == path.as_bytes());
    paths.iter().filter(holds).map(|path| format!("holds {path}, a path of this machine")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_machine_is_found() {
        let paths = ["/home/one".to_owned(), "/home/two".to_owned()];
        let remarks = found_paths(b"\0panicked at /home/two/lib.rs\0", &paths);
        assert_eq!(remarks, ["holds /home/two, a path of this machine"]);
    }
}
