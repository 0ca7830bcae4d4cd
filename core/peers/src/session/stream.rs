//! Streams as apps see them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use bytes::Bytes;
use peers_proto::id::GroupId;
use peers_proto::session::STREAM_DROPPED;
use tokio::sync::Notify;

use super::shared::{Shared, State};
use crate::error::Error;

/// Signals to the tasks that wait on one stream.
#[derive(Default)]
pub(crate) struct StreamSignal {
    pub(crate) readable: Notify,
    pub(crate) writable: Notify,
    bulk: AtomicBool,
    /// Handles that were dropped; with the second one the signal is forgotten.
    dropped: AtomicU8,
}

impl StreamSignal {
    pub(crate) fn wake(&self) {
        self.readable.notify_waiters();
        self.writable.notify_waiters();
    }
}

/// A stream that the peer opened.
#[derive(Debug)]
pub struct InboundStream {
    /// The name that the opener gave it.
    pub name: String,
    /// The group it belongs to.
    pub group: Option<GroupId>,
    /// Towards the opener.
    pub send: SendStream,
    /// From the opener.
    pub recv: RecvStream,
}

/// The mark of a stream whose data can wait: while data costs money on this device's network nothing more of it is sent or
/// taken here, unless [`ClientBuilder::bulk_on_metered`] says so. Each end has its own. Clones are the same mark.
///
/// [`ClientBuilder::bulk_on_metered`]: crate::ClientBuilder::bulk_on_metered
#[derive(Clone)]
pub struct BulkMark(Arc<StreamSignal>);

impl BulkMark {
    /// Marks the stream, or takes the mark back: what waits in it then goes on.
    pub fn set(&self, bulk: bool) {
        self.0.bulk.store(bulk, Ordering::Relaxed);
        self.0.wake();
    }

    /// True if the stream is marked.
    pub fn is_set(&self) -> bool {
        self.0.bulk.load(Ordering::Relaxed)
    }
}

/// The outgoing direction of a stream. Dropping it before [`SendStream::finish`] resets it.
pub struct SendStream {
    half: Half,
    finished: bool,
}

/// The incoming direction of a stream. Dropping it before its end tells the peer to stop.
pub struct RecvStream {
    half: Half,
    ended: bool,
}

struct Half {
    shared: Arc<Shared>,
    id: u64,
    signal: Arc<StreamSignal>,
}

pub(super) fn open(
    shared: &Arc<Shared>,
    name: &str,
    group: Option<GroupId>,
) -> Result<(SendStream, RecvStream), Error> {
    let (id, signal) = shared.update(|s| {
        let id = s.multipath.session.open_stream(name, group)?;
        let signal = Arc::<StreamSignal>::default();
        s.signals.insert(id, signal.clone());
        Ok::<_, Error>((id, signal))
    })??;
    Ok(handles(shared, id, signal))
}

pub(super) fn handles(shared: &Arc<Shared>, id: u64, signal: Arc<StreamSignal>) -> (SendStream, RecvStream) {
    let half = || Half { shared: shared.clone(), id, signal: signal.clone() };
    (SendStream { half: half(), finished: false }, RecvStream { half: half(), ended: false })
}

impl SendStream {
    /// Sends bytes. Waits while the stream's queue is full; a slow reader slows its writer, never its neighbours.
    ///
    /// # Errors
    /// [`Error::Stream`] if the reader has stopped it, [`Error::Closed`], [`Error::SessionLost`].
    pub async fn write(&mut self, data: impl Into<Bytes>) -> Result<(), Error> {
        let mut data = data.into();
        loop {
            let room = self.half.signal.writable.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            self.queue(&mut data)?;
            if data.is_empty() {
                return Ok(());
            }
            room.await;
        }
    }

    /// Sends what the stream's queue has room for now and leaves the rest in `data`.
    ///
    /// # Errors
    /// As [`SendStream::write`].
    pub fn try_write(&mut self, data: &mut Bytes) -> Result<(), Error> {
        self.queue(data)
    }

