//! The files, which are part of the binary: a phone has no checkout.

use std::path::Path;

use serde_json::Value;

/// The content of a file of `tests/vectors`.
pub(super) fn stored(name: &str) -> &'static str {
    match name {
        "certificate.json" => include_str!("../../../../tests/vectors/certificate.json"),
        "codec.json" => include_str!("../../../../tests/vectors/codec.json"),
        "codec-rust.json" => include_str!("../../../../tests/vectors/codec-rust.json"),
        "envelope.json" => include_str!("../../../../tests/vectors/envelope.json"),
        "handshake.json" => include_str!("../../../../tests/vectors/handshake.json"),
        "ids.json" => include_str!("../../../../tests/vectors/ids.json"),
        _ => panic!("no vectors are called {name}"),
    }
}

/// Writes a file anew when `PEERS_BLESS` asks for it. The next build has it.
pub(super) fn bless(name: &str, text: impl FnOnce() -> String) -> bool {
    let asked = std::env::var_os("PEERS_BLESS").is_some();
    if asked {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors").join(name);
        std::fs::write(path, text() + "\n").unwrap();
    }
    asked
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
