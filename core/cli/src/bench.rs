//! `peers bench`: a quick look; scripts/bench compares.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use peers::{Client, TrustLevel};
use peers_relay::{Relay, RelayConfig};

use crate::answer::Echo;
use crate::device::round_trip;
use crate::error::CommandError;
use crate::print::{self, Printer};
use crate::receive::receive_files;

pub(crate) async fn run(mb: u32) -> Result<(), CommandError> {
    let relay =
        Relay::start(RelayConfig { bind: ([127, 0, 0, 1], 0).into(), ..RelayConfig::default() }).await?;
    let url = format!("ws://{}", relay.local_addr());
    let builder = || Client::builder().relay(url.clone()).loopback(true).handler("echo", Arc::new(Echo));
    let (a, _events) = builder().start().await?;
    let (b, mut events) = builder().trust(a.device_id(), TrustLevel::Trusted).start().await?;
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if let peers::Event::Connected { session, .. } = event {
                tokio::spawn(receive_files(session, None, Printer::Text));
            }
        }
    });
    let begun = Instant::now();
    let session = a.session(b.device_id()).await?;
    report("connect", begun.elapsed().as_secs_f64() * 1e3, "ms")?;
    let mut path = session.watch_path();
    let webrtc = path.wait_for(|path| *path == Some(peers::PathKind::WebRtc)).await;
    webrtc.map_err(|_| CommandError::Failed("the session ended".into()))?;
    report("webrtc", begun.elapsed().as_secs_f64() * 1e3, "ms")?;
    report("call_rtt", round_trip(&session, "echo").await? * 1e6, "us")?;
    let chunk = Bytes::from(vec![0x5a; 64 * 1024]);
    let (mut send, mut recv) = session.open_stream("bench")?;
    let begun = Instant::now();
    for _ in 0..mb * 16 {
        send.write(chunk.clone()).await?;
    }
    send.finish().await?;
    while recv.read().await?.is_some() {}
    report("bulk", f64::from(mb) * 1.048576 / begun.elapsed().as_secs_f64(), "MB/s")?;
    a.shutdown().await;
    b.shutdown().await;
    relay.shutdown().await;
    Ok(())
}

fn report(metric: &str, value: f64, unit: &str) -> Result<(), CommandError> {
    print::result(serde_json::json!({ "metric": metric, "value": value, "unit": unit, "n": 1 }))
}
