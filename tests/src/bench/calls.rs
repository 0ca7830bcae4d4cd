//! How long an answer takes: a call of 64 bytes, and a raw frame sent back.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::report::{Bound, Figure, Report, percentile};
use super::world::{WEBRTC, World};
use super::{Outcome, raw};

const BODY: [u8; 64] = [7; 64];
/// Round trips of one run, and those before them that do not count.
const ROUND_TRIPS: usize = 2000;
const WARM_UP: usize = 200;

pub(super) async fn measure(report: &mut Report, rounds: u32) -> Outcome<()> {
    let world = World::start().await?;
    let (mut calls, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        raw.push(percentile(&raw_run().await?, 50));
        calls.push(percentile(&call_run(&world).await?, 50));
    }
    world.stop().await;
    report.add(&Figure::compared("call_rtt_p50", "us", &calls, &raw), Bound::RatioAtMost(1.5))
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
    let mut times = Vec::new();
    for _ in 0..WARM_UP + ROUND_TRIPS {
        let start = Instant::now();
        session.call("echo", "echo", Bytes::from_static(&BODY)).await?;
        times.push(micros(start.elapsed()));
    }
    devices.stop().await;
    Ok(times.split_off(WARM_UP))
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
