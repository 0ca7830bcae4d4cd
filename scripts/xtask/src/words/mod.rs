//! `cargo xtask words`: counts of prose that is hard to read; none may rise.
//!
//! A reader finds a thing by its name. So the first sentence of a doc says what the item is, and a type name means one thing. A
//! sentence holds one idea, and programs are not people.

mod prose;
mod types;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::counts::{Ceilings, Count};
use crate::error::Error;
use crate::{process, workspace};
use prose::{Kind, Paragraph};
use types::Types;

/// The most words of a sentence.
const SENTENCE_WORDS: usize = 30;
/// The most characters of the subject of a commit.
const SUBJECT_CHARACTERS: usize = 72;
/// Subjects are counted from the commit after this one.
const SUBJECTS_SINCE: &str = "f9cabdd058f41c3c045410d3c2e95018547777ff";
/// First words that ask instead of naming an item.
const QUESTIONS: [&str; 8] = ["What", "Who", "Which", "Whether", "When", "Where", "Why", "How"];
/// Words for people, said of programs.
const PEOPLE: [&str; 7] = ["nobody", "whoever", "goodbye", "told", "believes", "bothers", "rests"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print each place that is counted.
    #[arg(long)]
    list: bool,
}

/// Counts, and fails when a count has risen.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let mut found = Found::default();
    for file in sources()? {
        let path = workspace::root().join(&file);
        // Golden bytes are among the files.
        let bytes = fs::read(&path).map_err(Error::file(&path))?;
        found
            .file(&file, &String::from_utf8_lossy(&bytes))
            .map_err(|reason| Error::NotRust { path, reason })?;
    }
    found.end_types();
    match subjects()? {
        Some(subjects) => found.subjects(&subjects),
        None => {
            println!("words: subjects are not counted: {SUBJECTS_SINCE} is not in this checkout's history")
        }
    }
    if args.list {
        found.places.iter().for_each(|place| println!("{place}"));
    }
    Ceilings::load()?.check(&found.counts())?;
    println!("words: {} paragraphs of docs, comments and pages keep to their counts", found.paragraphs);
    Ok(())
}

