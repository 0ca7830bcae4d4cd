//! All paths (`a::b::c`) that a source file names, found in its tokens: in `use` lines, expressions, types and
//! macros alike, never in comments or strings.

use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// One path as written, with the inline modules around it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NamedPath {
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
    /// Inline modules (`mod tests { … }`) that enclose it, outermost first.
    pub(super) modules: Vec<String>,
}

/// Reads `source`; the error is the tokenizer's.
pub(super) fn find(source: &str) -> Result<Vec<NamedPath>, String> {
    let tokens = TokenStream::from_str(source).map_err(|error| error.to_string())?;
    let mut reader = Reader { found: Vec::new(), modules: Vec::new() };
    reader.block(tokens);
    Ok(reader.found)
}

struct Reader {
    found: Vec<NamedPath>,
    modules: Vec<String>,
}

impl Reader {
    fn block(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at = self.item(&tokens, at);
        }
    }

    /// Reads what starts at `at` and returns where the next begins.
    fn item(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        if let Some(body) = inline_module(&tokens[at..]) {
            self.modules.push(tokens[at + 1].to_string());
            self.block(body);
            self.modules.pop();
            return at + 3;
        }
        match &tokens[at] {
            TokenTree::Ident(_) => self.path(tokens, at, &[]),
            TokenTree::Group(group) => {
                self.block(group.stream());
                at + 1
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => at + 1,
        }
    }

    /// Reads a path whose first own segment is at `at`, below `prefix`; braces and globs end it.
    fn path(&mut self, tokens: &[TokenTree], mut at: usize, prefix: &[String]) -> usize {
        let line = tokens[at].span().start().line;
        let mut segments = prefix.to_vec();
        loop {
            match tokens.get(at) {
                Some(TokenTree::Ident(name)) => segments.push(name.to_string()),
                Some(TokenTree::Punct(star)) if star.as_char() == '*' => segments.push("*".into()),
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.branches(group.stream(), &segments);
                    return at + 1;
                }
                _ => break,
            }
            at += 1;
            if !is_separator(tokens, at) {
                break;
            }
            at += 2;
        }
        self.found.push(NamedPath { line, segments, modules: self.modules.clone() });
        at
    }

    /// The inside of `prefix::{ … }`.
    fn branches(&mut self, tokens: TokenStream, prefix: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',');
        for branch in tokens.split(is_comma).filter(|branch| !branch.is_empty()) {
            self.path(branch, 0, prefix);
        }
    }
}

fn is_separator(tokens: &[TokenTree], at: usize) -> bool {
    let colon =
        |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(mark)) if mark.as_char() == ':');
    colon(tokens.get(at)) && colon(tokens.get(at + 1))
}

/// The body, if `tokens` begin with `mod name { … }`.
fn inline_module(tokens: &[TokenTree]) -> Option<TokenStream> {
    match tokens {
        [TokenTree::Ident(word), TokenTree::Ident(_), TokenTree::Group(body), ..]
            if word == "mod" && body.delimiter() == Delimiter::Brace =>
        {
            Some(body.stream())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(source: &str) -> Vec<String> {
        let long = |path: &NamedPath| path.segments.len() > 1;
        find(source).unwrap().iter().filter(|path| long(path)).map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn nested_groups_and_globs_are_expanded() {
        assert_eq!(
            paths("use a::{b, c::{self, d as e}, f::*};"),
            ["a::b", "a::c::self", "a::c::d", "a::f::*"]
        );
    }

    #[test]
    fn paths_in_expressions_types_and_macros_are_found() {
        assert_eq!(
            paths("fn f(x: a::B<c::D>) { assert!(e::f() == g::H { x: i::J }.k); }"),
            ["a::B", "c::D", "e::f", "g::H", "i::J"]
        );
    }

    #[test]
    fn comments_and_strings_name_nothing() {
        assert!(paths("//! uses tokio::spawn\n/* a::b */ const A: &str = \"c::d\";").is_empty());
    }

    #[test]
    fn inline_modules_and_lines_are_kept() {
        let found = find("mod outer {\n mod inner {\n  use super::a;\n }\n}").unwrap();
        let path = found.iter().find(|path| path.segments == ["super", "a"]).unwrap();
        assert_eq!((path.line, path.modules.as_slice()), (3, ["outer".into(), "inner".into()].as_slice()));
    }

    #[test]
    fn what_is_not_rust_is_an_error() {
        assert!(find("fn f( {").is_err());
    }
}
