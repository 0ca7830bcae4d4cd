//! `cargo xtask layers`: data flows one way, and this check keeps it so.

mod edges;
mod imports;
mod paths;
mod rules;

use std::fs;

use crate::error::Error;
use crate::metadata::Metadata;
use crate::workspace;

/// Checks crate edges, then the imports of every crate that has rules; reports all offences, not the first only.
pub(crate) fn run() -> Result<(), Error> {
    let metadata = Metadata::load()?;
    let mut offences = edges::check(&metadata.packages);
    let mut sources = 0;
    for rules in rules::SOURCES {
        let folder = workspace::root().join(rules.folder);
        for path in workspace::files(&folder, |path| path.extension().is_some_and(|kind| kind == "rs"))? {
            let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
            let inside = path.strip_prefix(&folder).unwrap_or(&path);
            let found = imports::check(rules, inside, &text)
                .map_err(|reason| Error::NotRust { path: path.clone(), reason })?;
            offences.extend(found.iter().map(|offence| format!("{}:{offence}", path.display())));
            sources += 1;
        }
    }
    if offences.is_empty() {
        println!("layers: {} crates and {sources} files keep to the rules", metadata.packages.len());
        return Ok(());
    }
    Err(Error::Check(format!("{} wrong imports\n  {}", offences.len(), offences.join("\n  "))))
}
