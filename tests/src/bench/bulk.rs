//! Bulk data, its CPU and memory: a stream of a session, raw 16 KiB frames, simple-peer.

use bytes::Bytes;

use super::report::{Bound, Figure, Report};
use super::simple_peer::SimplePeer;
use super::usage::{self, Usage};
use super::world::{WEBRTC, World};
use super::{Outcome, raw};

/// Bytes of one raw frame.
const RAW_FRAME: usize = 16 * 1024;
/// Bytes an app hands to a stream at once.
const WRITE: usize = 64 * 1024;

/// One side's samples.
#[derive(Default)]
struct Samples {
    mb_per_s: Vec<f64>,
    cpu_s_per_gb: Vec<f64>,
    peak_mib: Vec<f64>,
}

impl Samples {
    fn add(&mut self, usage: Usage, bytes: usize) {
        self.mb_per_s.push(bytes as f64 / 1e6 / usage.wall.as_secs_f64());
        self.cpu_s_per_gb.push(usage.cpu.as_secs_f64() / (bytes as f64 / 1e9));
        self.peak_mib.push(usage.peak_mib);
    }
}

pub(super) async fn measure(
    report: &mut Report,
    simple_peer: Option<&SimplePeer>,
    rounds: u32,
    bytes: usize,
) -> Outcome<()> {
    let world = World::start().await?;
    let [mut session, mut raw, mut node] = [(); 3].map(|()| Samples::default());
    for _ in 0..rounds {
        raw.add(raw_run(bytes).await?, bytes);
        session.add(session_run(&world, bytes).await?, bytes);
        if let Some(simple_peer) = simple_peer {
            node.add(simple_peer.bulk(bytes).await?, bytes);
        }
    }
    world.stop().await;
    let pair = Figure::compared;
    report.add(&pair("bulk", "MB/s", &session.mb_per_s, &raw.mb_per_s), Bound::RatioAtLeast(0.85))?;
    let cpu = pair("bulk_cpu", "s/GB", &session.cpu_s_per_gb, &raw.cpu_s_per_gb);
    report.add(&cpu, Bound::RatioAtMost(1.25))?;
    report.add(&pair("bulk_peak_memory", "MiB", &session.peak_mib, &raw.peak_mib), Bound::Free)?;
    if simple_peer.is_none() {
        return Ok(());
    }
    let speed = pair("bulk_vs_simple_peer", "MB/s", &session.mb_per_s, &node.mb_per_s);
    report.add(&speed, Bound::RatioAtLeast(3.0))?;
    let cpu = pair("bulk_cpu_vs_simple_peer", "s/GB", &session.cpu_s_per_gb, &node.cpu_s_per_gb);
    report.add(&cpu, Bound::RatioAtMost(0.4))?;
    let memory = pair("bulk_peak_memory_vs_simple_peer", "MiB", &session.peak_mib, &node.peak_mib);
    report.add(&memory, Bound::Free)
}

async fn raw_run(bytes: usize) -> Outcome<Usage> {
    let pair = raw::pair().await?;
    usage::of(raw::flood(pair, RAW_FRAME, bytes.div_ceil(RAW_FRAME))).await
}

async fn session_run(world: &World, bytes: usize) -> Outcome<Usage> {
    let mut devices = world.devices(WEBRTC).await?;
    let (here, there) = (devices.connect().await?, devices.accepted().await?);
    let usage = usage::of(async {
        let (mut send, _unused) = here.open_stream("bulk")?;
        let sending = tokio::spawn(async move {
            let chunk = Bytes::from(vec![0; WRITE]);
            let mut left = bytes;
            while left > 0 {
                let part = chunk.slice(..left.min(WRITE));
                left -= part.len();
                send.write(part).await?;
            }
            send.finish().await
        });
        let mut stream = there.accept_stream().await?;
        let mut received = 0;
        while let Some(chunk) = stream.recv.read().await? {
            received += chunk.len();
        }
        sending.await??;
        if received != bytes {
            return Err(format!("{received} of {bytes} bytes arrived").into());
        }
        Ok(())
    })
    .await?;
    devices.stop().await;
    Ok(usage)
}