/// The files that git knows or would add.
fn sources() -> Result<Vec<PathBuf>, Error> {
    let listed = process::read(git().args(["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    let listed = String::from_utf8_lossy(&listed);
    Ok(listed.lines().map(PathBuf::from).filter(|file| workspace::root().join(file).is_file()).collect())
}

/// The subjects of commits, newest first; `None` when the history of this checkout does not reach back.
fn subjects() -> Result<Option<String>, Error> {
    let mut known = git();
    known.args(["cat-file", "-e", &format!("{SUBJECTS_SINCE}^{{commit}}")]);
    if !process::succeeds(&mut known)? {
        return Ok(None);
    }
    let range = format!("{SUBJECTS_SINCE}..HEAD");
    let listed = process::read(git().args(["log", "--no-merges", "--format=%h %s", &range]))?;
    Ok(Some(String::from_utf8_lossy(&listed).into_owned()))
}

fn git() -> Command {
    let mut command = Command::new("git");
    command.current_dir(workspace::root());
    command
}

/// All that is counted, and where it is.
#[derive(Debug, Default)]
struct Found {
    paragraphs: usize,
    docs: usize,
    questions: usize,
    long_sentences: usize,
    people: usize,
    repeated_types: usize,
    long_subjects: usize,
    types: Types,
    /// For people: a line for each place.
    places: Vec<String>,
}

impl Found {
    /// Counts in a file. The error is the tokenizer's.
    fn file(&mut self, file: &Path, text: &str) -> Result<(), String> {
        for paragraph in prose::read(file, text).unwrap_or_default() {
            self.paragraph(file, &paragraph);
        }
        self.types.add(file, text)
    }

    fn paragraph(&mut self, file: &Path, Paragraph { kind, line, first, text }: &Paragraph) {
        let mut place = |fault: &str, text: &str| {
            self.places.push(format!("{}:{line}: {fault}: {text}", file.display()));
        };
        self.paragraphs += 1;
        if *kind == Kind::Doc && *first {
            self.docs += 1;
            if asks(text) {
                self.questions += 1;
                place("question", text);
            }
        }
        for sentence in prose::sentences(text) {
            let words = prose::words(sentence);
            if *kind != Kind::Comment && words.len() > SENTENCE_WORDS {
                self.long_sentences += 1;
                place("long sentence", &format!("{} words: {sentence}", words.len()));
            }
            for word in words.into_iter().filter(|word| is_for_people(word)) {
                self.people += 1;
                place("person", &format!("{word}: {sentence}"));
            }
        }
    }

    fn end_types(&mut self) {
        for (name, places) in self.types.repeated() {
            self.repeated_types += 1;
            for (file, line) in places {
                self.places.push(format!("{}:{line}: repeated type: {name}", file.display()));
            }
        }
    }

    /// Lines of a hash and a subject.
    fn subjects(&mut self, log: &str) {
        let long = |line: &&str| {
            line.split_once(' ').is_some_and(|(_, subject)| subject.chars().count() > SUBJECT_CHARACTERS)
        };
        for line in log.lines().filter(long) {
            self.long_subjects += 1;
            self.places.push(format!("{line}: long subject"));
        }
    }

    fn counts(&self) -> [Count; 5] {
        // A share: the docs grow with the code.
        let questions = (self.questions * 1000).div_ceil(self.docs.max(1));
        [
            Count { name: "doc-questions-per-thousand", found: questions },
            Count { name: "long-sentences", found: self.long_sentences },
            Count { name: "people-words", found: self.people },
            Count { name: "repeated-types", found: self.repeated_types },
            Count { name: "long-subjects", found: self.long_subjects },
        ]
    }
}

/// True if the first word of a paragraph is a question's.
fn asks(text: &str) -> bool {
    let first = text.trim_start_matches(['-', '*', '_', ' ']).split(|c: char| !c.is_alphabetic()).next();
    first.is_some_and(|first| QUESTIONS.contains(&first))
}

fn is_for_people(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphabetic()).to_lowercase();
    PEOPLE.contains(&word.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(file: &str, text: &str) -> [usize; 5] {
        let mut found = Found::default();
        found.file(Path::new(file), text).unwrap();
        found.end_types();
        found.counts().map(|count| count.found)
    }

    #[test]
    fn docs_that_begin_with_a_question_are_a_share_of_all_docs() {
        let text = "/// What it is.\nstruct A;\n/// Whatever.\nstruct B;\n// What a comment says.\n/// A name.\n///\n/// What else.\nstruct C;\n";
        assert_eq!(counts("a.rs", text), [334, 0, 0, 0, 0]);
    }

    #[test]
    fn a_sentence_may_have_thirty_words() {
        let sentence = |words: usize| format!("/// {}.", vec!["Word"; words].join(" "));
        assert_eq!(counts("a.rs", &sentence(30)), [0, 0, 0, 0, 0]);
        assert_eq!(counts("a.rs", &sentence(31)), [0, 1, 0, 0, 0]);
        assert_eq!(counts("a.md", &sentence(31)[4..]), [0, 1, 0, 0, 0]);
    }

    #[test]
    fn words_for_people_count_in_prose_and_not_in_code() {
        let text = "/// Nobody is told.\nfn nobody() {}\n// See `told`; foretold.\n";
        assert_eq!(counts("a.rs", text), [0, 0, 2, 0, 0]);
    }

    #[test]
    fn types_of_two_files_are_compared() {
        let mut found = Found::default();
        found.file(Path::new("core/a.rs"), "struct Half;").unwrap();
        found.file(Path::new("core/b.rs"), "struct Half;").unwrap();
        found.end_types();
        assert_eq!((found.repeated_types, found.places.len()), (1, 2));
    }

    #[test]
    fn a_subject_may_have_seventy_two_characters() {
        let mut found = Found::default();
        found.subjects(&format!("abc {}\ndef {}\n", "é".repeat(72), "é".repeat(73)));
        assert_eq!(found.long_subjects, 1);
        assert!(found.places[0].starts_with("def "));
    }
}
