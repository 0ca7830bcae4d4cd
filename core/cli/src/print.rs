//! The command's lines, without control characters wherever their text comes from.

use std::fmt::{Display, Write as _};
use std::io::{self, ErrorKind, Write as _};

use crate::error::CommandError;

/// Writes a line of the result to standard output.
///
/// # Errors
/// [`CommandError::OutputClosed`] if nothing reads it any more.
pub(crate) fn result(line: impl Display) -> Result<(), CommandError> {
    let mut output = io::stdout().lock();
    let written = writeln!(output, "{}", escaped(&line.to_string())).and_then(|()| output.flush());
    written.map_err(|e| match e.kind() {
        ErrorKind::BrokenPipe => CommandError::OutputClosed,
        _ => CommandError::io("standard output")(e),
    })
}

/// Writes a line beside the result to standard error. One that nothing reads is no reason to end.
pub(crate) fn note(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{}", escaped(&line.to_string()));
}

/// A peer, a relay and the name of a file could else move the cursor, forge a line or turn the order of characters around.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_direction(c) {
            // Writing to a string cannot fail.
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Line separators and marks that change the direction of writing (Unicode standard annex 9, section 2).
fn is_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_escaped_and_all_else_stays() {
        assert_eq!(escaped("a\u{1b}[2Jb\r\nc\u{7f}\u{9b}"), r"a\u{1b}[2Jb\r\nc\u{7f}\u{9b}");
        assert_eq!(escaped("exe.\u{202e}gpj"), r"exe.\u{202e}gpj");
        let plain = r#"Zoë's "片\" 👩‍🚀 µs"#;
        assert_eq!(escaped(plain), plain);
    }
}
