//! Calls as apps see them, in both directions.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::FutureExt as _;
use peers_proto::id::{DeviceId, GroupId};
use peers_proto::session::{CallError, CallId, FailureCode, InboundCallId, Object, Request, SendError};
use peers_proto::time::Instant;
use peers_proto::timing::CALL_TIMEOUT;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

use super::packing::{pack, pack_answer, unpack};
use super::shared::Shared;
use crate::error::Error;

/// A call being prepared.
#[must_use = "a call is made by `send`"]
pub struct CallBuilder<'a> {
    shared: &'a Arc<Shared>,
    service: &'a str,
    method: &'a str,
    group: Option<GroupId>,
    timeout: Duration,
}

impl<'a> CallBuilder<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, service: &'a str, method: &'a str) -> Self {
        Self { shared, service, method, group: None, timeout: CALL_TIMEOUT }
    }

    /// The group the call is about; the peer refuses it unless both are members.
    pub fn group(mut self, group: GroupId) -> Self {
        self.group = Some(group);
        self
    }

    /// Sets the time that the whole call may take from [`CallBuilder::send`] on, at most a day.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes the call. Dropping the future cancels it: the peer's handler is told, a late answer is dropped.
    ///
    /// # Errors
    /// As [`super::Session::call`].
    pub async fn send(self, body: impl Into<Bytes>) -> Result<Bytes, Error> {
        // What follows counts: the wait for room, for credit and for the answer, and its decompression.
        let deadline = self.shared.clock.now() + self.timeout;
        let request = Request {
            service: self.service.into(),
            method: self.method.into(),
            group: self.group,
            timeout: self.timeout,
            object: pack(body.into())?,
        };
        // A timer only for what the session does not time by itself, and only if it has to be waited for.
        let mut passed = pin!(self.shared.sleep_until(deadline));
        let (call, answer) = tokio::select! {
            biased;
            begun = self.begin(request, deadline) => begun?,
            () = &mut passed => return Err(self.shared.over_or(Error::TimedOut)),
        };
        let mut guard = CancelOnDrop { shared: self.shared, call: Some(call) };
        let answer = answer.await;
        guard.call = None;
        let object = match answer {
            Ok(Ok(object)) => object,
            Ok(Err(CallError::SessionLost)) | Err(_) => return Err(self.shared.over_or(Error::Closed)),
            Ok(Err(error)) => return Err(error.into()),
        };
        tokio::select! {
            biased;
            body = unpack(self.shared, object) => body,
            () = &mut passed => Err(self.shared.over_or(Error::TimedOut)),
        }
    }

    /// Waits for room if there is none: at most until the deadline, which the caller watches.
    async fn begin(
        &self,
        mut request: Request,
        deadline: Instant,
    ) -> Result<(CallId, oneshot::Receiver<Answer>), Error> {
        loop {
            let room = self.shared.signals.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            let now = self.shared.clock.now();
            request.timeout = deadline.saturating_since(now);
            let begun = self.shared.update(|s| {
                let call = s.multipath.session.call(request.clone(), now)?;
                let (tx, rx) = oneshot::channel();
                s.calls.insert(call, tx);
                Ok((call, rx))
            })?;
            match begun {
                Ok(begun) => return Ok(begun),
                Err(SendError::Full) => room.await,
                Err(e) => return Err(e.into()),
            }
        }
    }
}

type Answer = Result<Object, CallError>;

struct CancelOnDrop<'a> {
    shared: &'a Shared,
    call: Option<CallId>,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call {
            self.shared.inspect(|s| {
                s.calls.remove(&call);
                s.multipath.session.cancel(call);
            });
        }
    }
}

/// A call of the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundRequest {
    /// The caller, as proven by the handshake.
    pub device: DeviceId,
    /// The service called.
    pub service: String,
    /// The method called.
    pub method: String,
    /// The group it is about; this device and the caller are both in it.
    pub group: Option<GroupId>,
    /// The argument.
    pub body: Bytes,
}

/// The reason for which a handler does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code:?}: {text}")]
pub struct RequestError {
    /// The kind of failure.
    pub code: FailureCode,
    /// For the caller; cut to 256 bytes.
    pub text: String,
}

impl RequestError {
    /// The handler failed for a reason of its own.
    pub fn application(text: impl Into<String>) -> Self {
        Self { code: FailureCode::Application, text: text.into() }
    }
}

/// Answers the calls of peers for one service.
#[async_trait]
pub trait RequestHandler: Send + Sync + 'static {
    /// Answers one call. Runs in a task of its own; the future is dropped when the caller cancels or its deadline
    /// passes.
    async fn handle(&self, request: InboundRequest) -> Result<Bytes, RequestError>;
}

/// The handlers of a client, by service.
#[derive(Clone, Default)]
pub(crate) struct Handlers(pub(crate) Arc<HashMap<String, Arc<dyn RequestHandler>>>);

impl Handlers {
    /// True if a handler answers calls of this service.
    pub(super) fn has(&self, service: &str) -> bool {
        self.0.contains_key(service)
    }

    async fn answer(&self, shared: &Shared, request: Request) -> Result<Object, (FailureCode, String)> {
        let device = shared.peer.device;
        let Some(handler) = self.0.get(&request.service) else {
            return Err((FailureCode::NotFound, String::new()));
        };
        let body =
            unpack(shared, request.object).await.map_err(|e| (FailureCode::BadRequest, e.to_string()))?;
        let Request { service, method, group, .. } = request;
        let answer = handler.handle(InboundRequest { device, service, method, group, body }).await;
        match answer {
            Ok(body) => {
                pack_answer(shared, body).await.map_err(|e| (FailureCode::Application, e.to_string()))
            }
            Err(e) => Err((e.code, e.text)),
        }
    }
}

/// The peer's calls that are being answered, a task each.
#[derive(Default)]
pub(super) struct Answering {
    /// Shut down by the session's driver.
    pub(super) tasks: JoinSet<()>,
    running: HashMap<InboundCallId, AbortHandle>,
}

impl Answering {
    /// Starts the handler, from whoever found the request: a hop less than through the driver.
    pub(super) fn begin(
        &mut self,
        runtime: &Handle,
        shared: Arc<Shared>,
        id: InboundCallId,
        request: Request,
    ) {
        while self.tasks.try_join_next().is_some() {}
        let answer = async move {
            let mut pending = PendingAnswer { shared, id, answer: None };
            let shared = &pending.shared;
            let answer = shared.handlers.answer(shared, request).await;
            pending.answer = Some(answer);
        };
        let task = self.tasks.spawn_on(answer.boxed(), runtime);
        self.running.insert(id, task);
    }

    /// Drops the handler of a call that nobody waits for any more.
    pub(super) fn cancel(&mut self, id: InboundCallId) {
        if let Some(task) = self.running.remove(&id) {
            task.abort();
        }
    }
}

/// Answers when dropped, also for a handler that panicked. A call that was cancelled ignores it.
struct PendingAnswer {
    shared: Arc<Shared>,
    id: InboundCallId,
    answer: Option<Result<Object, (FailureCode, String)>>,
}

impl Drop for PendingAnswer {
    fn drop(&mut self) {
        let failed = || Err((FailureCode::Application, "the handler failed".into()));
        let answer = self.answer.take().unwrap_or_else(failed);
        self.shared.inspect(|s| {
            s.answering.running.remove(&self.id);
            s.multipath.session.respond(self.id, answer)
        });
    }
}
