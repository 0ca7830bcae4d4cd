//! Statuses of the process by the codes of errors: one table, which `peers --help` shows.

use std::fmt::Write as _;

/// A status of the process, and the codes of the errors that end with it.
struct ExitRow {
    status: u8,
    codes: &'static [&'static str],
    meaning: &'static str,
}

const fn row(status: u8, codes: &'static [&'static str], meaning: &'static str) -> ExitRow {
    ExitRow { status, codes, meaning }
}

/// A code that is in no row.
const OTHER: u8 = 1;

/// Scripts depend on them: a status keeps its meaning. core/docs/command.md has the same table.
const TABLE: [ExitRow; 11] = [
    row(0, &[], "done"),
    row(OTHER, &[], "another failure"),
    // Clap's own, before anything here runs.
    row(2, &[], "the command line is wrong"),
    row(3, &["denied", "not-taken"], "the other device says no"),
    row(4, &["offline", "unreachable", "timed-out"], "no relay or device is reached"),
    row(
        5,
        &["identity", "superseded", "store", "io", "name-too-long"],
        "the identity or a file cannot be used",
    ),
    row(6, &["config", "relay"], "a setting cannot work, or the relay cannot start"),
    row(7, &["closed", "session-lost", "stream", "damaged"], "the session or its data ended too early"),
    row(130, &["stopped"], "interrupted: SIGINT"),
    // As of a tool that SIGPIPE ends.
    row(141, &["output-closed"], "nothing reads standard output"),
    row(143, &["stopped"], "terminated: SIGTERM"),
];

/// The status for a code. A signal has its own.
pub(crate) fn of(code: &str) -> u8 {
    TABLE.iter().find(|row| row.codes.contains(&code)).map_or(OTHER, |row| row.status)
}

/// The table as text.
pub(crate) fn help() -> String {
    let mut text = "Exit status, and the codes of errors that `--json` shows:".to_owned();
    for ExitRow { status, codes, meaning } in &TABLE {
        let codes = if codes.is_empty() { String::new() } else { format!(" ({})", codes.join(", ")) };
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {status:<4} {meaning}{codes}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_about_the_command_has_the_rows_of_the_table() {
        let page = include_str!("../../docs/command.md");
        for ExitRow { status, codes, meaning } in &TABLE {
            let codes: Vec<_> = codes.iter().map(|code| format!("`{code}`")).collect();
            let line = format!("| {status} | {meaning} | {} |", codes.join(", "));
            assert!(page.contains(&line.replace("|  |", "| |")), "{line}");
        }
    }

    #[test]
    fn a_code_that_has_no_row_is_another_failure() {
        assert_eq!((of("failed"), of("call-failed"), of("denied")), (OTHER, OTHER, 3));
    }
}
