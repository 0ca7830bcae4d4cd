//! Numbered messages and a stream in one direction, and what became of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, Bytes, BytesMut};
use peers::{RecvStream, Session};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::bulk;

/// Bytes of a message beside its number and time.
const PADDING: usize = 184;
/// A message on its way for longer is logged, in milliseconds.
const LATE_MS: u64 = 1000;

/// Messages that one device has received.
pub(crate) struct Received {
    state: Mutex<State>,
    some: Notify,
    bulk: Arc<AtomicU64>,
}

#[derive(Default)]
struct State {
    /// Times of sending and arrival of each message, in microseconds of Unix time; the index is its number.
    messages: Vec<(u64, u64)>,
    stream: u64,
    faults: Vec<String>,
}

/// Of how much.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) messages: u64,
    pub(crate) stream: u64,
}

impl Received {
    /// Bytes of [`bulk`] go to that counter.
    pub(crate) fn new(bulk: Arc<AtomicU64>) -> Self {
        Self { state: Mutex::default(), some: Notify::new(), bulk }
    }

    pub(crate) fn fault(&self, what: String) {
        self.lock().faults.push(what);
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        self.lock().faults.clone()
    }

    pub(crate) fn amount(&self) -> Amount {
        let state = self.lock();
        Amount { messages: state.messages.len() as u64, stream: state.stream }
    }

    /// The longest time between two arrivals, in milliseconds.
    pub(crate) fn longest_gap(&self) -> u64 {
        let state = self.lock();
        let gap = state.messages.windows(2).map(|pair| pair[1].1.saturating_sub(pair[0].1)).max();
        gap.unwrap_or_default() / 1000
    }

    /// The arrival of the first message that was sent at `from` or later. Waits for it.
    pub(crate) async fn first_since(&self, from: u64) -> u64 {
        loop {
            let some = self.some.notified();
            tokio::pin!(some);
            some.as_mut().enable();
            if let Some(arrived) =
                self.lock().messages.iter().rev().take_while(|m| m.0 >= from).last().map(|m| m.1)
            {
                return arrived;
            }
            some.await;
        }
    }

    /// Takes all messages of a session.
    pub(crate) async fn take_messages(self: Arc<Self>, session: Session) {
        while let Ok(message) = session.recv().await {
            let mut body = &message.body[..];
            let (Ok(number), Ok(sent)) = (body.try_get_u64(), body.try_get_u64()) else {
                self.fault("a message is damaged".to_owned());
                continue;
            };
            let mut state = self.lock();
            let expected = state.messages.len() as u64;
            if number != expected {
                state.faults.push(format!("message {number} in place of {expected}"));
            }
            let now = unix_micros();
            state.messages.push((sent, now));
            drop(state);
            let late_ms = now.saturating_sub(sent) / 1000;
            if late_ms > LATE_MS {
                tracing::debug!(number, late_ms, "message late");
            }
            self.some.notify_waiters();
        }
    }

    /// Takes all streams of a session, one after the other.
    pub(crate) async fn take_streams(self: Arc<Self>, session: Session) {
        while let Ok(opened) = session.accept_stream().await {
            if opened.name == bulk::STREAM {
                self.take_bulk(opened.recv).await;
            } else {
                self.take_stream(opened.recv).await;
            }
        }
    }

    async fn take_bulk(&self, mut stream: RecvStream) {
        while let Ok(Some(bytes)) = stream.read().await {
            self.bulk.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
    }

    async fn take_stream(&self, mut stream: RecvStream) {
        while let Ok(Some(bytes)) = stream.read().await {
            let mut state = self.lock();
            for byte in bytes {
                if byte != noise(state.stream) {
                    let at = state.stream;
                    state.faults.push(format!("the stream differs at {at}"));
                    return;
                }
                state.stream += 1;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends a message and a piece of stream at every tick, until it is stopped and all is acknowledged. Returns how much it was.
pub(crate) async fn send(
    session: Session,
    every: Duration,
    stop: CancellationToken,
) -> Result<Amount, peers::Error> {
    let (mut stream, _) = session.open_stream("numbers")?;
    let mut amount = Amount::default();
    let mut tick = tokio::time::interval(every);
    while !stop.is_cancelled() {
        tick.tick().await;
        let mut body = BytesMut::with_capacity(16 + PADDING);
        body.extend_from_slice(&amount.messages.to_be_bytes());
        body.extend_from_slice(&unix_micros().to_be_bytes());
        body.resize(16 + PADDING, 7);
        session.send_bytes(body.freeze()).await?;
        amount.messages += 1;
        let piece: Bytes = (amount.stream..amount.stream + 100).map(noise).collect();
        amount.stream += piece.len() as u64;
        stream.write(piece).await?;
    }
    stream.finish().await?;
    session.drain().await?;
    Ok(amount)
}

/// Noise that does not compress and that no shift of it repeats (splitmix64).
pub(crate) fn noise(at: u64) -> u8 {
    let mut x = at.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x.to_be_bytes()[0]
}

/// The time that the devices' clocks share: they run on one machine.
pub(crate) fn unix_micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}
