//! A stream's handle.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::FutureExt;
use peers::{BulkMark, InboundStream, RecvStream, SendStream};
use tokio::sync::{Mutex, watch};

use crate::inbox::Inbox;
use crate::lane::Wait;
use crate::runtime::Tasks;
use crate::{Cancellation, GroupId, PeersError, lane};

/// Bytes pulled from the core at once, so that a large transfer crosses the border a few thousand times, not a million.
const BATCH: usize = 256 * 1024;

/// Bytes both ways, in order, with backpressure.
#[derive(uniffi::Object)]
pub struct Stream {
    name: String,
    group: Option<GroupId>,
    tasks: Tasks,
    bulk: BulkMark,
    send: Arc<Half<SendStream>>,
    recv: Arc<Half<Reader>>,
    arrived: Inbox<Bytes>,
    lane: OnceLock<u64>,
    pub(crate) wait_for_bytes: Wait,
    pub(crate) wait_for_room: Wait,
}

impl Stream {
    pub(crate) fn new(stream: InboundStream, tasks: Tasks) -> Arc<Self> {
        Arc::new(Self {
            name: stream.name,
            group: stream.group,
            tasks,
            bulk: stream.send.bulk(),
            send: Half::new(stream.send),
            recv: Half::new(Reader { stream: stream.recv, failed: None }),
            arrived: Inbox::new(),
            lane: OnceLock::new(),
            wait_for_bytes: Wait::default(),
            wait_for_room: Wait::default(),
        })
    }
}

#[uniffi::export]
impl Stream {
    /// The name that its opener gave it.
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// The group it belongs to.
    pub fn group(&self) -> Option<GroupId> {
        self.group
    }

    /// The number that stands for it in [`crate::lane`].
    pub fn lane(self: Arc<Self>) -> u64 {
        *self.lane.get_or_init(|| lane::STREAMS.add(&self))
    }

    /// Writes all of `data`, waiting while the peer reads slower. A cancelled write may have written a part: then reset.
    pub async fn write(&self, data: Vec<u8>, cancel: Option<Arc<Cancellation>>) -> Result<(), PeersError> {
        let send = self.send.clone();
        let work = async move {
            let mut stream = send.stream.lock().await;
            tokio::select! {
                biased;
                () = send.given_up() => Err(PeersError::Closed),
                written = stream.write(data) => Ok(written?),
            }
        };
        self.tasks.run(cancel, work).await
    }

    /// Says that nothing follows, and waits until all is handed to the path.
    pub async fn finish(&self, cancel: Option<Arc<Cancellation>>) -> Result<(), PeersError> {
        let send = self.send.clone();
        let work = async move {
            let mut stream = send.stream.lock().await;
            tokio::select! {
                biased;
                () = send.given_up() => Err(PeersError::Closed),
                finished = stream.finish() => Ok(finished?),
            }
        };
        self.tasks.run(cancel, work).await
    }

    /// True if it is marked as bulk: see [`Stream::set_bulk`].
    pub fn is_bulk(&self) -> bool {
        self.bulk.is_set()
    }

    /// Marks it as bulk, which can wait: while data costs money here nothing more of it is sent or taken, unless
    /// [`crate::ClientConfig::bulk_on_metered`] says so. The peer has a mark of its own.
    pub fn set_bulk(&self, bulk: bool) {
        self.bulk.set(bulk);
    }

    /// Gives up writing: the peer's reads fail with `code`.
    pub fn reset(&self, code: u64) {
        self.send.give_up(&self.tasks, move |stream| stream.reset(code));
    }

    /// Waits until there are bytes to take. False at the end of the stream.
    pub async fn bytes_ready(self: Arc<Self>, cancel: Option<Arc<Cancellation>>) -> Result<bool, PeersError> {
        let tasks = self.tasks.clone();
        let work = async move { self.arrived.fill(|| self.pull()).await };
        tasks.run(cancel, work).await
    }

