//! The raw side: a data channel with our tuning and nothing above it.

use bytes::BytesMut;
use peers::transport::Transport;
use peers::transport::webrtc::{WebRtcAttempt, WebRtcConfig};
use tokio::task::JoinHandle;

use super::Outcome;

pub(super) async fn pair() -> Outcome<(Transport, Transport)> {
    let config = WebRtcConfig { include_loopback: true, ..Default::default() };
    let offering = WebRtcAttempt::offer(&config).await?;
    let answering = WebRtcAttempt::answer(&config, &offering.sdp).await?;
    offering.negotiation.set_remote_answer(&answering.sdp).await?;
    let (a, b) = tokio::join!(offering.connecting.connected(), answering.connecting.connected());
    Ok((a?, b?))
}

/// Sends `count` frames of `size` bytes and waits for the last of them to arrive.
pub(super) async fn flood((a, mut b): (Transport, Transport), size: usize, count: usize) -> Outcome<()> {
    let mut sender = a;
    let sending: JoinHandle<Outcome<Transport>> = tokio::spawn(async move {
        for _ in 0..count {
            sender.sink.send(BytesMut::zeroed(size)).await?;
        }
        sender.sink.flush().await?;
        Ok(sender)
    });
    for _ in 0..count {
        b.source.recv().await?;
    }
    // The sender stays open until the receiver has everything.
    drop(sending.await??);
    Ok(())
}
