//! The state of one session, shared by its driver, its paths and the app's handles.
//!
//! One lock guards the sans-IO machine and the tables of who waits for what. It is held for the time of one push or
//! one batch of frames, never across an await. Whoever changes the state also delivers the events that follow.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use peers_proto::end_reason::EndReason;
use peers_proto::id::{DeviceId, GroupId, UserId};
use peers_proto::multipath::Multipath;
use peers_proto::path::{PathInfo, Status};
use peers_proto::session::{CallError, CallId, FailureCode, Object, SessionEvent};
use peers_proto::time::Instant;
use peers_proto::transport_kind::TransportKind;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::call::{Answering, Handlers};
use super::ended::Ended;
use super::packing::Unpacking;
use super::path::PathHandle;
use super::stream::{InboundStream, StreamSignal, handles};
use crate::clock::Clock;
use crate::error::Error;
use crate::runtime::Runtime;

/// The identity of the peer, proven by the handshake.
#[derive(Debug, Clone)]
pub(crate) struct PeerInfo {
    pub(crate) device: DeviceId,
    pub(crate) user: UserId,
    pub(crate) name: String,
}

/// One session.
pub(crate) struct Shared {
    pub(crate) peer: PeerInfo,
    pub(crate) clock: Clock,
    pub(super) runtime: Runtime,
    pub(super) handlers: Handlers,
    pub(crate) signals: Signals,
    pub(super) unpacking: Unpacking,
    pub(crate) path: watch::Sender<Option<TransportKind>>,
    pub(crate) status: watch::Sender<Status>,
    /// Cancelled when the session has ended; its paths and driver then finish.
    pub(crate) over: CancellationToken,
    /// Cancelled when the driver has finished.
    pub(crate) finished: CancellationToken,
    state: Mutex<State>,
    this: Weak<Self>,
}

/// Signals to the tasks that wait.
#[derive(Default)]
pub(crate) struct Signals {
    pub(crate) messages: Notify,
    pub(crate) room: Notify,
    pub(crate) streams: Notify,
    pub(crate) acknowledged: Notify,
    pub(crate) driver: Notify,
}

/// The state that the lock guards.
pub(crate) struct State {
    pub(crate) multipath: Multipath,
    pub(crate) ended: Option<Ended>,
    pub(crate) calls: HashMap<CallId, oneshot::Sender<Result<Object, CallError>>>,
    pub(super) answering: Answering,
    pub(crate) signals: HashMap<u64, Arc<StreamSignal>>,
    pub(crate) opened: VecDeque<OpenedStream>,
    /// Some task of the app decompresses the next message.
    pub(super) front_is_taken: bool,
    /// The handle of the path that carries the session.
    pub(crate) current: Option<Arc<PathHandle>>,
    /// Streams marked as bulk wait for a network on which data costs nothing.
    pub(super) bulk_waits: bool,
    /// The time at which the driver looks again by itself.
    pub(super) driver_wakes: Option<Instant>,
}

/// A stream the peer opened and nobody has accepted yet. Dropping it refuses the stream.
pub(crate) struct OpenedStream {
    stream: u64,
    name: String,
    group: Option<GroupId>,
}

impl OpenedStream {
    pub(crate) fn into_handles(self, shared: &Arc<Shared>) -> InboundStream {
        let signal = shared.inspect(|s| s.signals.entry(self.stream).or_default().clone());
        let (send, recv) = handles(shared, self.stream, signal);
        InboundStream { name: self.name, group: self.group, send, recv }
    }
}

