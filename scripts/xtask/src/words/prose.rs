//! The prose of a file: paragraphs of its docs, of its comments, or of a page.

use std::path::Path;

/// The place that a paragraph was written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Documentation of an item or a module.
    Doc,
    /// Any other comment.
    Comment,
    /// Markdown.
    Page,
}

/// A paragraph, a list item, a heading or a cell of a table, on one line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Paragraph {
    pub(super) kind: Kind,
    /// The number of its first line, from 1.
    pub(super) line: usize,
    /// True for the first paragraph of a doc or of a comment.
    pub(super) first: bool,
    pub(super) text: String,
}

/// The languages whose prose is read.
#[derive(Debug, Clone, Copy)]
enum Language {
    Rust,
    Kotlin,
    Swift,
    Markdown,
}

/// The paragraphs of a file; `None` in a language that is not read.
pub(super) fn read(file: &Path, text: &str) -> Option<Vec<Paragraph>> {
    let language = match file.extension()?.to_str()? {
        "rs" => Language::Rust,
        "kt" => Language::Kotlin,
        "swift" => Language::Swift,
        "md" => Language::Markdown,
        _ => return None,
    };
    let mut reader = Reader::default();
    let mut block = false;
    for (line, content) in text.lines().enumerate() {
        match language.prose(content, &mut block) {
            Some((kind, prose)) => reader.add(kind, line + 1, prose),
            None => reader.end_block(),
        }
    }
    Some(reader.found)
}

impl Language {
    /// The kind and the prose of a line; `block` is whether a block comment of Kotlin is open.
    fn prose<'a>(self, line: &'a str, block: &mut bool) -> Option<(Kind, &'a str)> {
        let trimmed = line.trim_start();
        let after = |mark: &str| trimmed.strip_prefix(mark);
        match self {
            // An indented block of code; the lines of an item are indented by less.
            Self::Markdown if line.starts_with("    ") => Some((Kind::Page, "")),
            Self::Markdown => Some((Kind::Page, line)),
            Self::Kotlin if *block || trimmed.starts_with("/**") => {
                *block = !trimmed.contains("*/");
                let prose = trimmed.trim_start_matches(['/', '*']).trim_end();
                Some((Kind::Doc, prose.strip_suffix("*/").unwrap_or(prose)))
            }
            Self::Rust if trimmed.starts_with("//!") => after("//!").map(|prose| (Kind::Doc, prose)),
            Self::Rust | Self::Swift if trimmed.starts_with("///") => {
                after("///").map(|prose| (Kind::Doc, prose))
            }
            _ => after("//").map(|prose| (Kind::Comment, prose)),
        }
    }
}

/// Puts lines together.
#[derive(Default)]
struct Reader {
    found: Vec<Paragraph>,
    /// The kind of the lines before, if there was no other line in between.
    block: Option<Kind>,
    /// The last paragraph goes on with the next line.
    open: bool,
    /// Between the fences of a code block.
    code: bool,
}

impl Reader {
    fn add(&mut self, kind: Kind, line: usize, prose: &str) {
        let prose = prose.trim();
        if prose.starts_with("```") {
            self.code = !self.code;
            self.open = false;
        } else if self.code || prose.is_empty() {
            self.open = false;
        } else if prose.starts_with('|') {
            for cell in prose.split('|').map(str::trim).filter(|cell| !cell.is_empty()) {
                self.begin(kind, line, cell);
            }
            self.open = false;
        } else if self.open && !begins_item(prose) && self.found.last().is_some_and(|last| last.kind == kind)
        {
            if let Some(last) = self.found.last_mut() {
                last.text.push(' ');
                last.text.push_str(prose);
            }
        } else {
            self.begin(kind, line, prose);
            self.open = !prose.starts_with('#');
        }
    }

    fn begin(&mut self, kind: Kind, line: usize, text: &str) {
        let first = self.block.replace(kind) != Some(kind);
        self.found.push(Paragraph { kind, line, first, text: text.to_owned() });
    }

    fn end_block(&mut self) {
        *self = Self { found: std::mem::take(&mut self.found), ..Self::default() };
    }
}

/// True if a line begins a heading, an item of a list or a KDoc tag.
fn begins_item(line: &str) -> bool {
    let numbered =
        line.split_once(". ").is_some_and(|(number, _)| number.bytes().all(|b| b.is_ascii_digit()));
    numbered || ["- ", "* ", "# ", "## ", "### ", "@"].iter().any(|mark| line.starts_with(mark))
}

