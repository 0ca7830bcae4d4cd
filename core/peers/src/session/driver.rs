//! The task that owns a session: its paths, its handlers, its deadlines.

use std::collections::HashMap;
use std::sync::Arc;

use peers_proto::end_reason::EndReason;
use peers_proto::engine::SessionChange;
use peers_proto::multipath::MultipathEvent;
use peers_proto::path::PathId;
use peers_proto::seal::{Opener, Sealer};
use peers_proto::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::ended::Ended;
use super::path::{self, PathEnd, PathHandle};
use super::shared::Shared;
use crate::transport::{CloseReason, Transport};

/// A path that has passed its handshake.
pub(crate) struct NewPath {
    pub(crate) transport: Transport,
    pub(crate) seal: Option<(Sealer, Opener)>,
    /// The next frame the peer expects.
    pub(crate) peer_next: u64,
}

/// The function that takes reports of the driver. It must not block.
pub(crate) type Notify = Box<dyn Fn(SessionChange) + Send>;

/// Owns one session until it has ended: opens and closes its paths as its machine decides.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    notify: Notify,
    incoming: mpsc::Receiver<NewPath>,
    paths: JoinSet<(PathId, PathEnd)>,
    handles: HashMap<PathId, Arc<PathHandle>>,
    next_path: u64,
    /// The reason for which the last path ended.
    last_end: CloseReason,
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
            self.follow();
        }
        self.finish().await;
    }

    fn deadline(&self) -> Option<Instant> {
        let mut state = self.shared.lock();
        state.driver_wakes = state.multipath.poll_timeout();
        state.driver_wakes
    }

    fn add(&mut self, path: NewPath) {
        let NewPath { transport, seal, peer_next } = path;
        let now = self.shared.clock.now();
        let handle = Arc::new(PathHandle::new(PathId(self.next_path)));
        self.next_path += 1;
        self.handles.insert(handle.id, handle.clone());
        let added = self.shared.inspect(|s| s.multipath.add_path(handle.id, transport.route, peer_next, now));
        if let Err(e) = added {
            self.end(e.into());
        }
        let (shared, id) = (self.shared.clone(), handle.id);
        self.paths.spawn(async move { (id, path::run(shared, handle, transport, seal).await) });
    }

    fn remove(&mut self, id: PathId, end: PathEnd) {
        self.handles.remove(&id);
        let now = self.shared.clock.now();
        match end {
            PathEnd::Bye => self.end(EndReason::ClosedByPeer.into()),
            PathEnd::Closed(reason) => self.last_end = reason,
        }
        self.shared.inspect(|s| s.multipath.remove_path(id, now));
    }

    fn handle_timeout(&mut self) {
        let now = self.shared.clock.now();
        self.shared.inspect(|s| s.multipath.handle_timeout(now));
    }

    /// Does what the machine has decided.
    fn follow(&mut self) {
        loop {
            let event = {
                let mut state = self.shared.lock();
                let Some(event) = state.multipath.poll_event() else { return };
                // Under the same lock: whoever changes the session wakes the path that carries it.
                match event {
                    MultipathEvent::Current(id, _) => state.current = self.handles.get(&id).cloned(),
                    MultipathEvent::Down => state.current = None,
                    _ => {}
                }
                event
            };
            match event {
                MultipathEvent::Current(_, route) => {
                    self.shared.path.send_replace(Some(route.kind));
                    (self.notify)(SessionChange::Path(route));
                }
                MultipathEvent::Down => {
                    self.shared.path.send_replace(None);
                    tracing::info!(device = %self.shared.peer.device, reason = %self.last_end, "path lost");
                    (self.notify)(SessionChange::Down);
                }
                MultipathEvent::Ready(id) => self.with(id, PathHandle::wake),
                MultipathEvent::Dead(id) => {
                    self.last_end = CloseReason::TimedOut;
                    self.with(id, PathHandle::kill);
                }
                MultipathEvent::Status(status) => {
                    self.shared.status.send_replace(status);
                    (self.notify)(SessionChange::Status(status));
                }
                MultipathEvent::Quality(quality) => (self.notify)(SessionChange::Quality(quality)),
                MultipathEvent::Lost => self.end(Ended::no_path(&self.last_end)),
            }
        }
    }

    fn end(&self, ended: Ended) {
        self.shared.end(ended);
    }

    fn with(&self, id: PathId, act: impl FnOnce(&PathHandle)) {
        if let Some(handle) = self.handles.get(&id) {
            act(handle);
        }
    }

    /// Closes every path and waits for them: each ends by itself within its transport's own deadline.
    async fn finish(mut self) {
        let reason = self.shared.lock().ended.as_ref().map_or(EndReason::Closed, |ended| ended.reason);
        if reason == EndReason::NoRuntime {
            // The peer would take what is left of it for the app's wish.
            return;
        }
        (self.notify)(SessionChange::Ending(reason));
        let mut answering = self.shared.inspect(|s| std::mem::take(&mut s.answering.tasks));
        answering.shutdown().await;
        self.shared.inspect(|s| s.multipath.close_paths());
        // The peer of a path that came just now waits at its other end.
        self.incoming.close();
        while let Ok(path) = self.incoming.try_recv() {
            self.add(path);
        }
        self.handles.values().for_each(|handle| handle.wake());
        let closed = async { while self.paths.join_next().await.is_some() {} };
        // A transport that cannot take the last frame is dropped, which closes it.
        let _ = self.shared.clock.timeout(peers_proto::timing::GOODBYE, closed).await;
        self.paths.shutdown().await;
        self.shared.go_down();
        (self.notify)(SessionChange::Ended(reason));
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
