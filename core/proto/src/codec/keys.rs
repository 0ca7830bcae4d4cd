//! The keys of the maps that are open while an object is validated.

use super::error::CodecError;

/// Up to this many keys are compared pair by pair, which needs no sorting; real objects rarely have more.
const FEW: usize = 8;

/// Keys of all open maps, outermost first. An inner map takes its keys away when it closes, before the next key of the outer
/// one arrives. So the keys of each map lie together, and one vector serves them all.
#[derive(Default)]
pub(super) struct Keys<'a>(Vec<&'a [u8]>);

impl<'a> Keys<'a> {
    /// Starts a map of `pairs` keys. The caller has checked that the input can hold that many.
    pub(super) fn open(&mut self, pairs: usize) -> usize {
        self.0.reserve(pairs);
        self.0.len()
    }

    #[inline]
    pub(super) fn push(&mut self, key: &'a [u8]) {
        self.0.push(key);
    }

    /// Ends the map whose keys begin at `start`, as returned by [`Keys::open`].
    ///
    /// Sorting costs `n log n` whatever the keys are; a hash table would need a secret to resist chosen ones.
    #[inline]
    pub(super) fn close(&mut self, start: usize) -> Result<(), CodecError> {
        let keys = &mut self.0[start..];
        let unique = if keys.len() <= FEW {
            (1..keys.len()).all(|i| !keys[..i].contains(&keys[i]))
        } else {
            keys.sort_unstable();
            keys.windows(2).all(|pair| pair[0] != pair[1])
        };
        self.0.truncate(start);
        if unique { Ok(()) } else { Err(CodecError::DuplicateKey) }
    }
}
