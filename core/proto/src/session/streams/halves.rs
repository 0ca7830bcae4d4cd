//! One stream: its two directions and where it comes from.

use crate::id::GroupId;
use crate::limits::STREAM_WINDOW;
use crate::session::credit::{Allowance, Grant};
use crate::session::error::StreamError;

use super::unread::Unread;
use super::unsent::Unsent;

#[derive(Debug)]
pub(super) enum End {
    Open,
    /// The app finished; the last segment is still to be sent.
    Finishing,
    Done,
    Failed(StreamError),
}

#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) queue: Unsent,
    pub(super) allowance: Allowance,
    pub(super) end: End,
    /// In the outbox's round.
    pub(super) scheduled: bool,
    /// Waits for credit.
    pub(super) parked: bool,
    /// The app was told that the queue is full and waits for room.
    pub(super) starved: bool,
}

#[derive(Debug)]
pub(super) struct IncomingHalf {
    pub(super) unread: Unread,
    pub(super) grant: Grant,
    pub(super) end: End,
    /// The app has been told of the end.
    pub(super) read_whole: bool,
    /// The app does not want the rest.
    pub(super) stopped: bool,
    /// Its group is no longer shared: the rest is dropped.
    pub(super) withdrawn: bool,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) origin: Origin,
    pub(super) outgoing: Outgoing,
    pub(super) incoming: IncomingHalf,
}

/// Where a stream comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::session) struct Origin {
    /// This device opened it.
    pub(in crate::session) own: bool,
    /// The group it belongs to.
    pub(in crate::session) group: Option<GroupId>,
}

impl Stream {
    pub(super) fn new(origin: Origin) -> Self {
        let outgoing = Outgoing {
            queue: Unsent::default(),
            allowance: Allowance::new(STREAM_WINDOW as u64),
            end: End::Open,
            scheduled: false,
            parked: false,
            starved: false,
        };
        let incoming = IncomingHalf {
            unread: Unread::default(),
            grant: Grant::new(STREAM_WINDOW as u64),
            end: End::Open,
            read_whole: false,
            stopped: false,
            withdrawn: false,
        };
        Self { origin, outgoing, incoming }
    }

    pub(super) fn is_over(&self) -> bool {
        let (out, inc) = (&self.outgoing, &self.incoming);
        let sent = matches!(out.end, End::Done | End::Failed(_));
        let taken = match inc.end {
            End::Done => inc.read_whole || inc.stopped,
            // Its reader is still to learn of it, unless it asked for it.
            End::Failed(_) => inc.stopped,
            // The opener keeps its place until the peer has answered: it counts what it opens.
            _ => inc.stopped && !self.origin.own,
        };
        sent && taken
    }
}
