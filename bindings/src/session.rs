//! A session's handle.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use peers::InboundStream;

use crate::inbox::Inbox;
use crate::lane::Wait;
use crate::path::micros;
use crate::runtime::Tasks;
use crate::{
    Cancellation, DeviceId, GroupId, PathInfo, PathKind, PeersError, SessionStatus, Stream, UserId, lane,
};

/// Messages pulled from the core at once: a batch costs about as much to cross as one message.
const MESSAGES: usize = 256;
/// Bytes that are compressed in far less time than drawing a frame takes, if at all.
const SMALL: usize = 4 * 1024;
/// Bytes of small messages that share one allocation. It is freed when the last of them is on its way.
const BLOCK: usize = 32 * 1024;

/// The connection of this device with another one, across changes of path.
#[derive(uniffi::Object)]
pub struct Session {
    session: peers::Session,
    tasks: Tasks,
    messages: Inbox<peers::Message>,
    /// The error with which the messages ended, until it was reported.
    failed: Mutex<Option<PeersError>>,
    streams: Inbox<InboundStream>,
    block: Mutex<BytesMut>,
    lane: OnceLock<u64>,
    pub(crate) wait_for_messages: Wait,
}

/// Bytes from the peer, as it sent them.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Message {
    /// The group it belongs to.
    pub group: Option<GroupId>,
    /// The bytes that were sent.
    pub body: Vec<u8>,
}

/// A call of a peer's service.
#[derive(Debug, Clone, uniffi::Record)]
pub struct CallRequest {
    /// The service.
    pub service: String,
    /// The method.
    pub method: String,
    /// The argument.
    pub body: Vec<u8>,
    /// The group on behalf of which it is made.
    #[uniffi(default = None)]
    pub group: Option<GroupId>,
    /// Time to wait for the answer; 60 s without it.
    #[uniffi(default = None)]
    pub timeout_ms: Option<u64>,
}

#[uniffi::export]
impl Session {
    /// The peer, proven.
    pub fn device(&self) -> DeviceId {
        self.session.device()
    }

    /// The peer's user, proven.
    pub fn user(&self) -> UserId {
        self.session.user()
    }

    /// True if both are handles of one session.
    pub fn is_same(&self, other: Arc<Session>) -> bool {
        self.session == other.session
    }

    /// The name that the peer chose.
    pub fn peer_name(&self) -> String {
        self.session.peer_name().to_string()
    }

    /// The path that carries it now; none while there is none.
    pub fn path(&self) -> Option<PathKind> {
        self.session.path()
    }

    /// The status now.
    pub fn status(&self) -> SessionStatus {
        self.session.status()
    }

    /// True once it has ended. Messages that had arrived can still be taken.
    pub fn has_ended(&self) -> bool {
        self.session.has_ended()
    }

    /// Measurements of the path that carries it; none while there is none.
    pub fn path_info(&self) -> Option<PathInfo> {
        self.session.path_info().map(Into::into)
    }

    /// Round trip of the path, in microseconds, once measured.
    pub fn rtt_us(&self) -> Option<u64> {
        self.session.rtt().map(micros)
    }

    /// The number that stands for it in [`crate::lane`].
    pub fn lane(self: Arc<Self>) -> u64 {
        *self.lane.get_or_init(|| lane::SESSIONS.add(&self))
    }

    /// Sends a message, waiting while the queue is full.
    pub async fn send(
        &self,
        body: Vec<u8>,
        group: Option<GroupId>,
        cancel: Option<Arc<Cancellation>>,
    ) -> Result<(), PeersError> {
        let session = self.session.clone();
        let work = async move {
            match group {
                Some(group) => session.send_to_group(group, body).await?,
                None => session.send_bytes(body).await?,
            }
            Ok(())
        };
        self.tasks.run(cancel, work).await
    }

    /// Waits until there are messages to take. False when the session was closed and there will be no more; fails with
    /// [`PeersError::SessionLost`] when it was lost.
    pub async fn messages_ready(
        self: Arc<Self>,
        cancel: Option<Arc<Cancellation>>,
    ) -> Result<bool, PeersError> {
        let tasks = self.tasks.clone();
        let work = async move {
            let failed = self.failed().take();
            match failed {
                Some(error) => Err(error),
                None => self.fill_messages().await,
            }
        };
        until_closed(tasks.run(cancel, work).await)
    }

    /// Takes up to `max` messages, oldest first, without waiting.
    pub fn take_messages(&self, max: u32) -> Vec<Message> {
        let taken = self.messages.take(max as usize);
        taken.into_iter().map(Message::from).collect()
    }

    /// Puts back messages that were taken and not used, oldest first.
    pub fn return_messages(&self, unused: Vec<Message>) -> Result<(), PeersError> {
        self.messages.put_back(unused.into_iter().map(Into::into).collect());
        Ok(())
    }

    /// Asks the peer and waits for its answer. Cancelling tells the peer.
    pub async fn call(
        &self,
        request: CallRequest,
        cancel: Option<Arc<Cancellation>>,
    ) -> Result<Vec<u8>, PeersError> {
        let session = self.session.clone();
        let work = async move {
            let mut call = session.request(&request.service, &request.method);
            if let Some(group) = request.group {
                call = call.group(group);
            }
            if let Some(timeout) = request.timeout_ms {
                call = call.timeout(Duration::from_millis(timeout));
            }
            Ok(Vec::from(call.send(request.body).await?))
        };
        self.tasks.run(cancel, work).await
    }

