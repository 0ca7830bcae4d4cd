//! The list of promises: lines of `ID KIND text`, comments with `#`, and `due RANGES` lines.

use std::fmt;

/// The parsed list.
#[derive(Debug)]
pub(super) struct List {
    pub(super) rows: Vec<Row>,
    /// Ids that must have a test by now.
    pub(super) due: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// The kind of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Must,
    Test,
    Doc,
    Future,
}

impl Kind {
    /// Documents and plans are proven by reading.
    pub(super) fn needs_test(self) -> bool {
        matches!(self, Self::Must | Self::Test)
    }

    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "MUST" => Self::Must,
            "TEST" => Self::Test,
            "DOC" => Self::Doc,
            "FUT" => Self::Future,
            _ => return None,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Must => "MUST",
            Self::Test => "TEST",
            Self::Doc => "DOC",
            Self::Future => "FUT",
        })
    }
}

impl List {
    /// Reads the file's text; an error is a line number and what is wrong there.
    pub(super) fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut list = Self { rows: Vec::new(), due: Vec::new() };
        let mut due = Vec::new();
        for (line, content) in text.lines().enumerate().map(|(at, content)| (at + 1, content.trim())) {
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            match content.strip_prefix("due ") {
                Some(ranges) => due.push((line, ranges)),
                None => list.add(content).map_err(|reason| (line, reason))?,
            }
        }
        for (line, ranges) in due {
            let ids = list.ids(ranges).map_err(|reason| (line, reason))?;
            list.due.extend(ids);
        }
        Ok(list)
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.position(id).is_some()
    }

    /// The ids that `ranges` names: `S001..S006, S098`, ends included, in the order of the list.
    pub(super) fn ids(&self, ranges: &str) -> Result<Vec<String>, String> {
        let mut ids = Vec::new();
        for range in ranges.split([',', ' ']).filter(|range| !range.is_empty()) {
            let (from, to) = range.split_once("..").unwrap_or((range, range));
            let place = |id: &str| self.position(id).ok_or_else(|| format!("there is no row {id}"));
            let (from, to) = (place(from)?, place(to)?);
            if from > to {
                return Err(format!("{range} runs backwards"));
            }
            ids.extend(self.rows[from..=to].iter().map(|row| row.id.clone()));
        }
        Ok(ids)
    }

    fn add(&mut self, content: &str) -> Result<(), String> {
        let (id, rest) = content.split_once(' ').unwrap_or((content, ""));
        let (kind, text) = rest.trim_start().split_once(' ').unwrap_or_default();
        let Some(kind) = Kind::parse(kind) else {
            return Err("expected `ID MUST|TEST|DOC|FUT text`".into());
        };
        if self.contains(id) {
            return Err(format!("{id} is there twice"));
        }
        self.rows.push(Row { id: id.into(), kind, text: text.trim().into() });
        Ok(())
    }

    fn position(&self, id: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# title\n\ndue S001..S002, D01\nS001 MUST one\nS002 TEST two words\nD01  DOC three\n";

    #[test]
    fn rows_kinds_and_due_ranges_are_read() {
        let list = List::parse(TEXT).unwrap();
        assert_eq!(list.due, ["S001", "S002", "D01"]);
        assert_eq!((list.rows[1].kind, list.rows[1].text.as_str()), (Kind::Test, "two words"));
    }

    #[test]
    fn a_bad_line_is_named() {
        assert_eq!(List::parse("S001 MUST one\nS001 MUST again").unwrap_err().0, 2);
        assert_eq!(List::parse("\nS001 SHALL one").unwrap_err().0, 2);
        assert_eq!(List::parse("due S009").unwrap_err(), (1, "there is no row S009".into()));
    }

    #[test]
    fn a_range_that_runs_backwards_is_refused() {
        assert!(List::parse(TEXT).unwrap().ids("S002..S001").is_err());
    }
}
