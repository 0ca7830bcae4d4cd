//! Small messages: what batching them into frames brings.

use std::time::Instant;

use bytes::Bytes;
use peers::{Error, Session};

use super::report::{Bound, Figure, Report};
use super::world::{WEBRTC, World};
use super::{Outcome, raw};

const BODY: [u8; 100] = [7; 100];
/// Messages of one run.
const MESSAGES: usize = 200_000;
/// Messages an app takes at once.
const TAKE: usize = 1024;

pub(super) async fn measure(report: &mut Report, rounds: u32) -> Outcome<()> {
    let world = World::start().await?;
    let (mut messages, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        raw.push(raw_run().await?);
        messages.push(session_run(&world).await?);
    }
    world.stop().await;
    report.add(&Figure::compared("messages_100_bytes", "1/s", &messages, &raw), Bound::RatioAtLeast(1.5))
}

async fn raw_run() -> Outcome<f64> {
    let pair = raw::pair().await?;
    let start = Instant::now();
    raw::flood(pair, BODY.len(), MESSAGES).await?;
    Ok(MESSAGES as f64 / start.elapsed().as_secs_f64())
}

async fn session_run(world: &World) -> Outcome<f64> {
    let mut devices = world.devices(WEBRTC).await?;
    let (here, there) = (devices.connect().await?, devices.accepted().await?);
    let start = Instant::now();
    let sending = tokio::spawn(async move { send(&here).await });
    let mut received = 0;
    while received < MESSAGES {
        received += there.recv_many(TAKE).await?.len();
    }
    let seconds = start.elapsed().as_secs_f64();
    sending.await??;
    devices.stop().await;
    Ok(MESSAGES as f64 / seconds)
}

async fn send(session: &Session) -> Result<(), Error> {
    let body = Bytes::from_static(&BODY);
    for _ in 0..MESSAGES {
        match session.try_send_bytes(body.clone()) {
            Err(Error::Full) => session.send_bytes(body.clone()).await?,
            sent => sent?,
        }
    }
    Ok(())
}
