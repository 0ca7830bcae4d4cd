//! Comments in tests that say `proves S034, S035`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::reach::Reach;
use crate::error::Error;
use crate::workspace;

/// Kinds of files that hold tests; a file without an extension is a shell script.
const KINDS: [&str; 8] = ["rs", "kt", "kts", "swift", "mjs", "js", "py", "sh"];

/// A comment of a test that names a row.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    file: PathBuf,
    line: usize,
    /// The test below the comment, where there is one.
    test: Option<String>,
}

impl Evidence {
    pub(super) fn reach(&self) -> Reach {
        Reach::of(&self.file)
    }

    #[cfg(test)]
    pub(super) fn at(file: &str) -> Self {
        Self { file: file.into(), ..Self::default() }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)?;
        self.test.as_ref().map_or(Ok(()), |test| write!(f, " {test}"))
    }
}

/// All evidence in the checkout at `root`, by row.
pub(super) fn find(root: &Path) -> Result<BTreeMap<String, Vec<Evidence>>, Error> {
    let mut found: BTreeMap<String, Vec<Evidence>> = BTreeMap::new();
    // The tests of this very task name rows that prove nothing.
    let ours = root.join("scripts/xtask");
    for path in workspace::files(root, |path| holds_tests(path) && !path.starts_with(&ours))? {
        let bytes = fs::read(&path).map_err(Error::file(&path))?;
        let file = path.strip_prefix(root).unwrap_or(&path);
        for (id, line, test) in scan(&String::from_utf8_lossy(&bytes)) {
            found.entry(id).or_default().push(Evidence { file: file.to_owned(), line, test });
        }
    }
    Ok(found)
}

fn holds_tests(path: &Path) -> bool {
    path.extension().is_none_or(|kind| KINDS.iter().any(|known| kind == *known))
}

/// Row, line number and test name of each mention in `text`.
fn scan(text: &str) -> Vec<(String, usize, Option<String>)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let test = || lines[at + 1..].iter().take(8).find_map(|line| test_name(line));
        found.extend(ids(line).into_iter().map(|id| (id, at + 1, test())));
    }
    found
}

/// The rows that a comment line says it proves: `proves S001, S002 and D03`.
fn ids(line: &str) -> Vec<String> {
    let Some((before, list)) = line.split_once("proves ") else { return Vec::new() };
    if !["//", "#", "*"].iter().any(|comment| before.contains(comment)) {
        return Vec::new();
    }
    list.split([',', ' ']).filter(|word| !word.is_empty() && *word != "and").map_while(id).collect()
}

/// `S034` or `D05`, with or without the sentence's full stop.
fn id(word: &str) -> Option<String> {
    let word = word.trim_end_matches(['.', ';', ':', ')']);
    let digits = word.strip_prefix(['S', 'D'])?;
    let valid = (2..=3).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    valid.then(|| word.to_owned())
}

/// The name of the test that `line` begins, in Rust, Kotlin, Swift, JavaScript or the lab.
fn test_name(line: &str) -> Option<String> {
    let after = |word: &str| line.split_once(word).map(|(_, rest)| rest);
    let quoted = |rest: &str, quote: char| rest.strip_prefix(quote)?.split(quote).next().map(str::to_owned);
    for word in ["fun ", "func ", "fn "] {
        let Some(rest) = after(word) else { continue };
        let plain = || rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned);
        return quoted(rest, '`').or_else(plain).filter(|name| !name.is_empty());
    }
    ["test(", "it(", "scenario "].iter().find_map(|call| {
        let rest = after(call)?;
        quoted(rest, '"').or_else(|| quoted(rest, '\''))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_rows_are_read_from_comments() {
        assert_eq!(ids("// proves S001, S002 and D03."), ["S001", "S002", "D03"]);
        assert_eq!(ids("# proves S098 by fetching it"), ["S098"]);
        assert_eq!(ids("    /// Also proves S101,S102"), ["S101", "S102"]);
    }

    #[test]
    fn what_is_no_comment_or_no_row_proves_nothing() {
        assert!(ids("let text = \"proves S001\";").is_empty());
        assert!(ids("// proves that S001 holds").is_empty());
        assert!(ids("// proves S1 and S0001").is_empty());
        assert!(ids("// S001").is_empty());
    }

    #[test]
    fn the_test_below_the_comment_is_named_in_every_language() {
        for (line, name) in [
            ("    fn stale_answer_is_dropped() {", "stale_answer_is_dropped"),
            ("    async fn both() {", "both"),
            ("    fun `stale answer is dropped`() = runTest {", "stale answer is dropped"),
            ("    func testBoth() async throws {", "testBoth"),
            ("test(\"both sides\", async () => {", "both sides"),
            ("it('works', () => {", "works"),
            ("  scenario \"two NATs\" nat nat stun webrtc", "two NATs"),
        ] {
            let text = format!("// proves S001\n#[test]\n{line}");
            assert_eq!(scan(&text), [("S001".into(), 1, Some(name.into()))]);
        }
    }
}
