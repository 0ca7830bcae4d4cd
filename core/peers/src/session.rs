//! An app's handle of a session: messages, calls and streams with one peer.

mod arrivals;
mod call;
mod driver;
mod ended;
mod message;
mod packing;
mod path;
mod shared;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use peers_proto::end_reason::EndReason;
use peers_proto::id::{DeviceId, GroupId, UserId};
use peers_proto::path::{PathInfo, Status};
use peers_proto::session::SendError;
use peers_proto::transport_kind::TransportKind;
use serde::Serialize;
use tokio::sync::watch;

use crate::error::Error;

pub use call::{CallBuilder, InboundRequest, RequestError, RequestHandler};
pub use message::Message;
pub use stream::{BulkMark, InboundStream, RecvStream, SendStream};

pub(crate) use call::Handlers;
pub(crate) use driver::{Driver, NewPath};

pub(crate) use shared::{PeerInfo, Shared};

/// A session with one device. Cheap to clone; all clones are the same session.
///
/// It outlives the paths below it: while there is none, what is sent waits, and everything arrives once and in order
/// when a path is back. It ends with [`Session::close`], with the client, or when no path comes back in time.
#[derive(Clone)]
pub struct Session {
    pub(crate) shared: Arc<Shared>,
}

impl Session {
    /// The peer.
    pub fn device(&self) -> DeviceId {
        self.shared.peer.device
    }

    /// The owner of the peer.
    pub fn user(&self) -> UserId {
        self.shared.peer.user
    }

    /// The name of the peer. Chosen by the peer: show it, never trust it.
    pub fn peer_name(&self) -> &str {
        &self.shared.peer.name
    }

    /// The path in use; `None` while there is none.
    pub fn path(&self) -> Option<TransportKind> {
        *self.shared.path.borrow()
    }

    /// Follows the path in use.
    pub fn watch_path(&self) -> watch::Receiver<Option<TransportKind>> {
        self.shared.path.subscribe()
    }

    /// The status of its paths: a session can be used if they answer (S019).
    pub fn status(&self) -> Status {
        *self.shared.status.borrow()
    }

    /// Follows [`Session::status`].
    pub fn watch_status(&self) -> watch::Receiver<Status> {
        self.shared.status.subscribe()
    }

    /// True once it has ended, for any reason. Messages that had arrived can still be taken.
    pub fn has_ended(&self) -> bool {
        self.shared.over.is_cancelled()
    }

    /// The route and quality of the path in use: round trip, jitter, loss, bytes, quality (S087).
    pub fn path_info(&self) -> Option<PathInfo> {
        self.shared.path_info()
    }

    /// The round trip of the path in use: a moving average.
    pub fn rtt(&self) -> Option<Duration> {
        self.path_info()?.rtt
    }

    /// Sends a value as MessagePack. Waits while the queue is full.
    ///
    /// # Errors
    /// [`Error::Codec`], [`Error::TooLarge`] beyond 4 MiB, [`Error::Closed`], [`Error::SessionLost`].
    pub async fn send<T: Serialize + Sync + ?Sized>(&self, value: &T) -> Result<(), Error> {
        self.send_bytes(message::encode(value)?).await
    }

    /// Sends bytes as one message. Waits while the queue is full.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond 4 MiB, [`Error::Closed`], [`Error::SessionLost`].
    pub async fn send_bytes(&self, body: impl Into<Bytes>) -> Result<(), Error> {
        self.send_in(None, body.into()).await
    }

    /// Sends bytes to the members of a group on the other side.
    ///
    /// # Errors
    /// As [`Session::send_bytes`], and [`Error::NotInGroup`].
    pub async fn send_to_group(&self, group: GroupId, body: impl Into<Bytes>) -> Result<(), Error> {
        self.send_in(Some(group), body.into()).await
    }

    /// Sends bytes as one message if the queue has room now.
    ///
    /// # Errors
    /// [`Error::Full`], and as [`Session::send_bytes`].
    pub fn try_send_bytes(&self, body: impl Into<Bytes>) -> Result<(), Error> {
        self.try_send_in(None, body.into())
    }

    /// Sends bytes to the members of a group on the other side if the queue has room now.
    ///
    /// # Errors
    /// [`Error::Full`], and as [`Session::send_to_group`].
    pub fn try_send_to_group(&self, group: GroupId, body: impl Into<Bytes>) -> Result<(), Error> {
        self.try_send_in(Some(group), body.into())
    }

