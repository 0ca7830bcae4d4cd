//! The files, and bytes as text.

use std::borrow::Cow;
use std::path::Path;

use serde_json::Value;

/// A file of this folder.
pub(crate) struct Stored {
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
}

/// The file as it was when the library was built: a phone has no checkout.
macro_rules! stored {
    ($name:literal) => {
        $crate::files::Stored { name: $name, text: include_str!(concat!("../", $name)) }
    };
}
pub(crate) use stored;

impl Stored {
    /// The file's text; where `PEERS_BLESS` asks for it, `made` after it was written to the file.
    pub(crate) fn blessed(&self, made: impl FnOnce() -> String) -> Cow<'static, str> {
        if std::env::var_os("PEERS_BLESS").is_none() {
            return self.text.into();
        }
        let text = made() + "\n";
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(self.name), &text).unwrap();
        text.into()
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
