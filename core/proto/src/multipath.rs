//! A session over its paths: the frame that leaves on each path next, and the meaning of each frame that arrives.
//!
//! ```text
//!  connections made ─ add_path ──────┐                          ┌─> Current, Down: the path that carries the session
//!  frames of a path ─ handle_frame ──┤                          ├─> Ready: `poll_frame` has a frame for this path
//!  network, suspension, time ────────┼─> Multipath ─ poll_event ┼─> Dead: close this path without a frame
//!  a path can write ─ poll_frame ────┘                          └─> Status, Quality, Lost: for the driver and the app
//! ```
//!
//! [`SessionMachine`] numbers frames and knows no path; [`Paths`] chooses a path and knows no frame. This machine moves the session
//! at the moment the choice falls, so that no frame leaves on the former path in between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::network::AppState;
use crate::path::{Beat, PathEvent, PathId, PathInfo, Paths, Quality, Route, Status};
use crate::session::wire::{FrameKind, Header};
use crate::session::{SessionError, SessionMachine};
use crate::time::{Instant, earliest};

/// A session and the paths that carry it.
#[derive(Debug)]
pub struct Multipath {
    /// Its messages, calls and streams.
    pub session: SessionMachine,
    paths: Paths,
    /// Paths whose transport is open.
    open: BTreeSet<PathId>,
    /// The last frame of each path that closes.
    last: BTreeMap<PathId, LastFrame>,
    /// This device is suspended, and asks the peer to wait this long.
    suspended: Option<Duration>,
    /// Suspended, and every path has closed: what happens to paths that are made meanwhile is not reported.
    quiet: bool,
    /// The session has ended: nothing about its paths is reported, and a path that is added is closed.
    ended: bool,
    reported: Status,
    events: VecDeque<MultipathEvent>,
}

/// The frame that ends a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastFrame {
    /// The session goes on elsewhere.
    Leave,
    /// The session is closed.
    Bye,
    /// This device is suspended: the peer waits this long.
    Away(Duration),
}

/// An event for a session's driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MultipathEvent {
    /// This path carries the session from now on.
    Current(PathId, Route),
    /// No path is left.
    Down,
    /// [`Multipath::poll_frame`] has a frame for this path.
    Ready(PathId),
    /// This path has been silent for too long: close it.
    Dead(PathId),
    /// The status has changed.
    Status(Status),
    /// The quality of the current path has changed (S092, S160).
    Quality(Quality),
    /// No path came back within the window.
    Lost,
}

/// The meaning of a frame for its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// More frames may follow.
    More,
    /// The peer leaves this path.
    Left,
    /// The peer has closed the session.
    Closed,
}

/// The next frame of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transmit {
    /// Send it.
    Frame(Bytes),
    /// Send it and close the path.
    Last(Bytes),
    /// None before this time, unless something happens.
    Idle(Option<Instant>),
}

impl Multipath {
    /// A session without a path.
    pub fn new(session: SessionMachine, paths: Paths) -> Self {
        let reported = paths.status();
        Self {
            session,
            paths,
            open: BTreeSet::new(),
            last: BTreeMap::new(),
            suspended: None,
            quiet: false,
            ended: false,
            reported,
            events: VecDeque::new(),
        }
    }

    // ---- paths ----

    /// A connection has passed its handshake, and its peer expects the frame `next`. Ids are given in the order in which
    /// paths are made.
    ///
    /// # Errors
    /// The peer expects a frame that was never sent.
    pub fn add_path(
        &mut self,
        id: PathId,
        route: Route,
        next: u64,
        now: Instant,
    ) -> Result<(), SessionError> {
        self.open.insert(id);
        if self.ended {
            self.end_path(id, LastFrame::Bye);
            return Ok(());
        }
        self.paths.add(id, route, now);
        if let Some(patience) = self.suspended {
            self.paths.handle_away(patience, now);
            self.end_path(id, LastFrame::Away(patience));
        }
        self.settle(Some((id, next)), now)
    }

