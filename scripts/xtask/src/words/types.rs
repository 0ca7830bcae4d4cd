//! Names of types that are defined in more than one place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The sources whose types share one space of names.
const SOURCES: &str = "core/";
/// Folders and files of tests and examples: each is a program of its own.
const PROGRAMS: [&str; 3] = ["tests", "examples", "benches"];

/// The places of each name, a file and a line.
#[derive(Debug, Default)]
pub(super) struct Types(BTreeMap<String, Vec<(PathBuf, usize)>>);

impl Types {
    /// Notes the types that a file defines. The error is the tokenizer's.
    pub(super) fn add(&mut self, file: &Path, source: &str) -> Result<(), String> {
        if is_production(file) {
            let tokens = TokenStream::from_str(source).map_err(|error| error.to_string())?;
            self.note(file, &tokens.into_iter().collect::<Vec<_>>());
        }
        Ok(())
    }

    /// The names that mean two things, with all their places.
    pub(super) fn repeated(&self) -> impl Iterator<Item = (&str, &[(PathBuf, usize)])> {
        let repeated = self.0.iter().filter(|(_, places)| places.len() > 1);
        repeated.map(|(name, places)| (name.as_str(), places.as_slice()))
    }

    fn note(&mut self, file: &Path, tokens: &[TokenTree]) {
        for at in 0..tokens.len() {
            match &tokens[at..] {
                [TokenTree::Ident(word), TokenTree::Ident(name), ..] if defines(&word.to_string()) => {
                    let place = (file.to_owned(), name.span().start().line);
                    self.0.entry(name.to_string()).or_default().push(place);
                }
                [TokenTree::Group(body), ..] if !is_test_module(&tokens[..at]) => {
                    self.note(file, &body.stream().into_iter().collect::<Vec<_>>());
                }
                _ => {}
            }
        }
    }
}

fn is_production(file: &Path) -> bool {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let program = file.iter().any(|part| PROGRAMS.iter().any(|name| part == *name));
    let rust = file.extension().is_some_and(|kind| kind == "rs");
    rust && file.starts_with(SOURCES) && !program && stem != "tests" && !stem.ends_with("_tests")
}

fn defines(word: &str) -> bool {
    ["struct", "enum", "trait"].contains(&word)
}

/// True if the tokens before a group are `#[cfg(test)] mod name`.
fn is_test_module(before: &[TokenTree]) -> bool {
    let [.., TokenTree::Group(attribute), TokenTree::Ident(word), TokenTree::Ident(_)] = before else {
        return false;
    };
    let bracketed = attribute.delimiter() == Delimiter::Bracket;
    word == "mod" && bracketed && attribute.stream().to_string().replace(' ', "") == "cfg(test)"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeated(files: &[(&str, &str)]) -> Vec<(String, usize)> {
        let mut types = Types::default();
        for (file, source) in files {
            types.add(Path::new(file), source).unwrap();
        }
        types.repeated().map(|(name, places)| (name.to_owned(), places.len())).collect()
    }

    #[test]
    fn a_name_of_two_types_is_found_wherever_they_are() {
        let files = [
            ("core/proto/src/a.rs", "pub struct Half; enum Other {}"),
            ("core/peers/src/b.rs", "mod inner { pub(crate) enum Half { A } }"),
            ("core/relay/src/c.rs", "fn f() { trait Half {} }"),
        ];
        assert_eq!(repeated(&files), [("Half".to_owned(), 3)]);
    }

    #[test]
    fn tests_examples_and_other_folders_have_names_of_their_own() {
        let files = [
            ("core/proto/src/a.rs", "struct World; #[cfg(test)] mod tests { struct World; }"),
            ("core/proto/src/a/tests.rs", "struct World;"),
            ("core/proto/src/a/tests/flow.rs", "struct World;"),
            ("core/proto/src/a/wire_tests.rs", "struct World;"),
            ("core/peers/tests/session.rs", "struct World;"),
            ("core/relay/examples/idle.rs", "struct World;"),
            ("tests/sim/src/world.rs", "struct World;"),
        ];
        assert_eq!(repeated(&files), []);
    }

    #[test]
    fn uses_comments_and_aliases_define_nothing() {
        let files = [
            ("core/proto/src/a.rs", "struct Half; // struct Half\n type Half2 = u8;"),
            ("core/proto/src/b.rs", "use crate::a::Half; impl Half {} type Half2 = u8;"),
        ];
        assert_eq!(repeated(&files), []);
    }
}
