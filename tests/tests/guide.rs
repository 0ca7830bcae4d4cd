//! The guide's programs are files that the façades' tests compile and run, and its links lead somewhere.
//!
//! A comment before each block of Kotlin or Swift names its source: `compiled: FILE`, or `compiled: FILE#NAME` for what is
//! between `// guide:begin NAME` and `// guide:end` there. `not compiled: REASON` is for what no test here can compile.

#![expect(clippy::panic, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

const GUIDE: &str = "core/docs/guide";
const LANGUAGES: [&str; 2] = ["kotlin", "swift"];

#[test]
fn programs_are_the_compiled_ones() {
    let mut compiled = Vec::new();
    for page in pages() {
        for block in blocks(&read(&page)) {
            let at = format!("{}:{}", page.display(), block.line);
            if let Some(source) = block.comment("compiled: ") {
                assert_eq!(block.text, source_of(source, &at), "{at} (left) and {source} (right) differ");
                compiled.push(page.clone());
            } else {
                assert!(
                    block.comment("not compiled: ").is_some(),
                    "{at}: no comment says where it is compiled"
                );
            }
        }
    }
    for page in ["android.md", "ios.md"] {
        assert!(compiled.iter().any(|p| p.ends_with(page)), "no block of {page} is compiled");
    }
}

#[test]
fn links_to_files_and_headings_lead_there() {
    let mut broken = Vec::new();
    for page in pages().into_iter().chain([root().join("README.md")]) {
        for link in links(&read(&page)) {
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.clone() } else { page.with_file_name("").join(file) };
            let found = target.exists()
                && (heading.is_empty() || headings(&read(&target)).iter().any(|h| h == heading));
            if !found {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert_eq!(broken, [""; 0]);
}

#[test]
fn a_changed_program_and_a_broken_link_are_found() {
    let text = "<!-- compiled: a#b -->\n```kotlin\nfun a() {}\n```\n```swift\nlet a = 1\n```\n[x](y.md#z) `[n](o.md)`\n";
    let [kotlin, swift] = &blocks(text)[..] else { panic!("two blocks") };
    assert_eq!((kotlin.comment("compiled: "), &*kotlin.text, kotlin.line), (Some("a#b"), "fun a() {}\n", 2));
    assert_eq!((swift.comment("compiled: "), &*swift.text), (None, "let a = 1\n"));
    assert_eq!(links(text), ["y.md#z"]);
    assert_eq!(headings("# A `b`: c-d\n```sh\n# no heading\n```\n"), ["a-b-c-d"]);
    assert_eq!(
        part("  // guide:begin b\n    one\n\n      two\n  // guide:end\n", "b").unwrap(),
        "one\n\n  two\n"
    );
    assert_eq!(part("", "b"), None);
}

/// The snippets of the guide.
fn pages() -> Vec<PathBuf> {
    let folder = root().join(GUIDE);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut pages: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    pages.retain(|page| page.extension().is_some_and(|end| end == "md"));
    pages.sort();
    assert!(pages.len() > 5, "{pages:?}");
    pages
}

/// A fenced block, with the line before it.
struct Block {
    before: String,
    line: usize,
    text: String,
}

impl Block {
    fn comment(&self, kind: &str) -> Option<&str> {
        self.before.strip_prefix("<!-- ")?.strip_suffix(" -->")?.strip_prefix(kind)
    }
}

/// The blocks in one of [`LANGUAGES`].
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut before, mut open) = (String::new(), None);
    for (number, line) in text.lines().enumerate() {
        match (open.take(), line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some((
                    language.to_owned(),
                    Block { before: before.clone(), line: number + 1, text: String::new() },
                ));
            }
            (Some((language, block)), Some("")) => {
                if LANGUAGES.contains(&&*language) {
                    blocks.push(block);
                }
            }
            (Some((language, mut block)), _) => {
                block.text += line;
                block.text.push('\n');
                open = Some((language, block));
            }
            (None, None) => {}
        }
        before = line.to_owned();
    }
    blocks
}

fn source_of(source: &str, at: &str) -> String {
    let (file, name) = source.split_once('#').unwrap_or((source, ""));
    let text = read(&root().join(file));
    if !name.is_empty() {
        return part(&text, name).unwrap_or_else(|| panic!("{at}: {file} has no {name}"));
    }
    text.split_inclusive('\n').filter(|line| !line.trim().starts_with("// guide:")).collect()
}

/// The lines between the only `// guide:begin NAME` and the next `// guide:end`, moved to the left margin.
fn part(text: &str, name: &str) -> Option<String> {
    let begin = format!("// guide:begin {name}");
    let mut rest = text.lines().skip_while(|line| line.trim() != begin).skip(1);
    let lines: Vec<_> = rest.by_ref().take_while(|line| line.trim() != "// guide:end").collect();
    if lines.is_empty() || rest.any(|line| line.trim() == begin) {
        return None;
    }
    let indented =
        lines.iter().filter(|line| !line.is_empty()).map(|line| line.len() - line.trim_start().len());
    let margin = indented.min().unwrap_or(0);
    Some(lines.iter().map(|line| format!("{}\n", line.get(margin..).unwrap_or(""))).collect())
}

/// Targets within the repository, outside of code.
fn links(text: &str) -> Vec<String> {
    let prose: String =
        prose(text).map(|line| line.split('`').step_by(2).collect::<String>() + "\n").collect();
    let targets = prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned());
    targets.filter(|target| !target.contains("://")).collect()
}

/// Anchors of the headings, as the web pages of Git hosts make them.
fn headings(text: &str) -> Vec<String> {
    let titles =
        prose(text).filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |title: &str| {
        let kept = title
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c))
            .collect::<String>();
        kept.replace(' ', "-")
    };
    titles.map(anchor).collect()
}

fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
