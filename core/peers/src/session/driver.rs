//! The task that owns a session: its paths, its handlers, its deadlines.

use std::collections::HashMap;
use std::sync::Arc;

use peers_proto::end_reason::EndReason;
use peers_proto::path::{PathEvent, PathId, Quality, Route, Status};
use peers_proto::seal::{Opener, Sealer};
use peers_proto::session::SessionError;
use peers_proto::time::{Instant, earliest};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::ended::Ended;
use super::path::{self, Farewell, PathEnd, PathHandle};
use super::shared::{Shared, State};
use crate::transport::{CloseReason, Transport};

/// A path that has passed its handshake.
pub(crate) struct NewPath {
    pub(crate) transport: Transport,
    pub(crate) seal: Option<(Sealer, Opener)>,
    /// The next frame the peer expects.
    pub(crate) peer_next: u64,
}

/// What the driver tells its client.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The session moved to another path.
    Path(Route),
    /// No path is left.
    Down(CloseReason),
    /// Whether the session can be used has changed.
    Status(Status),
    /// The path in use feels different.
    Quality(Quality),
    /// It ends for this reason, and the peer has not been told yet.
    Ending(EndReason),
    /// It has ended.
    Ended(EndReason),
}

/// How the driver tells its client. Must not block.
pub(crate) type Notify = Box<dyn Fn(Notice) + Send>;

