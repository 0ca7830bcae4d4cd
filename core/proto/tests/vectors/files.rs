//! The files of `tests/vectors`.

use std::path::{Path, PathBuf};

use serde_json::Value;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors").join(name)
}

pub(super) fn stored(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

/// Writes a file anew when `PEERS_BLESS` asks for it.
pub(super) fn bless(name: &str, text: impl FnOnce() -> String) {
    if std::env::var_os("PEERS_BLESS").is_some() {
        std::fs::write(path(name), text() + "\n").unwrap();
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// The bytes of a field that is hexadecimal text.
pub(super) fn bytes_of(value: &Value) -> Vec<u8> {
    unhex(value.as_str().expect("hexadecimal text"))
}