    /// Waits until half of the stream's queue is free, which [`SendStream::write`] waits for as well.
    ///
    /// # Errors
    /// As [`SendStream::write`].
    pub async fn room(&mut self) -> Result<(), Error> {
        loop {
            let room = self.half.signal.writable.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            let free = self.half.shared.update(|s| {
                // Asked in any case: it ends too when the reader stops the stream.
                let free = s.multipath.session.has_room(self.half.id)?;
                Ok::<_, Error>(free && !self.half.waits(s))
            })??;
            if free {
                return Ok(());
            }
            room.await;
        }
    }

    fn queue(&self, data: &mut Bytes) -> Result<(), Error> {
        self.half.shared.update(|s| match self.half.waits(s) {
            // Ends too when the reader stops the stream.
            true => s.multipath.session.write(self.half.id, &mut Bytes::new()),
            false => s.multipath.session.write(self.half.id, data),
        })??;
        Ok(())
    }

    /// Ends this direction and waits until all of it is on its way.
    ///
    /// # Errors
    /// As [`SendStream::write`].
    pub async fn finish(&mut self) -> Result<(), Error> {
        loop {
            let sent = self.half.signal.writable.notified();
            tokio::pin!(sent);
            sent.as_mut().enable();
            let flushed = self.half.shared.update(|s| {
                if !std::mem::replace(&mut self.finished, true) {
                    s.multipath.session.finish(self.half.id)?;
                }
                s.multipath.session.is_flushed(self.half.id)
            })??;
            if flushed {
                return Ok(());
            }
            sent.await;
        }
    }

    /// The stream's mark, of both its directions.
    pub fn bulk(&self) -> BulkMark {
        BulkMark(self.half.signal.clone())
    }

    /// Gives up this direction; the reader gets `code`.
    pub fn reset(&mut self, code: u64) {
        self.finished = true;
        self.half.shared.inspect(|s| s.multipath.session.reset(self.half.id, code));
    }
}

impl RecvStream {
    /// Waits for the next bytes; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Stream`] if the writer gave up, [`Error::Closed`], [`Error::SessionLost`].
    pub async fn read(&mut self) -> Result<Option<Bytes>, Error> {
        if self.ended {
            return Ok(None);
        }
        loop {
            let more = self.half.signal.readable.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            let taken = self.half.shared.update(|s| match self.half.waits(s) {
                true => Ok(None),
                false => s.multipath.session.read(self.half.id),
            });
            match taken?? {
                Some(bytes) if bytes.is_empty() => {
                    self.ended = true;
                    return Ok(None);
                }
                Some(bytes) => return Ok(Some(bytes)),
                None => more.await,
            }
        }
    }

    /// The stream's mark, of both its directions.
    pub fn bulk(&self) -> BulkMark {
        BulkMark(self.half.signal.clone())
    }

    /// Declines the rest; the writer gets `code`.
    pub fn stop(&mut self, code: u64) {
        self.ended = true;
        self.half.shared.inspect(|s| s.multipath.session.stop(self.half.id, code));
    }
}

impl Half {
    /// True if it waits for a network on which data costs nothing.
    fn waits(&self, state: &State) -> bool {
        state.bulk_waits && self.signal.bulk.load(Ordering::Relaxed)
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        if !self.finished {
            self.reset(STREAM_DROPPED);
        }
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        if !self.ended {
            self.stop(STREAM_DROPPED);
        }
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        if self.signal.dropped.fetch_add(1, Ordering::AcqRel) == 1 {
            self.shared.lock().signals.remove(&self.id);
        }
    }
}

impl std::fmt::Debug for BulkMark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("BulkMark").field(&self.is_set()).finish()
    }
}

impl std::fmt::Debug for SendStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SendStream").field(&self.half.id).finish()
    }
}

impl std::fmt::Debug for RecvStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RecvStream").field(&self.half.id).finish()
    }
}
