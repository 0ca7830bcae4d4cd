//! Compression for the way, and decompression of what a peer sent.
//!
//! A few bytes on the wire can become megabytes, and cost this device's processor. So each session decompresses one object
//! at a time and only so many bytes a second; what waits keeps its credit, which slows its sender down. Large objects are
//! taken care of apart from the tasks that others wait for, two at a time in the whole process.

use bytes::Bytes;
use peers_proto::bucket::Bucket;
use peers_proto::codec;
use peers_proto::limits::{MAX_MESSAGE, UNPACK_BURST, UNPACK_PER_SECOND};
use peers_proto::session::{Encoding, Object};
use tokio::sync::{Mutex, Semaphore};

use super::shared::Shared;
use crate::error::Error;

/// Objects up to this many bytes take less time to decompress, a quarter of a millisecond, than is worth a thread.
const AT_ONCE: usize = 64 * 1024;
/// Bodies up to this many bytes are compressed in the task that answers: ten milliseconds.
const PACK_AT_ONCE: usize = 256 * 1024;
/// Threads that may work on objects at once: one for each of a phone's fast cores.
static THREADS: Semaphore = Semaphore::const_new(2);

/// The pace of one session's decompression, held by the one object that is being decompressed.
pub(crate) struct Unpacking(Mutex<Bucket>);

impl Default for Unpacking {
    fn default() -> Self {
        Self(Mutex::new(Bucket::new(UNPACK_PER_SECOND, UNPACK_BURST)))
    }
}

/// Compresses what is worth it. Done in the sender's task, outside the session's lock.
pub(super) fn pack(body: Bytes) -> Result<Object, Error> {
    if body.len() > MAX_MESSAGE {
        return Err(Error::TooLarge);
    }
    let raw_len = body.len();
    let (encoding, content) = codec::compress(body);
    Ok(Object { encoding, raw_len, content })
}

/// As [`pack`] for an answer, which the peer may ask for as often as it likes.
pub(super) async fn pack_answer(shared: &Shared, body: Bytes) -> Result<Object, Error> {
    if body.len() <= PACK_AT_ONCE { pack(body) } else { apart(shared, move || pack(body)).await }
}

/// Decompresses; never beyond the declared length.
pub(super) async fn unpack(shared: &Shared, object: Object) -> Result<Bytes, Error> {
    if object.encoding == Encoding::Plain {
        return inflate(object);
    }
    let mut pace = shared.unpacking.0.lock().await;
    if let Some(until) = pace.take(0, shared.clock.now()) {
        shared.sleep_until(until).await;
    }
    pace.take(object.raw_len as u64, shared.clock.now());
    if object.raw_len <= AT_ONCE { inflate(object) } else { apart(shared, move || inflate(object)).await }
}

fn inflate(object: Object) -> Result<Bytes, Error> {
    codec::decompress(object.encoding, object.raw_len, object.content)
        .map_err(|e| Error::Codec(e.to_string()))
}

/// Does long work where no task waits for the thread. It goes on, and keeps its place, if its caller is dropped.
async fn apart<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let place = THREADS.acquire().await.map_err(|_| Error::Closed)?;
    let work = move || {
        let _place = place;
        work()
    };
    shared.runtime.run_blocking(work).await.unwrap_or(Err(Error::NoRuntime))
}
