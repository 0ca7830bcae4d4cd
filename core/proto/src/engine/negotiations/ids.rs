//! Fresh connection ids and instances.

use sha2::{Digest, Sha256};

/// A generator of ids: SHA-256 of a secret and a counter. Ids that were seen do not tell the next ones.
pub(in crate::engine) struct Ids {
    secret: [u8; 32],
    drawn: u64,
}

impl Ids {
    pub(in crate::engine) fn new(secret: [u8; 32]) -> Self {
        Self { secret, drawn: 0 }
    }

    /// A generator with a secret of its own.
    pub(super) fn split(&mut self) -> Self {
        Self::new(self.draw())
    }

    /// `N` fresh bytes, at most 32.
    pub(in crate::engine) fn fresh<const N: usize>(&mut self) -> [u8; N] {
        let drawn = self.draw();
        std::array::from_fn(|at| drawn[at])
    }

    fn draw(&mut self) -> [u8; 32] {
        self.drawn += 1;
        Sha256::new().chain_update(self.secret).chain_update(self.drawn.to_be_bytes()).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_draw_of_every_generator_differs() {
        let mut ids = Ids::new([7; 32]);
        let mut drawn: Vec<[u8; 16]> = Vec::new();
        for _ in 0..3 {
            let mut split = ids.split();
            drawn.extend([ids.fresh(), split.fresh(), split.fresh()]);
        }
        let before = drawn.len();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), before);
    }
}
