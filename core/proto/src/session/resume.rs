//! What each side says in READY so that a session goes on over a new connection.

/// Names the author's instance of the session, the peer's instance it speaks with, and the next frame it expects of it.
///
/// A side whose session speaks with instance `epoch` of its peer goes on with it; any other epoch means that the peer
/// has forgotten, and both start afresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// The author's instance of the session; random, never 0. A new one whenever a session has ended.
    pub epoch: u64,
    /// The peer's instance that the author's session speaks with; 0 if there is no session yet.
    pub with: u64,
    /// First DATA frame of that instance which the author has not received. If there is no session yet: the peer's instance in
    /// the session that was closed last, or 0. A peer that has not heard of that end then does not take it for a restart.
    pub next: u64,
}

/// The meaning of two READYs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconciled {
    /// The session goes on: everything from this frame on is sent again.
    Resume {
        /// The first frame that the peer expects.
        next: u64,
    },
    /// The peer has another instance: the session there was is lost, and a new one begins at frame 0.
    New,
    /// This side has another epoch or another session by now, the two epochs have had their session, or it was closed. The
    /// connection is closed, and the next handshake decides.
    Stale,
}

/// The epoch of this side's session with one peer, and those it is spoken with. A pair of epochs has one session and never
/// another, so a frame number cannot be taken for another session's.
#[derive(Debug, Clone)]
pub struct Epochs {
    epoch: u64,
    with: Option<u64>,
    /// The peer's instances that this one had a session with.
    left: Vec<u64>,
    /// The epochs of the session that was closed last, this side's first; zeros if none was.
    closed: (u64, u64),
}

impl Epochs {
    /// A side that has no session yet. `random`: any number never used before.
    pub fn new(random: u64) -> Self {
        Self { epoch: random.max(1), with: None, left: Vec::new(), closed: (0, 0) }
    }

    /// What to say in READY if the session, if there is one, expects frame `next`.
    pub fn ready(&self, next: u64) -> Resume {
        Resume {
            epoch: self.epoch,
            with: self.with.unwrap_or(0),
            next: self.with.map_or(self.closed.1, |_| next),
        }
    }

    /// The same on a connection that this side dialed in the epoch `dialed_as`; none if the peer dialed. A dial for a session
    /// that was closed meanwhile still speaks for that session, so that it is stale at both ends.
    pub fn ready_as(&self, dialed_as: Option<u64>, next: u64) -> Resume {
        let (epoch, with) = self.closed;
        if dialed_as.is_some_and(|epoch| self.has_closed(epoch)) {
            Resume { epoch, with, next: 0 }
        } else {
            self.ready(next)
        }
    }

    /// Whether this side had this epoch in the session that was closed last.
    pub fn has_closed(&self, epoch: u64) -> bool {
        self.closed.0 == epoch
    }

    /// Compares the READYs of a connection. Unless the session is resumed, the session there was has ended. `dialed`: this side
    /// began the connection. A side that has closed a session dials for another one, whether or not the peer knows of the end.
    /// A side that has not dials for the old one, which is stale.
    pub fn reconcile(&mut self, said: Resume, theirs: Resume, dialed: bool, random: u64) -> Reconciled {
        if said.epoch == self.epoch && self.with == Some(theirs.epoch) {
            // Handshakes overlap: these words may be older than the session, and their number another session's.
            return Reconciled::Resume { next: if theirs.with == self.epoch { theirs.next } else { 0 } };
        }
        if said.epoch != self.epoch {
            return Reconciled::Stale;
        }
        // Another handshake has replaced the session meanwhile. The author of this READY may have died before that one.
        if said.with != self.with.unwrap_or(0) {
            return Reconciled::Stale;
        }
        let (mine, its) = self.closed;
        // The peer dials for a session that was closed here, or began to before it had that session; what was said tells
        // it so. A peer with a session for the present epoch dials for that one: its last READY was lost.
        let before = theirs.epoch == its && theirs.with != self.epoch;
        if !dialed && its != 0 && (theirs.with == mine || before) {
            return Reconciled::Stale;
        }
        // This side dials for a session that the peer has closed, or under a name that was used for one: the last word of a
        // handshake may have been lost.
        if dialed && theirs.has_closed(self.epoch) {
            self.close(random);
            return Reconciled::Stale;
        }
        self.left.extend(self.with);
        // A former instance is back: an instance that died in the middle of a handshake came between.
        if self.left.contains(&theirs.epoch) || self.left.len() > MAX_LEFT {
            self.end(random);
            return Reconciled::Stale;
        }
        self.with = Some(theirs.epoch);
        Reconciled::New
    }

    /// The session has ended for another reason than a meeting.
    pub fn end(&mut self, random: u64) {
        *self = Self::new(random);
    }

    /// The session was closed, here or by the peer. A peer that has not heard of it yet is told when it connects again.
    pub fn close(&mut self, random: u64) {
        *self = Self { closed: (self.epoch, self.with.unwrap_or(0)), ..Self::new(random) };
    }

    /// The peer's instance that this one has a session with.
    pub fn with(&self) -> Option<u64> {
        self.with
    }

    /// The present epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
}

/// Restarts of the peer after which an instance takes a new name instead of remembering one more.
const MAX_LEFT: usize = 16;

impl Resume {
    /// Whether the author has closed its session with this instance of the reader.
    pub fn has_closed(&self, instance: u64) -> bool {
        self.with == 0 && self.next == instance
    }

    /// Bytes of its encoding: three big-endian 64-bit numbers.
    pub const LEN: usize = 24;

    /// The bytes for READY.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        for (field, number) in out.chunks_exact_mut(8).zip([self.epoch, self.with, self.next]) {
            field.copy_from_slice(&number.to_be_bytes());
        }
        out
    }

    /// Reads READY's bytes; `None` for another length or an epoch of zero.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, []) = bytes.as_chunks() else { return None };
        let &[epoch, with, next] = numbers else { return None };
        let resume = Self {
            epoch: u64::from_be_bytes(epoch),
            with: u64::from_be_bytes(with),
            next: u64::from_be_bytes(next),
        };
        (resume.epoch != 0).then_some(resume)
    }
}
