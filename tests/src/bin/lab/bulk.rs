//! As much as a path carries: a stream of a session, and the tuned data channel below it with nothing above.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use peers::Session;
use peers::transport::Transport;
use peers::transport::webrtc::{WebRtcAttempt, WebRtcConfig};
use tokio::task::JoinSet;

use crate::Outcome;

/// The name of a stream whose content does not matter.
pub(crate) const STREAM: &str = "bulk";
/// Bytes of one frame of the raw channel, and of one write to a stream.
const FRAME: usize = 16 * 1024;
const WRITE: usize = 64 * 1024;

/// One device's part. Everything ends when it is dropped.
#[derive(Default)]
pub(crate) struct Bulk {
    received: Arc<AtomicU64>,
    attempt: Option<WebRtcAttempt>,
    raw: Option<Transport>,
    tasks: JoinSet<()>,
}

impl Bulk {
    /// Counts what arrives.
    pub(crate) fn counter(&self) -> Arc<AtomicU64> {
        self.received.clone()
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Sends on a stream until the end.
    pub(crate) fn send(&mut self, session: &Session) -> Outcome<()> {
        let (mut send, _) = session.open_stream(STREAM)?;
        let chunk = Bytes::from(vec![0x5a; WRITE]);
        self.tasks.spawn(async move { while send.write(chunk.clone()).await.is_ok() {} });
        Ok(())
    }

    pub(crate) async fn offer(&mut self) -> Outcome<String> {
        let attempt = WebRtcAttempt::offer(&WebRtcConfig::default()).await?;
        Ok(self.attempt.insert(attempt).sdp.clone())
    }

    pub(crate) async fn answer(&mut self, offer: &str) -> Outcome<String> {
        let attempt = WebRtcAttempt::answer(&WebRtcConfig::default(), offer).await?;
        Ok(self.attempt.insert(attempt).sdp.clone())
    }

    /// Waits until the raw channel is open. The offerer passes the peer's answer.
    pub(crate) async fn open(&mut self, answer: Option<&str>) -> Outcome<()> {
        let attempt = self.attempt.take().ok_or("no attempt")?;
        if let Some(answer) = answer {
            attempt.negotiation.set_remote_answer(answer).await?;
        }
        self.raw = Some(attempt.connecting.connected().await?);
        Ok(())
    }

    /// Sends, or takes what arrives, on the raw channel until the end.
    pub(crate) fn run_raw(&mut self, sends: bool) -> Outcome<()> {
        let Transport { mut sink, mut source, .. } = self.raw.take().ok_or("no raw channel")?;
        let received = self.counter();
        self.tasks.spawn(async move {
            if sends {
                while sink.send(BytesMut::zeroed(FRAME)).await.is_ok() {}
            } else {
                while let Ok(frame) = source.recv().await {
                    received.fetch_add(frame.len() as u64, Ordering::Relaxed);
                }
            }
            // Half of a transport would end it.
            drop((sink, source));
        });
        Ok(())
    }

    /// Ends what runs.
    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
}