    /// The transport of a path has ended.
    pub fn remove_path(&mut self, id: PathId, now: Instant) {
        self.open.remove(&id);
        self.last.remove(&id);
        self.paths.remove(id, now);
        self.update(now);
    }

    /// Takes an opened frame of a path.
    ///
    /// # Errors
    /// The peer broke the protocol, or holds more of this device's memory than it may: the session ends.
    pub fn handle_frame(
        &mut self,
        id: PathId,
        frame: &Bytes,
        now: Instant,
    ) -> Result<Received, SessionError> {
        let header = Header::read(&mut &frame[..])?;
        let data = matches!(header.kind, FrameKind::Data | FrameKind::Ack);
        self.paths.received(id, frame.len(), data, now);
        match header.kind {
            FrameKind::Ping => self.paths.handle_ping(id, header.seq),
            FrameKind::Pong => self.paths.handle_pong(id, header.seq, now),
            FrameKind::Away => self.paths.handle_away(Duration::from_secs(header.seq), now),
            FrameKind::Leave | FrameKind::Bye | FrameKind::Data | FrameKind::Ack => {}
        }
        self.session.handle_frame(frame, now)?;
        self.update(now);
        Ok(match header.kind {
            FrameKind::Leave | FrameKind::Away => Received::Left,
            FrameKind::Bye => Received::Closed,
            FrameKind::Ping | FrameKind::Pong | FrameKind::Data | FrameKind::Ack => Received::More,
        })
    }

    /// The next frame of a path.
    pub fn poll_frame(&mut self, id: PathId, now: Instant) -> Transmit {
        if let Some(last) = self.last.get(&id) {
            let (kind, number) = match last {
                LastFrame::Leave => (FrameKind::Leave, 0),
                LastFrame::Bye => (FrameKind::Bye, 0),
                LastFrame::Away(patience) => (FrameKind::Away, patience.as_secs()),
            };
            return Transmit::Last(self.session.header_frame(kind, number));
        }
        let beat = self.paths.poll_beat(id, now).map(|beat| match beat {
            Beat::Ping { number, full } => self.session.ping(number, full),
            Beat::Pong(number) => self.session.header_frame(FrameKind::Pong, number),
        });
        if let Some(frame) = beat {
            self.paths.sent(id, frame.len(), false, now);
            return Transmit::Frame(frame);
        }
        if self.paths.current() != Some(id) {
            return Transmit::Idle(None);
        }
        let Some(frame) = self.session.poll_frame(now) else {
            return Transmit::Idle(self.session.ack_timeout());
        };
        self.paths.sent(id, frame.len(), true, now);
        self.update(now);
        Transmit::Frame(frame)
    }

    /// True if the path closes once its last frame has left.
    pub fn is_closing(&self, id: PathId) -> bool {
        self.last.contains_key(&id)
    }

    // ---- the device ----

    /// The network may have changed. If it is `another` one, no path is relied on before it answers.
    pub fn network_changed(&mut self, another: bool, now: Instant) {
        self.paths.network_changed(another, now);
        self.update(now);
    }

    /// The app came to the foreground or left it: in the foreground a path through the relay is kept in reserve.
    pub fn set_app_state(&mut self, app: AppState, now: Instant) {
        self.paths.set_app_state(app, now);
        self.update(now);
    }

    /// Sets whether data costs money on the network: then idle paths are asked half as often.
    pub fn set_metered(&mut self, metered: bool) {
        self.paths.set_metered(metered);
    }

    /// Closes every path, and asks the peer to wait this long for the next one.
    pub fn suspend(&mut self, patience: Duration, now: Instant) {
        self.paths.handle_away(patience, now);
        self.suspended = Some(patience);
        for id in self.open.clone() {
            self.end_path(id, LastFrame::Away(patience));
        }
        self.update(now);
    }

    /// This device is back, and the session waits for a path as it usually does.
    pub fn resume(&mut self, now: Instant) {
        self.suspended = None;
        self.paths.handle_return(now);
        self.update(now);
    }

    /// Ends the session: waiting calls are answered, and nothing else is kept but messages that have arrived.
    pub fn end(&mut self) {
        self.session.end();
        self.ended = true;
        self.events.clear();
    }

