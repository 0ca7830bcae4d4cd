//! The files, and bytes as text.

use std::path::Path;

use serde_json::Value;

/// A file of this folder, as it was when the library was built: a phone has no checkout.
macro_rules! stored {
    ($name:literal) => {
        include_str!(concat!("../", $name))
    };
}
pub(crate) use stored;

/// Writes a file anew when `PEERS_BLESS` asks for it.
pub(crate) fn bless(name: &str, text: impl FnOnce() -> String) {
    if std::env::var_os("PEERS_BLESS").is_some() {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(name), text() + "\n").unwrap();
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// The bytes of a field that is hexadecimal text.
pub(crate) fn bytes_of(value: &Value) -> Vec<u8> {
    unhex(value.as_str().expect("hexadecimal text"))
}