/// The sentences of a paragraph: each ends with `.`, `!` or `?` before a space, unless a small letter follows.
pub(super) fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    let ends = |at: usize| {
        let (before, after) = (&text[..at], text[at..].trim_start());
        let closed = before.trim_end_matches([')', '"', '*', '_']).ends_with(['.', '!', '?']);
        closed && !after.starts_with(char::is_lowercase)
    };
    for (at, _) in text.match_indices(' ').filter(|(at, _)| ends(*at)) {
        let from = text.len() - rest.len();
        found.push(&text[from..at]);
        rest = &text[at + 1..];
    }
    found.push(rest);
    found
}

/// The words of a sentence; a code span is one word, `` ` `` included.
pub(super) fn words(sentence: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, part) in sentence.split('`').enumerate() {
        if at % 2 == 1 {
            found.push("`");
        } else {
            found.extend(part.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paragraphs(file: &str, text: &str) -> Vec<(Kind, usize, String)> {
        let found = read(Path::new(file), text).unwrap();
        found.into_iter().map(|p| (p.kind, p.line, p.text)).collect()
    }

    #[test]
    fn lines_of_one_paragraph_are_put_together_and_code_is_left_out() {
        let text = "//! One\n//! two.\n//!\n//! ```\n//! code\n//! ```\n//! Three.\nfn f() {}\n    // Four\n    // five.\n";
        assert_eq!(
            paragraphs("a.rs", text),
            [
                (Kind::Doc, 1, "One two.".into()),
                (Kind::Doc, 7, "Three.".into()),
                (Kind::Comment, 9, "Four five.".into()),
            ]
        );
    }

    #[test]
    fn the_first_paragraph_of_each_doc_is_known() {
        let found =
            read(Path::new("a.rs"), "/// One.\n///\n/// Two.\n// Three.\n/// Four.\n\n/// Five.\n").unwrap();
        let first: Vec<_> = found.iter().map(|paragraph| paragraph.first).collect();
        assert_eq!(first, [true, false, true, true, true]);
    }

    #[test]
    fn a_comment_below_a_doc_is_a_paragraph_of_its_own() {
        assert_eq!(
            paragraphs("a.swift", "/// One.\n// Two.\n"),
            [(Kind::Doc, 1, "One.".into()), (Kind::Comment, 2, "Two.".into())]
        );
    }

    #[test]
    fn block_comments_of_kotlin_are_docs() {
        let text = "/** One. */\nval a = 1\n/**\n * Two\n * three.\n *\n * @throws Never four.\n */\nfun f() // no\n// Five.";
        assert_eq!(
            paragraphs("a.kt", text),
            [
                (Kind::Doc, 1, "One. ".trim().into()),
                (Kind::Doc, 4, "Two three.".into()),
                (Kind::Doc, 7, "@throws Never four.".into()),
                (Kind::Comment, 10, "Five.".into()),
            ]
        );
    }

    #[test]
    fn headings_items_and_cells_stand_alone() {
        let text = "# Title\nText.\n- one\n  goes on\n- two\n1. three\n\n    code\n\n```\n    code\n```\n| a | b |\n|---|---|\n";
        let texts: Vec<_> = paragraphs("a.md", text).into_iter().map(|p| p.2).collect();
        assert_eq!(texts, ["# Title", "Text.", "- one goes on", "- two", "1. three", "a", "b", "---", "---"]);
    }

    #[test]
    fn what_is_no_language_of_ours_is_not_read() {
        assert!(read(Path::new("a.json"), "{}").is_none());
        assert!(read(Path::new("LICENSE"), "").is_none());
    }

    #[test]
    fn sentences_end_at_a_mark_before_a_space() {
        assert_eq!(
            sentences("One. Two (three.) Four 1.5 e.g. five? `Six`"),
            ["One.", "Two (three.)", "Four 1.5 e.g. five?", "`Six`"]
        );
        assert_eq!(sentences("no mark"), ["no mark"]);
    }

    #[test]
    fn a_code_span_is_one_word_and_a_dash_none() {
        assert_eq!(words("a `b c d` e – f."), ["a", "`", "e", "f."]);
    }
}
