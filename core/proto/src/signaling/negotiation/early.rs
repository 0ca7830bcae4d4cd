//! What a negotiation keeps of attempts that have not begun for it yet.

use std::collections::VecDeque;

use crate::id::ConnectionId;
use crate::limits;

/// Candidates that overtook their offer: [`limits::MAX_CANDIDATES`] each for the [`limits::MAX_EARLY_ATTEMPTS`]
/// attempts heard of last.
#[derive(Debug, Default)]
pub(super) struct Early(VecDeque<(ConnectionId, Vec<String>)>);

impl Early {
    pub(super) fn add(&mut self, id: ConnectionId, candidates: Vec<String>) {
        let at = self.0.iter().position(|(known, _)| *known == id).unwrap_or_else(|| {
            if self.0.len() == limits::MAX_EARLY_ATTEMPTS {
                self.0.pop_front();
            }
            self.0.push_back((id, Vec::new()));
            self.0.len() - 1
        });
        let (_, waiting) = &mut self.0[at];
        let room = limits::MAX_CANDIDATES.saturating_sub(waiting.len());
        waiting.extend(candidates.into_iter().take(room));
    }

    pub(super) fn take(&mut self, id: ConnectionId) -> Vec<String> {
        let at = self.0.iter().position(|(known, _)| *known == id);
        at.and_then(|at| self.0.remove(at)).map(|(_, candidates)| candidates).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> ConnectionId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
        ConnectionId::from_bytes(bytes)
    }

    #[test]
    fn early_candidates_are_bounded_per_attempt_and_in_attempts() {
        let mut early = Early::default();
        for _ in 0..3 {
            early.add(id(0), vec!["c".into(); limits::MAX_CANDIDATES - 1]);
        }
        assert_eq!(early.take(id(0)).len(), limits::MAX_CANDIDATES);
        assert!(early.take(id(0)).is_empty(), "taken");
        for n in 0..=limits::MAX_EARLY_ATTEMPTS {
            early.add(id(n), vec!["c".into()]);
        }
        assert!(early.take(id(0)).is_empty(), "forgotten");
        assert_eq!(early.take(id(1)).len(), 1);
    }
}