    fn try_send_in(&self, group: Option<GroupId>, body: Bytes) -> Result<(), Error> {
        let object = packing::pack(body)?;
        self.shared.update(|s| s.multipath.session.send_message(group, object).map_err(Error::from))?
    }

    async fn send_in(&self, group: Option<GroupId>, body: Bytes) -> Result<(), Error> {
        let object = packing::pack(body)?;
        loop {
            let room = self.shared.signals.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            match self.shared.update(|s| s.multipath.session.send_message(group, object.clone()))? {
                Err(SendError::Full) => room.await,
                other => return Ok(other?),
            }
        }
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::SessionLost`] once every message that arrived was taken; [`Error::Codec`] if the peer
    /// sent something that does not decompress.
    pub async fn recv(&self) -> Result<Message, Error> {
        arrivals::recv(&self.shared).await
    }

    /// Waits for a message and takes up to `max` of those that are there.
    ///
    /// # Errors
    /// As [`Session::recv`].
    pub async fn recv_many(&self, max: usize) -> Result<Vec<Message>, Error> {
        let mut messages = vec![self.recv().await?];
        messages.extend(arrivals::take_plain(&self.shared, max.saturating_sub(1)));
        Ok(messages)
    }

    /// Takes up to `max` messages that are there, without waiting. None of them when the next one has to be decompressed:
    /// [`Session::recv`] does that.
    pub fn try_recv_many(&self, max: usize) -> Vec<Message> {
        arrivals::take_plain(&self.shared, max)
    }

    /// Calls a method of the peer with the default deadline, 60 s (S039). Dropping the future cancels the call.
    ///
    /// # Errors
    /// [`Error::CallFailed`], [`Error::Denied`], [`Error::TimedOut`], [`Error::SessionLost`], [`Error::Closed`].
    pub async fn call(&self, service: &str, method: &str, body: impl Into<Bytes>) -> Result<Bytes, Error> {
        self.request(service, method).send(body).await
    }

    /// Prepares a call with a group or a deadline of its own.
    pub fn request<'a>(&'a self, service: &'a str, method: &'a str) -> CallBuilder<'a> {
        CallBuilder::new(&self.shared, service, method)
    }

    /// Opens a stream to the peer. It is there at once; its bytes flow as soon as the peer reads.
    ///
    /// # Errors
    /// [`Error::Full`] beyond 128 streams, [`Error::NameTooLong`], [`Error::Closed`], [`Error::SessionLost`].
    pub fn open_stream(&self, name: &str) -> Result<(SendStream, RecvStream), Error> {
        stream::open(&self.shared, name, None)
    }

    /// Opens a stream that belongs to a group.
    ///
    /// # Errors
    /// As [`Session::open_stream`], and [`Error::NotInGroup`].
    pub fn open_group_stream(&self, group: GroupId, name: &str) -> Result<(SendStream, RecvStream), Error> {
        stream::open(&self.shared, name, Some(group))
    }

    /// Waits for the peer to open a stream.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::SessionLost`].
    pub async fn accept_stream(&self) -> Result<InboundStream, Error> {
        loop {
            let some = self.shared.signals.streams.notified();
            tokio::pin!(some);
            some.as_mut().enable();
            if let Some(opened) = self.shared.update(|s| s.opened.pop_front())? {
                return Ok(opened.into_handles(&self.shared));
            }
            some.await;
        }
    }

    /// Waits until the peer has acknowledged everything sent so far.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::SessionLost`].
    pub async fn drain(&self) -> Result<(), Error> {
        loop {
            let acknowledged = self.shared.signals.acknowledged.notified();
            tokio::pin!(acknowledged);
            acknowledged.as_mut().enable();
            if self.shared.update(|s| s.multipath.session.is_drained())? {
                return Ok(());
            }
            acknowledged.await;
        }
    }

    /// Ends the session in good order. The peer is told; what was not yet acknowledged may not arrive (see
    /// [`Session::drain`]).
    pub async fn close(&self) {
        self.shared.end(EndReason::Closed.into());
        self.shared.gone().await;
    }
}

/// Handles are equal when they are of the same session: a device whose app was started anew has another one.
impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for Session {}

impl std::hash::Hash for Session {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.shared).hash(state);
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("device", &self.device()).field("path", &self.path()).finish()
    }
}

#[cfg(test)]
mod tests;
