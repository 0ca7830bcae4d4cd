//! Credit: how many bytes the other side may send, counted from the beginning of the session so that a repeated or
//! reordered grant changes nothing.

/// The sender's half.
#[derive(Debug)]
pub(super) struct Allowance {
    used: u64,
    limit: u64,
}

impl Allowance {
    pub(super) const fn new(initial: u64) -> Self {
        Self { used: 0, limit: initial }
    }

    pub(super) const fn left(&self) -> u64 {
        self.limit - self.used
    }

    /// Takes `bytes`, all or nothing.
    pub(super) fn take(&mut self, bytes: u64) -> bool {
        let enough = bytes <= self.left();
        if enough {
            self.used += bytes;
        }
        enough
    }

    pub(super) fn raise(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }
}

/// The receiver's half.
#[derive(Debug)]
pub(super) struct Grant {
    window: u64,
    /// Bytes taken that are worth a grant.
    step: u64,
    used: u64,
    released: u64,
    granted: u64,
}

impl Grant {
    /// Few grants, and little of the window idle: one for every eighth of it.
    pub(super) const fn new(window: u64) -> Self {
        Self::with_step(window, window / 8)
    }

    /// A sender that needs up to `window - step` at once gets it when all is taken, whatever was not worth a grant.
    pub(super) const fn with_step(window: u64, step: u64) -> Self {
        Self { window, step, used: 0, released: 0, granted: window }
    }

    /// Counts what arrived; false if the peer had no credit for it.
    pub(super) fn charge(&mut self, bytes: u64) -> bool {
        self.used = self.used.saturating_add(bytes);
        self.used <= self.granted
    }

    /// Counts what the app has taken. Returns the new limit when it is worth telling.
    pub(super) fn release(&mut self, bytes: u64) -> Option<u64> {
        self.released += bytes;
        let limit = self.released + self.window;
        (limit - self.granted >= self.step).then(|| {
            self.granted = limit;
            limit
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_keep_the_sender_within_the_window() {
        let (mut grant, mut allowance) = (Grant::new(100), Allowance::new(100));
        assert!(allowance.take(60) && grant.charge(60));
        assert!(!allowance.take(41));
        assert_eq!(grant.release(10), None);
        let limit = grant.release(50).unwrap();
        assert_eq!(limit, 160);
        allowance.raise(limit);
        allowance.raise(120); // an old grant that comes late
        assert_eq!(allowance.left(), 100);
        assert!(allowance.take(100) && grant.charge(100));
        assert!(!grant.charge(1));
    }
}
