//! The state of one session, shared by its driver, its paths and the app's handles.
//!
//! One lock guards the sans-IO machine and the tables of who waits for what. It is held for the time of one push or
//! one batch of frames, never across an await. Whoever changes the state also delivers the events that follow.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peers_proto::id::{DeviceId, GroupId, UserId};
use peers_proto::session::{
    CallError, CallId, InboundCallId, Object, Request, Session as Machine, SessionEvent,
};
use peers_proto::transport_kind::TransportKind;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::driver::Ended;
use super::path::PathHandle;
use super::stream::{InboundStream, StreamSignal, handles};
use crate::clock::Clock;
use crate::error::Error;

/// What the handshake proved about the peer.
#[derive(Debug, Clone)]
pub(crate) struct PeerInfo {
    pub(crate) device: DeviceId,
    pub(crate) user: UserId,
    pub(crate) name: String,
}

/// One session.
pub(crate) struct Shared {
    pub(crate) peer: PeerInfo,
    /// The peer's instance of the session.
    pub(crate) peer_epoch: u64,
    pub(crate) clock: Clock,
    pub(crate) signals: Signals,
    pub(crate) path: watch::Sender<Option<TransportKind>>,
    rtt_micros: AtomicU64,
    /// Cancelled when the session has ended; its paths and driver then finish.
    pub(crate) over: CancellationToken,
    /// Cancelled when the driver has finished.
    pub(crate) finished: CancellationToken,
    state: Mutex<State>,
}

/// Who is woken by what.
#[derive(Default)]
pub(crate) struct Signals {
    pub(crate) messages: Notify,
    pub(crate) room: Notify,
    pub(crate) streams: Notify,
    pub(crate) acknowledged: Notify,
    pub(crate) driver: Notify,
}

/// What the lock guards.
pub(crate) struct State {
    pub(crate) machine: Machine,
    pub(crate) ended: Option<Ended>,
    pub(crate) calls: HashMap<CallId, oneshot::Sender<Result<Object, CallError>>>,
    pub(crate) requests: VecDeque<(InboundCallId, Request)>,
    pub(crate) cancelled: Vec<InboundCallId>,
    pub(crate) signals: HashMap<u64, Arc<StreamSignal>>,
    pub(crate) opened: VecDeque<OpenedStream>,
    pub(crate) current: Option<Arc<PathHandle>>,
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
    pub(crate) fn new(peer: PeerInfo, peer_epoch: u64, clock: Clock, machine: Machine) -> Self {
        Self {
            peer,
            peer_epoch,
            clock,
            signals: Signals::default(),
            path: watch::Sender::new(None),
            rtt_micros: AtomicU64::new(0),
            over: CancellationToken::new(),
            finished: CancellationToken::new(),
            state: Mutex::new(State {
                machine,
                ended: None,
                calls: HashMap::new(),
                requests: VecDeque::new(),
                cancelled: Vec::new(),
                signals: HashMap::new(),
                opened: VecDeque::new(),
                current: None,
            }),
        }
    }

    /// Looks at the state, whether or not the session has ended, and delivers what follows.
    pub(crate) fn inspect<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let result = f(&mut state);
        state.deliver(&self.signals);
        if let Some(path) = &state.current
            && state.machine.has_work()
        {
            path.wake();
        }
        result
    }

    /// Changes the state of a session that is still alive.
    pub(crate) fn update<R>(&self, f: impl FnOnce(&mut State) -> R) -> Result<R, Error> {
        self.inspect(|s| match &s.ended {
            Some(ended) => Err(ended.error()),
            None => Ok(f(s)),
        })
    }

    /// Ends the session, once: the first reason counts.
    pub(crate) fn end(&self, reason: Ended) {
        self.inspect(|s| {
            if s.ended.is_none() {
                s.ended = Some(reason);
                s.machine.end();
            }
        });
        self.signals.wake_everybody();
        self.inspect(|s| s.signals.values().for_each(|signal| signal.wake()));
        self.over.cancel();
    }

    /// Waits until the session's tasks are gone.
    pub(crate) async fn gone(&self) {
        self.finished.cancelled().await;
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        match self.rtt_micros.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    pub(crate) fn set_rtt(&self, rtt: Option<Duration>) {
        let micros = rtt.map_or(0, |rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX).max(1));
        self.rtt_micros.store(micros, Ordering::Relaxed);
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

impl State {
    /// Hands the machine's events to those who wait for them.
    pub(crate) fn deliver(&mut self, signals: &Signals) {
        while let Some(event) = self.machine.poll_event() {
            match event {
                SessionEvent::MessagesReady => signals.messages.notify_waiters(),
                SessionEvent::SendRoom => signals.room.notify_waiters(),
                SessionEvent::Response(call, answer) => {
                    if let Some(caller) = self.calls.remove(&call) {
                        // A caller that is gone has cancelled.
                        let _ = caller.send(answer);
                    }
                }
                SessionEvent::Request(id, request) => {
                    self.requests.push_back((id, request));
                    signals.driver.notify_one();
                }
                SessionEvent::RequestCancelled(id) => {
                    self.cancelled.push(id);
                    signals.driver.notify_one();
                }
                SessionEvent::StreamOpened { stream, name, group } => {
                    self.opened.push_back(OpenedStream { stream, name, group });
                    signals.streams.notify_waiters();
                }
                SessionEvent::StreamReadable(id) => {
                    if let Some(signal) = self.signals.get(&id) {
                        signal.readable.notify_waiters();
                    }
                }
                SessionEvent::StreamWritable(id) => {
                    if let Some(signal) = self.signals.get(&id) {
                        signal.writable.notify_waiters();
                    }
                }
            }
        }
    }
}
