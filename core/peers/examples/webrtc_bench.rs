//! Figures of the `webrtc` transport on loopback: `cargo run --release -p peers --example webrtc_bench`.

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use peers::transport::Transport;
use peers::transport::webrtc::{WebRtcAttempt, WebRtcConfig};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Outcome<()> {
    tokio::spawn(async {
        setup().await?;
        round_trips().await?;
        flood("bulk 16 KiB", 16 * 1024, 16_384).await?;
        flood("100 B", 100, 300_000).await
    })
    .await?
}

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

async fn pair() -> Outcome<(Transport, Transport)> {
    let config = WebRtcConfig { include_loopback: true, ..Default::default() };
    let offering = WebRtcAttempt::offer(&config).await?;
    let answering = WebRtcAttempt::answer(&config, &offering.sdp).await?;
    offering.negotiation.set_remote_answer(&answering.sdp).await?;
    let (a, b) = tokio::join!(offering.connecting.connected(), answering.connecting.connected());
    Ok((a?, b?))
}

async fn setup() -> Outcome<()> {
    let mut times = Vec::new();
    for _ in 0..100 {
        let start = Instant::now();
        let connected = pair().await?;
        times.push(start.elapsed());
        drop(connected);
    }
    report("setup", times);
    Ok(())
}

async fn round_trips() -> Outcome<()> {
    let (mut a, mut b) = pair().await?;
    let echo = tokio::spawn(async move {
        while let Ok(frame) = b.source.recv().await {
            if b.sink.send(BytesMut::from(frame)).await.is_err() {
                break;
            }
        }
    });
    let mut times = Vec::new();
    for _ in 0..5000 {
        let start = Instant::now();
        a.sink.send(BytesMut::from(&[7; 64][..])).await?;
        a.source.recv().await?;
        times.push(start.elapsed());
    }
    report("round trip 64 B", times);
    drop(a);
    echo.await?;
    Ok(())
}

async fn flood(name: &str, size: usize, count: usize) -> Outcome<()> {
    let (mut a, mut b) = pair().await?;
    let start = Instant::now();
    let sender = tokio::spawn(async move {
        for _ in 0..count {
            a.sink.send(BytesMut::zeroed(size)).await?;
        }
        Outcome::Ok(a)
    });
    for _ in 0..count {
        b.source.recv().await?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let (rate, bytes) = (count as f64 / seconds, (count * size) as f64 / seconds / 1e6);
    println!("{name}: {rate:.0} messages/s, {bytes:.1} MB/s");
    drop(sender.await??);
    Ok(())
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    println!("{name}: p50 {:?}, p99 {:?}", at(50), at(99));
}
