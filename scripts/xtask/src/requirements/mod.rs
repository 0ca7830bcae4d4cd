//! `cargo xtask requirements`: which tests prove which promise.
//!
//! The promises are the rows of `tests/requirements.txt`; a test names those it proves in a comment,
//! `// proves S034, S035`.

mod evidence;
mod list;

use std::collections::BTreeMap;
use std::fs;

use crate::error::Error;
use crate::workspace;
use evidence::Evidence;
use list::{List, Row};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Fail when a row on a `due` line of the list has no test.
    #[arg(long)]
    check: bool,
    /// Fail when one of these rows has no test, for example `S034..S043,S098`; repeatable.
    #[arg(long, value_name = "ROWS")]
    due: Vec<String>,
    /// Print only rows without a test.
    #[arg(long)]
    missing: bool,
}

/// Prints every row with its tests, then the totals.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let path = workspace::root().join("tests/requirements.txt");
    let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
    let wrong = |(line, reason)| Error::Requirements { path: path.clone(), line, reason };
    let list = List::parse(&text).map_err(wrong)?;
    let asked = args.due.iter().map(|ranges| list.ids(ranges).map_err(Error::Check));
    let asked = asked.collect::<Result<Vec<_>, _>>()?.concat();
    let is_due = |id: &str| asked.iter().chain(list.due.iter().filter(|_| args.check)).any(|due| due == id);

    let evidence = evidence::find(&workspace::root())?;
    print_rows(&list, &evidence, args.missing);
    check(&list, &evidence, is_due)
}

type Tests = BTreeMap<String, Vec<Evidence>>;

fn print_rows(list: &List, tests: &Tests, only_missing: bool) {
    for row in &list.rows {
        let found = tests.get(&row.id).map_or(&[][..], Vec::as_slice);
        if only_missing && !found.is_empty() {
            continue;
        }
        let mark = if found.is_empty() { "-" } else { "+" };
        println!("{mark} {:<5}{:<5}{}", row.id, row.kind, row.text);
        for test in found {
            println!("             {test}");
        }
    }
    let proven = list.rows.iter().filter(|row| tests.contains_key(&row.id)).count();
    println!("requirements: {proven} rows with tests, {} with none", list.rows.len() - proven);
}

/// Fails on rows that are due without a test, and on tests that name rows which do not exist.
fn check(list: &List, tests: &Tests, due: impl Fn(&str) -> bool) -> Result<(), Error> {
    let unknown = tests.iter().filter(|(id, _)| !list.contains(id)).flat_map(|(id, found)| {
        found.iter().map(move |test| format!("{test} names {id}, which is not in the list"))
    });
    let unproven = |row: &&Row| row.kind.needs_test() && due(&row.id) && !tests.contains_key(&row.id);
    let missing =
        list.rows.iter().filter(unproven).map(|row| format!("{} has no test: {}", row.id, row.text));
    let faults: Vec<String> = unknown.chain(missing).collect();
    if faults.is_empty() { Ok(()) } else { Err(Error::Check(faults.join("\n  "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> List {
        List::parse("due S001..S003\nS001 MUST one\nS002 DOC two\nS003 TEST three\n").unwrap()
    }

    fn proven(ids: &[&str]) -> Tests {
        ids.iter().map(|id| ((*id).to_owned(), vec![Evidence::default()])).collect()
    }

    #[test]
    fn a_due_row_without_a_test_fails() {
        let list = list();
        let due = |id: &str| list.due.iter().any(|due| due == id);
        let error = check(&list, &proven(&["S001"]), due).unwrap_err();
        assert_eq!(error.to_string(), "S003 has no test: three");
        assert!(check(&list, &proven(&["S001", "S003"]), due).is_ok());
    }

    #[test]
    fn a_row_that_is_not_due_may_wait() {
        assert!(check(&list(), &proven(&[]), |_| false).is_ok());
    }

    #[test]
    fn a_test_that_names_an_unknown_row_fails() {
        let error = check(&list(), &proven(&["S999"]), |_| false).unwrap_err();
        assert!(error.to_string().contains("names S999"), "{error}");
    }
}