/// Owns one session until it has ended.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    notify: Notify,
    incoming: mpsc::Receiver<NewPath>,
    paths: JoinSet<(PathId, PathEnd)>,
    handles: HashMap<PathId, Arc<PathHandle>>,
    next_path: u64,
    /// Why the last path ended.
    last_end: CloseReason,
    /// This device is away, and every path there was has been left.
    left: bool,
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, notify: Notify, incoming: mpsc::Receiver<NewPath>) -> Self {
        Self {
            shared,
            notify,
            incoming,
            paths: JoinSet::new(),
            handles: HashMap::new(),
            next_path: 0,
            last_end: CloseReason::Local,
            left: false,
        }
    }

    /// Runs until the session has ended and its paths are closed.
    pub(crate) async fn run(mut self) {
        while !self.shared.over.is_cancelled() {
            let deadline = self.deadline();
            let (shared, over) = (self.shared.clone(), self.shared.over.clone());
            tokio::select! {
                () = over.cancelled() => {}
                Some(path) = self.incoming.recv() => self.add(path),
                Some(Ok((id, end))) = self.paths.join_next() => self.remove(id, end),
                () = shared.signals.driver.notified() => {}
                () = shared.clock.sleep_until_any(deadline) => self.handle_timeout(),
            }
            let leaving = self.shared.lock().leaving;
            if let Some(patience) = leaving {
                self.handles.values().for_each(|handle| handle.leave(Farewell::Away(patience)));
            }
            self.follow(None);
            self.settle(leaving.is_some());
        }
        self.finish().await;
    }

    fn deadline(&self) -> Option<Instant> {
        let mut state = self.shared.lock();
        // While this device is away nothing is due: what was is done when it is back.
        let away = state.leaving.is_some() && self.handles.is_empty();
        let due = earliest(state.machine.poll_timeout(), state.paths.poll_timeout());
        state.driver_wakes = due.filter(|_| !away);
        state.driver_wakes
    }

    fn add(&mut self, path: NewPath) {
        let NewPath { transport, seal, peer_next } = path;
        let now = self.shared.clock.now();
        let handle = self.handle();
        let id = handle.id;
        self.shared.inspect(|s| {
            s.paths.add(id, transport.route, now);
            // Made while this device was going away: it is left at once.
            if let Some(patience) = s.leaving {
                s.paths.handle_away(patience, now);
            }
        });
        self.follow(Some((id, peer_next)));
        self.start(handle, transport, seal);
    }

    fn handle(&mut self) -> Arc<PathHandle> {
        let handle = Arc::new(PathHandle::new(PathId(self.next_path)));
        self.next_path += 1;
        self.handles.insert(handle.id, handle.clone());
        handle
    }

    fn start(&mut self, handle: Arc<PathHandle>, transport: Transport, seal: Option<(Sealer, Opener)>) {
        let (shared, id) = (self.shared.clone(), handle.id);
        self.paths.spawn(async move { (id, path::run(shared, handle, transport, seal).await) });
    }

    fn remove(&mut self, id: PathId, end: PathEnd) {
        self.handles.remove(&id);
        match end {
            PathEnd::Bye => self.end(EndReason::ClosedByPeer.into()),
            PathEnd::Closed(reason) => {
                self.last_end = reason;
                let now = self.shared.clock.now();
                self.shared.inspect(|s| s.paths.remove(id, now));
            }
        }
    }

    fn handle_timeout(&mut self) {
        let now = self.shared.clock.now();
        self.shared.inspect(|s| {
            s.paths.handle_timeout(now);
            s.machine.handle_timeout(now);
        });
    }

    /// Does what the paths' machine has decided. `fresh`: a path just made, and the frame its peer expects.
    fn follow(&mut self, fresh: Option<(PathId, u64)>) {
        loop {
            let event = {
                let mut state = self.shared.lock();
                let Some(event) = state.paths.poll_output() else { return };
                // Under the same lock, so that no frame goes the old way in between.
                if let Err(e) = self.turn(&mut state, event, fresh) {
                    drop(state);
                    return self.end(e.into());
                }
                event
            };
            match event {
                // A path that was on its way when this device left says goodbye and no more.
                PathEvent::Current(_) | PathEvent::Down | PathEvent::Status(_) | PathEvent::Quality(_)
                    if self.left => {}
                PathEvent::Current(_) => self.announce(),
                PathEvent::Down => {
                    self.shared.path.send_replace(None);
                    (self.notify)(Notice::Down(self.last_end.clone()));
                }
                PathEvent::Ask(id) => self.tell(id, PathHandle::wake),
                PathEvent::Leave(id) => self.tell(id, |handle| handle.leave(Farewell::Leave)),
                PathEvent::Dead(id) => {
                    self.last_end = CloseReason::TimedOut;
                    self.tell(id, PathHandle::kill);
                }
                PathEvent::Status(status) => {
                    self.shared.status.send_replace(status);
                    (self.notify)(Notice::Status(status));
                }
                PathEvent::Quality(quality) => (self.notify)(Notice::Quality(quality)),
                PathEvent::Lost => self.end(Ended::no_path(&self.last_end)),
            }
        }
    }

    fn turn(
        &self,
        state: &mut State,
        event: PathEvent,
        fresh: Option<(PathId, u64)>,
    ) -> Result<(), SessionError> {
        match event {
            PathEvent::Current(id) => {
                match fresh {
                    Some((new, next)) if new == id => state.machine.attach(next)?,
                    _ => state.machine.switch(),
                }
                state.current = self.handles.get(&id).cloned();
                if let Some(path) = &state.current {
                    path.wake();
                }
            }
            PathEvent::Down => {
                state.machine.detach();
                state.current = None;
            }
            _ => {}
        }
        Ok(())
    }

    /// Notices that this device has left, or is back: then what is true by now is told.
    fn settle(&mut self, leaving: bool) {
        let left = leaving && (self.left || self.handles.is_empty());
        if std::mem::replace(&mut self.left, left) && !left {
            self.announce();
            let status = self.shared.lock().paths.status();
            if self.shared.status.send_replace(status) != status {
                (self.notify)(Notice::Status(status));
            }
        }
    }

    fn end(&self, ended: Ended) {
        self.shared.end(ended);
    }

    fn announce(&self) {
        if let Some(route) = self.shared.route() {
            self.shared.path.send_replace(Some(route.kind));
            (self.notify)(Notice::Path(route));
        }
    }

    fn tell(&self, id: PathId, what: impl FnOnce(&PathHandle)) {
        if let Some(handle) = self.handles.get(&id) {
            what(handle);
        }
    }

    /// Says goodbye on every path and waits for them: each ends by itself within its transport's own deadline.
    async fn finish(mut self) {
        let ended = self.shared.lock().ended.clone().unwrap_or(EndReason::Closed.into());
        if ended.reason == EndReason::NoRuntime {
            // The peer would take the goodbye of what is left of it for a wish of the app.
            return;
        }
        (self.notify)(Notice::Ending(ended.reason));
        let mut answering = self.shared.inspect(|s| std::mem::take(&mut s.answering.tasks));
        answering.shutdown().await;
        // A path that came just now has a peer that waits at its other end: it is told, too.
        self.incoming.close();
        while let Ok(path) = self.incoming.try_recv() {
            let handle = self.handle();
            self.start(handle, path.transport, path.seal);
        }
        for handle in self.handles.values() {
            handle.leave(Farewell::Bye);
        }
        let goodbye = async { while self.paths.join_next().await.is_some() {} };
        // A transport that cannot even take a goodbye is dropped, which closes it.
        let _ = self.shared.clock.timeout(peers_proto::timing::GOODBYE, goodbye).await;
        self.paths.shutdown().await;
        self.shared.go_down();
        (self.notify)(Notice::Ended(ended.reason));
    }
}

impl Drop for Driver {
    /// Its runtime may be dropped under it: whatever waits for the session hears its end all the same.
    fn drop(&mut self) {
        self.shared.end(EndReason::NoRuntime.into());
        self.shared.go_down();
        self.shared.finished.cancel();
    }
}