    /// Gives up reading: the peer's writes fail with `code`.
    pub fn stop(&self, code: u64) {
        self.recv.give_up(&self.tasks, move |reader| reader.stream.stop(code));
    }
}

impl Stream {
    /// Waits for a chunk and takes along what is there already. Empty at the end.
    async fn pull(&self) -> Result<Vec<Bytes>, PeersError> {
        let mut reader = self.recv.stream.lock().await;
        let first = tokio::select! {
            biased;
            () = self.recv.given_up() => return Err(PeersError::Closed),
            chunk = reader.next() => chunk?,
        };
        Ok(first.map(|first| reader.with_more(first)).unwrap_or_default())
    }

    /// Writes what there is room for now. Returns how many bytes; none while another write waits.
    pub(crate) fn try_write(&self, data: &[u8]) -> Result<usize, PeersError> {
        let Ok(mut stream) = self.send.stream.try_lock() else { return Ok(0) };
        if *self.send.given_up.borrow() {
            return Err(PeersError::Closed);
        }
        let mut rest = Bytes::copy_from_slice(data);
        stream.try_write(&mut rest)?;
        Ok(data.len() - rest.len())
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Waits for bytes, the end or an error.
    pub(crate) async fn bytes(self: Arc<Self>) {
        // An error stays for the next read.
        let _ = self.arrived.fill(|| self.pull()).await;
    }

    /// Waits for room or an error.
    pub(crate) async fn room(self: Arc<Self>) {
        let mut stream = self.send.stream.lock().await;
        tokio::select! {
            biased;
            () = self.send.given_up() => {}
            // An error comes again at the next write.
            _ = stream.room() => {}
        }
    }

    /// Fills `space` as far as bytes have arrived. Returns how many.
    pub(crate) fn try_read(&self, space: &mut [u8]) -> usize {
        self.arrived.top_up(|| {
            let Ok(mut reader) = self.recv.stream.try_lock() else { return Vec::new() };
            if *self.recv.given_up.borrow() {
                return Vec::new();
            }
            reader.now().map(|first| reader.with_more(first)).unwrap_or_default()
        });
        self.arrived.take_bytes(space)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(number) = self.lane.get() {
            lane::STREAMS.remove(*number);
        }
    }
}

/// The incoming direction, with the error that it ended with: the core reports it once.
struct Reader {
    stream: RecvStream,
    failed: Option<PeersError>,
}

impl Reader {
    /// None at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, PeersError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.stream.read().await.map_err(|error| self.failed.insert(error.into()).clone())
    }

    /// The bytes that are there, without waiting. The end and an error stay for [`Reader::next`].
    fn now(&mut self) -> Option<Bytes> {
        self.next().now_or_never()?.ok()?
    }

    /// `first` and the chunks that are there already behind it.
    fn with_more(&mut self, first: Bytes) -> Vec<Bytes> {
        let mut bytes = first.len();
        let mut chunks = vec![first];
        while bytes < BATCH
            && let Some(chunk) = self.now()
        {
            bytes += chunk.len();
            chunks.push(chunk);
        }
        chunks
    }
}

/// One direction, which can be given up while somebody waits in it.
struct Half<S> {
    stream: Mutex<S>,
    given_up: watch::Sender<bool>,
}

impl<S: Send + 'static> Half<S> {
    fn new(stream: S) -> Arc<Self> {
        Arc::new(Self { stream: Mutex::new(stream), given_up: watch::Sender::new(false) })
    }

    async fn given_up(&self) {
        // The sender lives as long as `self`, so this ends only when it is true.
        let _ = self.given_up.subscribe().wait_for(|given_up| *given_up).await;
    }

    fn give_up(self: &Arc<Self>, tasks: &Tasks, end: impl FnOnce(&mut S) + Send + 'static) {
        let half = self.clone();
        half.given_up.send_replace(true);
        tasks.start(async move { end(&mut *half.stream.lock().await) });
    }
}
