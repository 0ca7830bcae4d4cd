//! `cargo xtask requirements`: the promises of the project and the tests that prove them.
//!
//! The promises are the rows of `tests/requirements.txt`; a test names those it proves in a comment,
//! `// proves S034, S035`. A row is proven by a test that goes through an interface of users ([`reach`]); a row whose tests all
//! stop short of that is proven in part.

mod evidence;
mod list;
mod reach;

use std::collections::BTreeMap;
use std::fs;

use crate::counts::{Ceilings, Count};
use crate::error::Error;
use crate::workspace;
use evidence::Evidence;
use list::{List, Row};
use reach::Reach;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Fail when a row on a `due` line of the list has no test, and when more rows than before are proven in part or not at all.
    #[arg(long)]
    check: bool,
    /// Fail when one of these rows has no test, for example `S034..S043,S098`; repeatable.
    #[arg(long, value_name = "ROWS")]
    due: Vec<String>,
    /// Print only rows that are not proven, or in part.
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
    check(&list, &evidence, is_due)?;
    let counts = counts(&list, &evidence);
    if args.check {
        Ceilings::load()?.check(&counts)?
    }
    let [in_part, without] = counts.map(|count| count.found);
    let promised = list.rows.iter().filter(|row| row.kind.needs_test()).count();
    let proven = promised - in_part - without;
    println!(
        "requirements: {promised} promised: {proven} proven, {in_part} in part, {without} without a test"
    );
    Ok(())
}

type Tests = BTreeMap<String, Vec<Evidence>>;

/// The proof of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Whole,
    Part,
    None,
}

impl Proof {
    fn of(tests: &[Evidence]) -> Self {
        if tests.is_empty() {
            Self::None
        } else if tests.iter().any(|test| test.reach() == Reach::Whole) {
            Self::Whole
        } else {
            Self::Part
        }
    }
}

fn tests_of<'a>(row: &Row, tests: &'a Tests) -> &'a [Evidence] {
    tests.get(&row.id).map_or(&[], Vec::as_slice)
}

fn print_rows(list: &List, tests: &Tests, only_missing: bool) {
    for row in &list.rows {
        let found = tests_of(row, tests);
        let mark = match Proof::of(found) {
            Proof::Whole if only_missing => continue,
            Proof::Whole => '+',
            Proof::Part => '~',
            Proof::None => '-',
        };
        println!("{mark} {:<5}{:<5}{}", row.id, row.kind, row.text);
        for test in found {
            println!("             {test}");
        }
    }
}

/// The promised rows that are proven in part, and those without a test.
fn counts(list: &List, tests: &Tests) -> [Count; 2] {
    let promised = || list.rows.iter().filter(|row| row.kind.needs_test());
    let count = |proof| promised().filter(|row| Proof::of(tests_of(row, tests)) == proof).count();
    [
        Count { name: "requirements-in-part", found: count(Proof::Part) },
        Count { name: "requirements-without-test", found: count(Proof::None) },
    ]
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
    fn a_row_is_proven_by_a_test_that_users_could_write_and_in_part_by_others() {
        let (machine, client) = ("core/proto/src/session/tests.rs", "core/peers/tests/session.rs");
        let tests = Tests::from([
            ("S001".into(), vec![Evidence::at(machine), Evidence::at(client)]),
            ("S002".into(), vec![Evidence::at(machine)]),
            ("S003".into(), vec![Evidence::at(machine)]),
        ]);
        // S002 is a document, which needs no test.
        assert_eq!(counts(&list(), &tests).map(|count| count.found), [1, 0]);
        assert_eq!(counts(&list(), &proven(&["S001"])).map(|count| count.found), [1, 1]);
        assert_eq!(counts(&list(), &Tests::new()).map(|count| count.found), [0, 2]);
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
