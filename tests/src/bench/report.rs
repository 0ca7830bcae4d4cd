//! Figures as lines for people and for programs, and the bounds they must keep.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use super::Outcome;

/// One figure.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    pub(super) metric: String,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    /// Samples behind it.
    pub(super) n: usize,
    pub(super) baseline: Option<f64>,
    ratio: Option<f64>,
}

impl Figure {
    pub(super) fn new(metric: &str, unit: &'static str, value: f64, n: usize) -> Self {
        Self { metric: metric.to_owned(), value, unit, n, baseline: None, ratio: None }
    }

    pub(super) fn median(metric: &str, unit: &'static str, samples: &[f64]) -> Self {
        Self::new(metric, unit, percentile(samples, 50), samples.len())
    }

    /// The median of each side.
    pub(super) fn compared(metric: &str, unit: &'static str, ours: &[f64], theirs: &[f64]) -> Self {
        Self::median(metric, unit, ours).against(percentile(theirs, 50))
    }

    pub(super) fn against(self, baseline: f64) -> Self {
        Self { baseline: Some(baseline), ratio: Some(self.value / baseline), ..self }
    }
}

/// The bound that a figure must keep.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    RatioAtLeast(f64),
    RatioAtMost(f64),
    AtMost(f64),
    /// Reported only.
    Free,
}

impl Bound {
    fn holds(self, figure: &Figure) -> bool {
        let ratio = figure.ratio.unwrap_or(f64::NAN);
        match self {
            Self::RatioAtLeast(least) => ratio >= least,
            Self::RatioAtMost(most) => ratio <= most,
            Self::AtMost(most) => figure.value <= most,
            Self::Free => true,
        }
    }

    fn verdict(self, figure: &Figure) -> String {
        let word = if self.holds(figure) { "ok" } else { "MISSED" };
        match self {
            Self::RatioAtLeast(least) => format!("{word} (ratio at least {least})"),
            Self::RatioAtMost(most) => format!("{word} (ratio at most {most})"),
            Self::AtMost(most) => format!("{word} (at most {most})"),
            Self::Free => String::new(),
        }
    }
}

/// Prints figures as they come.
pub(super) struct Report {
    json: Option<BufWriter<File>>,
    missed: u32,
}

impl Report {
    pub(super) fn new(json: Option<&Path>) -> Outcome<Self> {
        let json = json.map(File::create).transpose()?.map(BufWriter::new);
        println!(
            "{:<32} {:>10} {:<8} {:>5} {:>10} {:>7}",
            "metric", "value", "unit", "n", "baseline", "ratio"
        );
        Ok(Self { json, missed: 0 })
    }

    pub(super) fn add(&mut self, figure: &Figure, bound: Bound) -> Outcome<()> {
        let Figure { metric, value, unit, n, baseline, ratio } = figure;
        let [baseline, ratio] = [baseline, ratio].map(|v| v.map_or("-".into(), |v| format!("{v:.2}")));
        let verdict = bound.verdict(figure);
        println!("{metric:<32} {value:>10.2} {unit:<8} {n:>5} {baseline:>10} {ratio:>7}  {verdict}");
        self.missed += u32::from(!bound.holds(figure));
        if let Some(json) = &mut self.json {
            serde_json::to_writer(&mut *json, figure)?;
            writeln!(json)?;
            json.flush()?;
        }
        Ok(())
    }

    /// The closing line; says whether every bound held.
    pub(super) fn close(self) -> bool {
        match self.missed {
            0 => println!("bench: ok"),
            missed => println!("bench: {missed} MISSED"),
        }
        self.missed == 0
    }
}

/// The smallest sample that `percent` of them do not exceed.
pub(super) fn percentile(samples: &[f64], percent: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_of_that_rank() {
        let samples: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!([1, 50, 99, 100].map(|p| percentile(&samples, p)), [1.0, 50.0, 99.0, 100.0]);
        assert_eq!(percentile(&[5.0, 1.0, 3.0], 50), 3.0);
    }

    #[test]
    fn a_bound_that_cannot_be_checked_is_missed() {
        let alone = Figure::new("x", "s", 1.0, 1);
        assert!(!Bound::RatioAtLeast(0.0).holds(&alone));
        assert!(Bound::AtMost(1.0).holds(&alone));
        let compared = alone.against(2.0);
        assert!(Bound::RatioAtMost(0.5).holds(&compared) && !Bound::RatioAtLeast(0.51).holds(&compared));
    }
}
