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
    /// First DATA frame of that instance which the author has not received. If there is no session yet: the peer's instance
    /// in the session that was closed last, so that a peer that has not heard of it does not take it for a restart; or 0.
    pub next: u64,
}

/// What two READYs mean together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meeting {
    /// The session goes on: everything from this frame on is sent again.
    GoesOn(u64),
    /// The peer has forgotten the session: what there was is lost, a new one begins at frame 0.
    StartsAfresh,
    /// This side has another name by now, these two names have had their session, or it was closed: the connection is
    /// closed, what there was is over, and the next handshake starts afresh.
    Void,
}

/// This side's instance of the session with one peer. A pair of instances has one session and never another, so a frame
/// number cannot be taken for another session's.
#[derive(Debug, Clone)]
pub struct Instance {
    epoch: u64,
    with: Option<u64>,
    /// The peer's instances that this one had a session with.
    left: Vec<u64>,
    /// What the two sides were called in the session that was closed last, this one first; zeros if none was.
    closed: (u64, u64),
}

impl Instance {
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

    /// The same on a connection that this side dialed when it was called `name`; none if the peer dialed. What was dialed for
    /// a session that was closed meanwhile still speaks for that one, so that it comes to nothing at either end.
    pub fn ready_as(&self, name: Option<u64>, next: u64) -> Resume {
        let (epoch, with) = self.closed;
        if name.is_some_and(|name| self.has_closed(name)) {
            Resume { epoch, with, next: 0 }
        } else {
            self.ready(next)
        }
    }

    /// Whether this side was called `name` in the session that was closed last.
    pub fn has_closed(&self, name: u64) -> bool {
        self.closed.0 == name
    }

    /// Judges a connection on which this side said `said` and the peer `theirs`. Unless the session goes on, the one
    /// there was has ended. `dialed`: this side began it. Who has closed a session dials for another one, whether or not the
    /// peer has heard of the end; who has not dials for the old one, which is over.
    pub fn meet(&mut self, said: Resume, theirs: Resume, dialed: bool, random: u64) -> Meeting {
        if said.epoch == self.epoch && self.with == Some(theirs.epoch) {
            // Handshakes overlap: these words may be older than the session, and their number another session's.
            return Meeting::GoesOn(if theirs.with == self.epoch { theirs.next } else { 0 });
        }
        if said.epoch != self.epoch {
            return Meeting::Void;
        }
        let (mine, its) = self.closed;
        // The peer dials for a session that was closed here, or began to before it had that session; what was said tells
        // it so.
        if !dialed && its != 0 && (theirs.with == mine || theirs.epoch == its) {
            return Meeting::Void;
        }
        // This side dials for a session that the peer has closed, or under a name that was used for one: the last word of a
        // handshake may have been lost.
        if dialed && theirs.has_closed(self.epoch) {
            self.closed(random);
            return Meeting::Void;
        }
        self.left.extend(self.with);
        // Somebody who was left is back: an instance that died in the middle of a handshake came between.
        if self.left.contains(&theirs.epoch) || self.left.len() > MAX_LEFT {
            self.ended(random);
            return Meeting::Void;
        }
        self.with = Some(theirs.epoch);
        Meeting::StartsAfresh
    }

    /// The session has ended for another reason than a meeting.
    pub fn ended(&mut self, random: u64) {
        *self = Self::new(random);
    }

    /// The session was closed, here or by the peer. A peer that has not heard of it yet is told when it connects again.
    pub fn closed(&mut self, random: u64) {
        *self = Self { closed: (self.epoch, self.with.unwrap_or(0)), ..Self::new(random) };
    }

    /// The peer's instance that this one has a session with.
    pub fn with(&self) -> Option<u64> {
        self.with
    }

    /// Its name.
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