impl Shared {
    pub(crate) fn new(
        peer: PeerInfo,
        clock: Clock,
        runtime: Runtime,
        handlers: Handlers,
        multipath: Multipath,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            peer,
            clock,
            runtime,
            handlers,
            this: this.clone(),
            signals: Signals::default(),
            unpacking: Unpacking::default(),
            path: watch::Sender::new(None),
            status: watch::Sender::new(Status::Down),
            over: CancellationToken::new(),
            finished: CancellationToken::new(),
            state: Mutex::new(State {
                multipath,
                ended: None,
                calls: HashMap::new(),
                answering: Answering::default(),
                signals: HashMap::new(),
                opened: VecDeque::new(),
                front_is_taken: false,
                current: None,
                bulk_waits: false,
                driver_wakes: None,
            }),
        })
    }

    /// Looks at the state, whether or not the session has ended, and delivers what follows.
    pub(crate) fn inspect<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let result = f(&mut state);
        self.settle(&mut state);
        result
    }

    /// Delivers what follows from a change, and wakes whoever would sleep too long.
    pub(super) fn settle(&self, state: &mut State) {
        self.deliver(state);
        let session = &state.multipath.session;
        if let Some(path) = &state.current
            && (session.has_work() || session.ack_timeout().is_some_and(|due| path.sleeps_beyond(due)))
        {
            path.wake();
        }
        self.wake_driver(state);
    }

    /// Wakes the driver if it would sleep too long.
    pub(super) fn wake_driver(&self, state: &State) {
        let early = state
            .multipath
            .poll_timeout()
            .is_some_and(|due| state.driver_wakes.is_none_or(|wakes| due < wakes));
        if early || state.multipath.has_event() {
            self.signals.driver.notify_one();
        }
    }

    /// Hands the machine's events to those who wait for them.
    pub(super) fn deliver(&self, state: &mut State) {
        let signals = &self.signals;
        while let Some(event) = state.multipath.session.poll_event() {
            match event {
                SessionEvent::MessagesReady => signals.messages.notify_waiters(),
                SessionEvent::SendRoom => signals.room.notify_waiters(),
                SessionEvent::Response(call, answer) => {
                    if let Some(caller) = state.calls.remove(&call) {
                        // A caller that is gone has cancelled.
                        let _ = caller.send(answer);
                    }
                }
                // Not worth a task.
                SessionEvent::Request(id, request) if !self.handlers.has(&request.service) => {
                    state.multipath.session.respond(id, Err((FailureCode::NotFound, String::new())));
                }
                SessionEvent::Request(id, request) => {
                    if let (None, Some(this), Some(runtime)) =
                        (&state.ended, self.this.upgrade(), self.runtime.handle())
                    {
                        state.answering.begin(&runtime, this, id, request);
                    }
                }
                SessionEvent::RequestCancelled(id) => state.answering.cancel(id),
                SessionEvent::StreamOpened { stream, name, group } => {
                    state.opened.push_back(OpenedStream { stream, name, group });
                    signals.streams.notify_waiters();
                }
                SessionEvent::StreamReadable(id) => {
                    if let Some(signal) = state.signals.get(&id) {
                        signal.readable.notify_waiters();
                    }
                }
                SessionEvent::StreamWritable(id) => {
                    if let Some(signal) = state.signals.get(&id) {
                        signal.writable.notify_waiters();
                    }
                }
            }
        }
    }

    /// Changes the state of a session that is still alive.
    pub(crate) fn update<R>(&self, f: impl FnOnce(&mut State) -> R) -> Result<R, Error> {
        self.inspect(|s| match &s.ended {
            Some(ended) => Err(ended.error()),
            None => Ok(f(s)),
        })
    }

    /// The reason for which the session has ended, or `otherwise` if it has not.
    pub(super) fn over_or(&self, otherwise: Error) -> Error {
        self.lock().ended.as_ref().map_or(otherwise, Ended::error)
    }

    /// Ends the session, once: the first reason counts, and is returned.
    pub(crate) fn end(&self, ended: Ended) -> EndReason {
        let reason = self.inspect(|s| {
            if s.ended.is_none() {
                s.multipath.end();
            }
            s.ended.get_or_insert(ended).reason
        });
        self.signals.wake_everybody();
        self.inspect(|s| s.signals.values().for_each(|signal| signal.wake()));
        self.over.cancel();
        reason
    }

    /// Nothing carries the session any more.
    pub(super) fn go_down(&self) {
        self.path.send_if_modified(|path| path.take().is_some());
        self.status.send_if_modified(|status| std::mem::replace(status, Status::Down) != Status::Down);
    }

    /// Waits for a point in time on the client's runtime, so that a thread without one can wait as well.
    pub(super) async fn sleep_until(&self, deadline: Instant) {
        let clock = self.clock.clone();
        // `None`: the runtime has ended, and the session with it.
        let _ = self.runtime.run(async move { clock.sleep_until(deadline).await }).await;
    }

    /// Closes every path for a while and asks the peer to wait this long.
    pub(crate) fn suspend(&self, patience: Duration) {
        let now = self.clock.now();
        self.inspect(|s| s.multipath.suspend(patience, now));
    }

    /// Whether data costs money, and whether bulk waits for that reason.
    pub(crate) fn set_metered(&self, metered: bool, bulk_waits: bool) {
        self.inspect(|s| {
            s.multipath.set_metered(metered);
            s.bulk_waits = bulk_waits;
            s.signals.values().for_each(|signal| signal.wake());
        });
    }

    /// The time at which data last went either way.
    pub(crate) fn used(&self) -> Instant {
        self.lock().multipath.used()
    }

    /// This device is back.
    pub(crate) fn resume(&self) {
        let now = self.clock.now();
        self.inspect(|s| s.multipath.resume(now));
    }

    /// Waits until the session's tasks are gone.
    pub(crate) async fn gone(&self) {
        self.finished.cancelled().await;
    }

    /// The route and quality of the path in use.
    pub(crate) fn path_info(&self) -> Option<PathInfo> {
        self.lock().multipath.info(self.clock.now())
    }

    /// A panic while the lock was held cannot leave the machine half-changed in a way that matters more than losing
    /// every session of the process: go on.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Signals {
    fn wake_everybody(&self) {
        self.messages.notify_waiters();
        self.room.notify_waiters();
        self.streams.notify_waiters();
        self.acknowledged.notify_waiters();
        self.driver.notify_one();
    }
}