    /// Opens a stream to the peer, within a group if one is named.
    pub async fn open_stream(
        &self,
        name: String,
        group: Option<GroupId>,
        cancel: Option<Arc<Cancellation>>,
    ) -> Result<Arc<Stream>, PeersError> {
        let (session, tasks) = (self.session.clone(), self.tasks.clone());
        let work = async move {
            let (send, recv) = match group {
                Some(group) => session.open_group_stream(group, &name)?,
                None => session.open_stream(&name)?,
            };
            Ok(Stream::new(InboundStream { name, group, send, recv }, tasks))
        };
        self.tasks.run(cancel, work).await
    }

    /// Waits until the peer has opened a stream. False when the session was closed; fails with
    /// [`PeersError::SessionLost`] when it was lost.
    pub async fn stream_ready(
        self: Arc<Self>,
        cancel: Option<Arc<Cancellation>>,
    ) -> Result<bool, PeersError> {
        let tasks = self.tasks.clone();
        let work = async move {
            let accept = || async { self.session.accept_stream().await.map(|stream| vec![stream]) };
            Ok(self.streams.fill(accept).await?)
        };
        until_closed(tasks.run(cancel, work).await)
    }

    /// Takes a stream the peer has opened, without waiting.
    pub fn take_stream(&self) -> Option<Arc<Stream>> {
        let stream = self.streams.take(1).pop()?;
        Some(Stream::new(stream, self.tasks.clone()))
    }

    /// Waits until the peer has acknowledged everything sent so far.
    pub async fn drain(&self, cancel: Option<Arc<Cancellation>>) -> Result<(), PeersError> {
        let session = self.session.clone();
        self.tasks.run(cancel, async move { Ok(session.drain().await?) }).await
    }

    /// Ends the session, at the peer as well. Not `close`: generated Kotlin uses that name to free handles.
    pub async fn end(&self) {
        let session = self.session.clone();
        let work = async move {
            session.close().await;
            Ok(())
        };
        // An error says that the client was shut down, and the session with it.
        let _ = self.tasks.run(None, work).await;
    }
}

impl Session {
    /// True for a message so large that compressing it would hold up the caller's thread: [`Session::send`] takes it.
    pub(crate) fn is_large(body: &[u8]) -> bool {
        body.len() > SMALL
    }

    /// Queues a message that is not large. False when the queue is full.
    pub(crate) fn try_send(&self, group: Option<GroupId>, body: &[u8]) -> Result<bool, PeersError> {
        let body = self.copy(body);
        let sent = match group {
            None => self.session.try_send_bytes(body),
            Some(group) => self.session.try_send_to_group(group, body),
        };
        match sent {
            Ok(()) => Ok(true),
            Err(peers::Error::Full) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Small bodies are cut from one block: an allocation each, freed on another thread, costs as much as sending.
    fn copy(&self, body: &[u8]) -> Bytes {
        let mut block = self.block.lock().unwrap_or_else(PoisonError::into_inner);
        if block.capacity() < body.len() {
            *block = BytesMut::with_capacity(BLOCK);
        }
        block.extend_from_slice(body);
        block.split().freeze()
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Waits for messages, their end or an error, which stays for [`Session::messages_ready`].
    pub(crate) async fn arrivals(self: Arc<Self>) {
        if let Err(error) = self.fill_messages().await {
            *self.failed() = Some(error);
        }
    }

    async fn fill_messages(&self) -> Result<bool, PeersError> {
        Ok(self.messages.fill(|| self.session.recv_many(MESSAGES)).await?)
    }

    fn failed(&self) -> MutexGuard<'_, Option<PeersError>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes messages, oldest first, up to the first one that `accept` leaves here.
    pub(crate) fn take_messages_while(&self, accept: impl FnMut(&peers::Message) -> bool) {
        self.messages.top_up(|| self.session.try_recv_many(MESSAGES));
        self.messages.take_while(accept);
    }

    /// True while there are messages to take.
    pub(crate) fn has_messages(&self) -> bool {
        !self.messages.is_empty()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(number) = self.lane.get() {
            lane::SESSIONS.remove(*number);
        }
    }
}

fn until_closed(ready: Result<bool, PeersError>) -> Result<bool, PeersError> {
    if ready == Err(PeersError::Closed) { Ok(false) } else { ready }
}

impl From<peers::Message> for Message {
    fn from(message: peers::Message) -> Self {
        Self { group: message.group, body: message.body.into() }
    }
}

impl From<Message> for peers::Message {
    fn from(message: Message) -> Self {
        Self { group: message.group, body: message.body.into() }
    }
}

/// One handle per session, so that all who hold it share what was pulled and not taken.
pub(crate) struct Sessions {
    tasks: Tasks,
    handles: Mutex<HashMap<peers::Session, Arc<Session>>>,
}

impl Sessions {
    pub(crate) fn new(tasks: Tasks) -> Self {
        Self { tasks, handles: Mutex::default() }
    }

    pub(crate) fn handle(&self, session: peers::Session) -> Arc<Session> {
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = handles.get(&session) {
            return handle.clone();
        }
        // A session that has ended is kept for as long as the app holds it.
        handles.retain(|session, handle| !session.has_ended() || Arc::strong_count(handle) > 1);
        let handle = Arc::new(Session {
            session: session.clone(),
            tasks: self.tasks.clone(),
            messages: Inbox::new(),
            failed: Mutex::default(),
            streams: Inbox::new(),
            block: Mutex::default(),
            lane: OnceLock::new(),
            wait_for_messages: Wait::default(),
        });
        handles.insert(session, handle.clone());
        handle
    }

    pub(crate) fn clear(&self) {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
