//! The operating system's randomness: keys, nonces, ids, jitter.

/// Fills `bytes` with unpredictable ones.
///
/// # Panics
/// If the operating system has none to give, which supported systems never report once they run apps. There is no
/// safe way to go on, and the panic ends one task, never with predictable bytes.
#[expect(clippy::panic, reason = "see above")]
pub fn fill(bytes: &mut [u8]) {
    if let Err(error) = getrandom::fill(bytes) {
        panic!("the operating system gives no randomness: {error}");
    }
}

/// `N` unpredictable bytes.
///
/// # Panics
/// Like [`fill`].
pub fn array<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_draws_differ() {
        assert_ne!(super::array::<32>(), super::array::<32>());
    }
}
