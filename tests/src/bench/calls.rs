//! Time of an answer: a call of 64 bytes, and a raw frame sent back.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use peers::Session;

use super::report::{Bound, Figure, Report, percentile};
use super::world::{WEBRTC, World};
use super::{Outcome, raw};

const BODY: [u8; 64] = [7; 64];
/// Round trips of one run, and those before them that do not count.
const ROUND_TRIPS: usize = 2000;
const WARM_UP: usize = 200;
/// Bytes after which a stream has come to its speed.
const FLOWING: usize = 8_000_000;

pub(super) async fn measure(report: &mut Report, rounds: u32) -> Outcome<()> {
    let world = World::start().await?;
    let (mut calls, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        raw.push(percentile(&raw_run().await?, 50));
        calls.push(percentile(&call_run(&world).await?, 50));
    }
    report.add(&Figure::compared("call_rtt_p50", "us", &calls, &raw), Bound::RatioAtMost(1.5))?;
    let (mut idle, mut loaded) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (before, during) = beside_bulk(&world).await?;
        idle.push(percentile(&before, 99));
        loaded.push(percentile(&during, 99));
    }
    world.stop().await;
    let loaded = Figure::compared("call_rtt_p99_beside_bulk", "us", &loaded, &idle);
    let most = 5.0 * percentile(&idle, 50) + 20_000.0;
    report.add(&loaded, Bound::AtMost(most))
}

/// Calls on an idle session, and on the same one while a stream takes all it can get.
async fn beside_bulk(world: &World) -> Outcome<(Vec<f64>, Vec<f64>)> {
    let mut devices = world.devices(WEBRTC).await?;
    let (here, there) = (devices.connect().await?, devices.accepted().await?);
    calls(&here, WARM_UP).await?;
    let idle = calls(&here, ROUND_TRIPS).await?;
    let (mut send, _recv) = here.open_stream("bulk")?;
    let writing = tokio::spawn(async move {
        let chunk = Bytes::from(vec![0; 64 * 1024]);
        while send.write(chunk.clone()).await.is_ok() {}
    });
    let mut stream = there.accept_stream().await?;
    let (flows, flowing) = tokio::sync::oneshot::channel();
    let reading = tokio::spawn(async move {
        let (mut received, mut flows) = (0, Some(flows));
        while let Ok(Some(chunk)) = stream.recv.read().await {
            received += chunk.len();
            if let Some(flows) = flows.take_if(|_| received > FLOWING) {
                let _ = flows.send(());
            }
        }
    });
    flowing.await?;
    let loaded = calls(&here, ROUND_TRIPS).await?;
    devices.stop().await;
    writing.await?;
    reading.await?;
    Ok((idle, loaded))
}

async fn raw_run() -> Outcome<Vec<f64>> {
    let (mut a, mut b) = raw::pair().await?;
    let echo = tokio::spawn(async move {
        while let Ok(frame) = b.source.recv().await {
            if b.sink.send(BytesMut::from(frame)).await.is_err() {
                break;
            }
        }
    });
    let mut times = Vec::new();
    for _ in 0..WARM_UP + ROUND_TRIPS {
        let start = Instant::now();
        a.sink.send(BytesMut::from(&BODY[..])).await?;
        a.source.recv().await?;
        times.push(micros(start.elapsed()));
    }
    drop(a);
    echo.await?;
    Ok(times.split_off(WARM_UP))
}

async fn call_run(world: &World) -> Outcome<Vec<f64>> {
    let devices = world.devices(WEBRTC).await?;
    let session = devices.connect().await?;
    calls(&session, WARM_UP).await?;
    let times = calls(&session, ROUND_TRIPS).await?;
    devices.stop().await;
    Ok(times)
}

/// Microseconds that each of them took.
pub(super) async fn calls(session: &Session, count: usize) -> Outcome<Vec<f64>> {
    let mut times = Vec::new();
    for _ in 0..count {
        let start = Instant::now();
        session.call("echo", "echo", Bytes::from_static(&BODY)).await?;
        times.push(micros(start.elapsed()));
    }
    Ok(times)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
