//! The task that owns a session: its paths, its handlers, its deadlines.

use std::collections::HashMap;
use std::sync::Arc;

use peers_proto::seal::{Opener, Sealer};
use peers_proto::session::wire::FrameKind;
use peers_proto::time::{Instant, earliest};
use peers_proto::timing::RESUME_WINDOW;
use peers_proto::transport_kind::TransportKind;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::path::{self, PathEnd, PathHandle};
use super::shared::Shared;
use crate::error::Error;
use crate::transport::{CloseReason, Transport};

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The app closed it, or the client was shut down.
    Local,
    /// The peer closed it.
    Remote,
    /// The peer forgot it: it was restarted, or waited too long for a path.
    Forgotten,
    /// No path came back in time.
    NoPath(String),
    /// The peer broke the protocol.
    Protocol(String),
}

impl Ended {
    pub(crate) fn error(&self) -> Error {
        match self {
            Self::Local | Self::Remote => Error::Closed,
            Self::Forgotten => Error::SessionLost("the peer was restarted".into()),
            Self::NoPath(last) => {
                Error::SessionLost(format!("no path came back in time, the last one: {last}"))
            }
            Self::Protocol(what) => Error::SessionLost(what.clone()),
        }
    }

    /// A stable name for programs and logs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Local => "closed",
            Self::Remote => "closed-by-peer",
            Self::Forgotten => "peer-restarted",
            Self::NoPath(_) => "no-path",
            Self::Protocol(_) => "protocol",
        }
    }
}

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
    Path(TransportKind),
    /// No path is left.
    Down(CloseReason),
    Ended(Ended),
}

/// How the driver tells its client. Must not block.
pub(crate) type Notify = Box<dyn Fn(Notice) + Send>;

/// Owns one session until it has ended.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    notify: Notify,
    incoming: mpsc::Receiver<NewPath>,
    paths: JoinSet<(u64, PathEnd)>,
    handles: HashMap<u64, Arc<PathHandle>>,
    next_path: u64,
    /// Without a path since when, and why the last one ended.
    down: Option<(Instant, CloseReason)>,
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
            down: None,
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
                () = shared.signals.driver.notified() => self.leave_the_others(),
                () = async { match deadline {
                    Some(deadline) => shared.clock.sleep_until(deadline).await,
                    None => std::future::pending().await,
                } } => self.handle_timeout(),
            }
        }
        self.finish().await;
    }

    fn deadline(&self) -> Option<Instant> {
        let resume = self.down.as_ref().map(|(since, _)| *since + RESUME_WINDOW);
        let mut state = self.shared.lock();
        state.driver_wakes = earliest(resume, state.machine.poll_timeout());
        state.driver_wakes
    }

    fn add(&mut self, path: NewPath) {
        let now = self.shared.clock.now();
        let handle = Arc::new(PathHandle::new(self.next_path, path.transport.kind, now));
        self.next_path += 1;
        self.handles.insert(handle.id, handle.clone());
        // The better kind carries the data; among equals the newer one, which was dialed because the older may be dead.
        let attached = self.shared.inspect(|s| {
            if s.current.as_ref().is_some_and(|current| current.kind < handle.kind) {
                return Ok(false);
            }
            s.machine.attach(path.peer_next)?;
            s.current = Some(handle.clone());
            Ok(true)
        });
        match attached {
            Ok(true) => self.announce(handle.kind),
            Ok(false) => {}
            Err(e) => {
                let e: peers_proto::session::SessionError = e;
                return self.shared.end(Ended::Protocol(e.to_string()));
            }
        }
        let shared = self.shared.clone();
        self.paths.spawn(async move {
            let id = handle.id;
            (id, path::run(shared, handle, path.transport, path.seal).await)
        });
    }

    fn announce(&mut self, kind: TransportKind) {
        self.down = None;
        self.shared.path.send_replace(Some(kind));
        (self.notify)(Notice::Path(kind));
    }

    fn remove(&mut self, id: u64, end: PathEnd) {
        self.handles.remove(&id);
        let reason = match end {
            PathEnd::Bye => return self.shared.end(Ended::Remote),
            PathEnd::Closed(reason) => reason,
        };
        let was_current = self.shared.lock().current.as_ref().is_some_and(|current| current.id == id);
        if !was_current {
            return;
        }
        let now = self.shared.clock.now();
        let next = self.handles.values().min_by_key(|h| (h.kind, std::cmp::Reverse(h.id))).cloned();
        self.shared.inspect(|s| {
            match &next {
                Some(_) => s.machine.switch(),
                None => s.machine.detach(),
            }
            s.current = next.clone();
        });
        match next {
            Some(next) => self.announce(next.kind),
            None => {
                self.shared.path.send_replace(None);
                self.shared.set_rtt(None);
                self.down = Some((now, reason.clone()));
                (self.notify)(Notice::Down(reason));
            }
        }
    }

    /// Make before break: once the peer uses the current path, worse ones are left. Of equal ones only the end that
    /// leads leaves any, or each would leave what the other has chosen.
    fn leave_the_others(&self) {
        let (current, leads) = self.shared.inspect(|s| (s.current.clone(), s.machine.leads()));
        let Some(current) = current.filter(|current| current.is_heard()) else { return };
        let superfluous =
            |h: &PathHandle| h.kind > current.kind || (leads && h.kind == current.kind && h.id != current.id);
        for handle in self.handles.values().filter(|h| superfluous(h)) {
            handle.leave(FrameKind::Leave);
        }
    }

    fn handle_timeout(&mut self) {
        let now = self.shared.clock.now();
        if let Some((since, reason)) = &self.down
            && now >= *since + RESUME_WINDOW
        {
            return self.shared.end(Ended::NoPath(reason.to_string()));
        }
        self.shared.inspect(|s| s.machine.handle_timeout(now));
    }

    /// Says goodbye on every path and waits for them: each ends by itself within its transport's own deadline.
    async fn finish(mut self) {
        let mut answering = self.shared.inspect(|s| std::mem::take(&mut s.answering.tasks));
        answering.shutdown().await;
        for handle in self.handles.values() {
            handle.leave(FrameKind::Bye);
        }
        let goodbye = async { while self.paths.join_next().await.is_some() {} };
        // A transport that cannot even take a goodbye is dropped, which closes it.
        let _ = tokio::time::timeout(peers_proto::timing::GOODBYE, goodbye).await;
        self.paths.shutdown().await;
        self.shared.path.send_replace(None);
        let ended = self.shared.lock().ended.clone().unwrap_or(Ended::Local);
        (self.notify)(Notice::Ended(ended));
        self.shared.finished.cancel();
    }
}
