//! The programs in README.md are the ones that the façades' tests compile and run: the text between `readme:begin` and
//! `readme:end` there, the code block of the language here. (Rust's own is a doc test.)

#![expect(clippy::panic, reason = "tests")]

use std::path::Path;

/// The README's promise: a user is done after about twenty lines.
const LINES: usize = 20;

// proves S120
#[test]
fn the_swift_program_is_the_tested_one() {
    same_program("swift", "ios/Peers/Tests/PeersTests/ReadmeTests.swift");
}

// proves S120
#[test]
fn the_kotlin_program_is_the_tested_one() {
    same_program("kotlin", "android/peers/src/test/kotlin/app/peers/sdk/ReadmeTest.kt");
}

fn same_program(language: &str, test: &str) {
    let (readme, test_text) = (read("README.md"), read(test));
    let shown = between(&readme, &format!("```{language}\n"), "```\n");
    let tested = between(&test_text, "// readme:begin\n", "// readme:end\n");
    assert_eq!(shown, tested, "README.md (left) and {test} (right) differ");
    assert!(shown.lines().count() <= LINES, "{test}: more than {LINES} lines");
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The lines between the only `begin` and the next `end`.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let parts: Vec<_> = text.split(begin).collect();
    let [_, rest] = parts[..] else { panic!("expected {begin:?} once, not {} times", parts.len() - 1) };
    rest.split_once(end).unwrap_or_else(|| panic!("expected {end:?} after {begin:?}")).0
}
