//! Setup: from asking for a session to the first answered call, by devices that never met.

use std::time::{Duration, Instant};

use peers::Transports;

use super::report::{Bound, Figure, Report, percentile};
use super::simple_peer::SimplePeer;
use super::world::{WEBRTC, World};
use super::{Outcome, raw};

/// Connections after which simple-peer has its turn.
const BLOCK: u32 = 20;

pub(super) async fn measure(
    report: &mut Report,
    simple_peer: Option<&SimplePeer>,
    connects: u32,
) -> Outcome<()> {
    let world = World::start().await?;
    let [mut webrtc, mut first_path, mut bare, mut node] = [(); 4].map(|()| Vec::new());
    for n in 0..connects {
        bare.push(millis(raw_run().await?));
        webrtc.push(millis(session_run(&world, WEBRTC).await?));
        first_path.push(millis(session_run(&world, Transports::default()).await?));
        if let (0, Some(simple_peer)) = (n % BLOCK, simple_peer) {
            node.extend(simple_peer.setup(BLOCK.min(connects - n)).await?);
        }
    }
    world.stop().await;
    let rows = [
        ("setup_p50", &webrtc, 50, &bare, Bound::AtMost(30.0)),
        ("setup_p99", &webrtc, 99, &bare, Bound::AtMost(100.0)),
        // All paths allowed: the relay carries the first data.
        ("setup_first_path_p50", &first_path, 50, &bare, Bound::Free),
        ("setup_first_path_p99", &first_path, 99, &bare, Bound::Free),
    ];
    for (metric, ours, percent, theirs, bound) in rows {
        let value = Figure::new(metric, "ms", percentile(ours, percent), ours.len());
        report.add(&value.against(percentile(theirs, percent)), bound)?;
    }
    if simple_peer.is_some() {
        report.add(&Figure::compared("setup_p50_vs_simple_peer", "ms", &webrtc, &node), Bound::Free)?;
    }
    Ok(())
}

async fn raw_run() -> Outcome<Duration> {
    let start = Instant::now();
    let _pair = raw::pair().await?;
    Ok(start.elapsed())
}

async fn session_run(world: &World, transports: Transports) -> Outcome<Duration> {
    let devices = world.devices(transports).await?;
    let start = Instant::now();
    devices.connect().await?;
    let time = start.elapsed();
    devices.stop().await;
    Ok(time)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
