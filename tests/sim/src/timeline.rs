//! What happened, for people who look for the reason of a failure.

use peers_proto::time::Instant;

/// Silent in sweeps; a replay writes everything down.
#[derive(Debug, Default)]
pub(crate) struct Timeline(Option<Vec<String>>);

impl Timeline {
    pub(crate) fn recording() -> Self {
        Self(Some(Vec::new()))
    }

    /// `line` is only made when somebody will read it.
    pub(crate) fn note(&mut self, now: Instant, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.0 {
            let micros = now.as_micros();
            lines.push(format!("{:>5}.{:06} {}", micros / 1_000_000, micros % 1_000_000, line()));
        }
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.0.unwrap_or_default()
    }
}
