//! Ceilings of counted faults: a count may fall and never rise.

use std::collections::BTreeMap;
use std::fs;

use crate::error::Error;
use crate::workspace;

/// The committed file: a line of name and number for each count, comments with `#`.
const FILE: &str = "scripts/xtask/counts.txt";

/// The highest value that each count may have.
#[derive(Debug)]
pub(crate) struct Ceilings(BTreeMap<String, usize>);

/// A count as found in the checkout.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) name: &'static str,
    pub(crate) found: usize,
}

impl Ceilings {
    /// Reads the committed file.
    pub(crate) fn load() -> Result<Self, Error> {
        let path = workspace::root().join(FILE);
        let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
        Self::parse(&text).map_err(|line| Error::Check(format!("{FILE}: expected `name number`: {line}")))
    }

    /// Prints each count beside its ceiling. Fails when one is above it.
    pub(crate) fn check(&self, counts: &[Count]) -> Result<(), Error> {
        let judged: Vec<_> = counts.iter().map(|count| self.judge(*count)).collect();
        for line in judged.iter().flatten() {
            println!("{line}");
        }
        let faults: Vec<_> = judged.into_iter().filter_map(Result::err).collect();
        if faults.is_empty() { Ok(()) } else { Err(Error::Check(faults.join("\n  "))) }
    }

    /// The line to print; the error is the fault.
    fn judge(&self, Count { name, found }: Count) -> Result<String, String> {
        match self.0.get(name) {
            None => Err(format!("{name} has no line in {FILE}: it is {found}")),
            Some(&most) if found > most => {
                Err(format!("{name} is {found}, at most {most} is allowed ({FILE})"))
            }
            Some(&most) if found < most => Ok(format!("{name} {found}: lower its {most} in {FILE}")),
            Some(_) => Ok(format!("{name} {found}")),
        }
    }

    /// The error is the line that is none of ours.
    fn parse(text: &str) -> Result<Self, &str> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let entry = |line| {
            let (name, number): (&str, &str) = str::split_once(line, ' ').ok_or(line)?;
            Ok((name.to_owned(), number.parse().map_err(|_| line)?))
        };
        Ok(Self(lines.map(entry).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, found: usize) -> Result<(), Error> {
        Ceilings::parse(text).unwrap().check(&[Count { name: "faults", found }])
    }

    #[test]
    fn a_count_may_fall_and_not_rise() {
        let text = "# ceilings\n\nfaults 3\nothers 0\n";
        assert!(check(text, 2).is_ok());
        assert!(check(text, 3).is_ok());
        let error = check(text, 4).unwrap_err().to_string();
        assert!(error.starts_with("faults is 4, at most 3"), "{error}");
    }

    #[test]
    fn a_count_below_its_ceiling_asks_for_a_lower_one() {
        let ceilings = Ceilings::parse("faults 3").unwrap();
        assert!(ceilings.judge(Count { name: "faults", found: 2 }).unwrap().contains("lower its 3"));
        assert_eq!(ceilings.judge(Count { name: "faults", found: 3 }).unwrap(), "faults 3");
    }

    #[test]
    fn a_count_without_a_line_is_a_fault() {
        assert!(check("others 3", 0).is_err());
    }

    #[test]
    fn a_line_that_is_not_a_name_and_a_number_is_an_error() {
        assert_eq!(Ceilings::parse("faults 3\nothers").unwrap_err(), "others");
        assert_eq!(Ceilings::parse("faults few").unwrap_err(), "faults few");
    }
}