    /// Closes every path of a session that has ended.
    pub fn close_paths(&mut self) {
        for id in self.open.clone() {
            self.end_path(id, LastFrame::Bye);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.paths.handle_timeout(now);
        self.session.handle_timeout(now);
        self.update(now);
    }

    // ---- what follows ----

    /// The next event.
    pub fn poll_event(&mut self) -> Option<MultipathEvent> {
        self.events.pop_front()
    }

    /// True if [`Multipath::poll_event`] has something.
    pub fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    /// The time of the next [`Multipath::handle_timeout`]: none while this device is suspended and its paths are closed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.suspended.is_some() && self.open.is_empty() {
            return None;
        }
        earliest(self.session.poll_timeout(), self.paths.poll_timeout())
    }

    /// The path that carries the session.
    pub fn current(&self) -> Option<PathId> {
        self.paths.current()
    }

    /// The route of the path that carries the session.
    pub fn route(&self) -> Option<Route> {
        self.paths.route()
    }

    /// The status of the session.
    pub fn status(&self) -> Status {
        self.paths.status()
    }

    /// Measurements of the path that carries the session.
    pub fn info(&self, now: Instant) -> Option<PathInfo> {
        self.paths.info(now)
    }

    /// The time at which data last went either way.
    pub fn used(&self) -> Instant {
        self.paths.used()
    }

    /// Paths whose transport is open, in the order in which they were made.
    pub fn open_paths(&self) -> impl Iterator<Item = PathId> {
        self.open.iter().copied()
    }

    /// The first reason to end a path counts.
    fn end_path(&mut self, id: PathId, last: LastFrame) {
        if self.open.contains(&id) {
            self.last.entry(id).or_insert(last);
            self.events.push_back(MultipathEvent::Ready(id));
        }
    }

    fn update(&mut self, now: Instant) {
        if self.ended {
            return;
        }
        // Only a path that is added says which frame its peer expects, which is all that can be wrong.
        let _ = self.settle(None, now);
    }

    /// Moves the session to the path that was chosen. `fresh`: a path just made, and the frame that its peer expects.
    fn settle(&mut self, fresh: Option<(PathId, u64)>, now: Instant) -> Result<(), SessionError> {
        self.paths.set_outstanding(self.session.unacknowledged(), || now);
        while let Some(event) = self.paths.poll_output() {
            match event {
                PathEvent::Current(id) => {
                    match fresh {
                        Some((new, next)) if new == id => self.session.attach(next)?,
                        _ => self.session.switch(),
                    }
                    self.events.push_back(MultipathEvent::Ready(id));
                    self.report_current();
                }
                PathEvent::Down => {
                    self.session.detach();
                    if !self.quiet {
                        self.events.push_back(MultipathEvent::Down);
                    }
                }
                PathEvent::Ask(id) => self.events.push_back(MultipathEvent::Ready(id)),
                PathEvent::Leave(id) => self.end_path(id, LastFrame::Leave),
                PathEvent::Dead(id) => self.events.push_back(MultipathEvent::Dead(id)),
                PathEvent::Status(_) => self.report_status(),
                PathEvent::Quality(quality) if !self.quiet => {
                    self.events.push_back(MultipathEvent::Quality(quality));
                }
                PathEvent::Quality(_) => {}
                PathEvent::Lost => self.events.push_back(MultipathEvent::Lost),
            }
        }
        let quiet = self.suspended.is_some() && (self.quiet || self.open.is_empty());
        if std::mem::replace(&mut self.quiet, quiet) && !quiet {
            self.report_current();
            self.report_status();
        }
        Ok(())
    }

    fn report_current(&mut self) {
        if !self.quiet
            && let (Some(id), Some(route)) = (self.paths.current(), self.paths.route())
        {
            self.events.push_back(MultipathEvent::Current(id, route));
        }
    }

    fn report_status(&mut self) {
        let status = self.paths.status();
        if !self.quiet && std::mem::replace(&mut self.reported, status) != status {
            self.events.push_back(MultipathEvent::Status(status));
        }
    }
}

#[cfg(test)]
mod tests;
