//! The command's lines, without control characters wherever their text comes from.

use std::fmt::{Display, Write as _};
use std::io::{self, ErrorKind, Write as _};

use clap::Args;

use crate::error::CommandError;
use crate::event::CommandEvent;

/// The option of commands that programs read.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct OutputArgs {
    /// Prints each event as a JSON object on a line of standard output, errors included: see core/docs/command.md. Standard
    /// error has the log alone.
    #[arg(long)]
    json: bool,
}

impl OutputArgs {
    pub(crate) fn printer(self) -> Printer {
        if self.json { Printer::Json } else { Printer::Text }
    }
}

/// The form of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Printer {
    /// Lines for people: results on standard output, all else on standard error.
    Text,
    /// JSON objects on standard output.
    Json,
    /// Lines for people on standard error: standard output has other data.
    Beside,
}

impl Printer {
    /// Prints an event.
    ///
    /// # Errors
    /// [`CommandError::OutputClosed`] if nothing reads standard output any more.
    pub(crate) fn print(self, event: &CommandEvent) -> Result<(), CommandError> {
        match self {
            Self::Json => {
                let object = serde_json::to_string(event).map_err(|e| CommandError::Failed(e.to_string()))?;
                write_line(&escaped(&object, json_escape))
            }
            Self::Text if event.is_result() => result(event),
            Self::Text | Self::Beside => {
                note(event);
                Ok(())
            }
        }
    }

    /// Prints what happens beside the result. An output that nothing reads is no reason to end here.
    pub(crate) fn note(self, event: &CommandEvent) {
        let _ = self.print(event);
    }

    /// Prints the failure that ends the command.
    pub(crate) fn failure(self, error: &CommandError) {
        let lines = error.lines();
        if self == Self::Json && !lines.is_empty() {
            return self.note(&CommandEvent::Error { code: error.code(), message: lines.join("\n") });
        }
        let mut name = "peers: ";
        for line in lines {
            note(format!("{name}{line}"));
            name = "";
        }
    }
}

/// Writes a line of the result to standard output.
///
/// # Errors
/// [`CommandError::OutputClosed`] if nothing reads it any more.
pub(crate) fn result(line: impl Display) -> Result<(), CommandError> {
    write_line(&escaped(&line.to_string(), rust_escape))
}

fn write_line(line: &str) -> Result<(), CommandError> {
    let mut output = io::stdout().lock();
    let written = writeln!(output, "{line}").and_then(|()| output.flush());
    written.map_err(output_error)
}

/// Writes a whole text of the command's own to standard output.
///
/// # Errors
/// As [`result`].
pub(crate) fn bytes(text: &[u8]) -> Result<(), CommandError> {
    let mut output = io::stdout().lock();
    output.write_all(text).and_then(|()| output.flush()).map_err(output_error)
}

/// The failure of a write to standard output.
pub(crate) fn output_error(error: io::Error) -> CommandError {
    match error.kind() {
        ErrorKind::BrokenPipe => CommandError::OutputClosed,
        _ => CommandError::io("standard output")(error),
    }
}

/// Writes a line beside the result to standard error. One that nothing reads is no reason to end.
fn note(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{}", escaped(&line.to_string(), rust_escape));
}

/// A peer, a relay and the name of a file could else move the cursor, forge a line or turn the order of characters around.
fn escaped(text: &str, escape: fn(char, &mut String)) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_direction(c) {
            escape(c, &mut out);
        } else {
            out.push(c);
        }
    }
    out
}

fn rust_escape(c: char, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{}", c.escape_default());
}

/// Inside a JSON string. All these characters have four digits.
fn json_escape(c: char, out: &mut String) {
    let _ = write!(out, "\\u{:04x}", u32::from(c));
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
        let escaped = |text| escaped(text, rust_escape);
        assert_eq!(escaped("a\u{1b}[2Jb\r\nc\u{7f}\u{9b}"), r"a\u{1b}[2Jb\r\nc\u{7f}\u{9b}");
        assert_eq!(escaped("exe.\u{202e}gpj"), r"exe.\u{202e}gpj");
        let plain = r#"Zoë's "片\" 👩‍🚀 µs"#;
        assert_eq!(escaped(plain), plain);
    }

    #[test]
    fn json_stays_json_where_a_terminal_would_act_on_it() {
        let name = "a\u{1b}[2J\u{9b}\u{202e}\"b\n";
        let line = escaped(&serde_json::to_string(name).unwrap(), json_escape);
        assert_eq!(line, r#""a\u001b[2J\u009b\u202e\"b\n""#);
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), name);
    }
}
