//! Nothing of a peer connection outlives it. Alone in its process: it counts descriptors and tasks.
#![expect(clippy::unwrap_used, reason = "tests")]
#![cfg(target_os = "linux")]

use std::time::Duration;

use peers::transport::webrtc::{WebRtcAttempt, WebRtcConfig};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

async fn cycle(config: &WebRtcConfig, connect: bool) {
    let offering = WebRtcAttempt::offer(config).await.unwrap();
    if connect {
        let answering = WebRtcAttempt::answer(config, &offering.sdp).await.unwrap();
        offering.negotiation.set_remote_answer(&answering.sdp).await.unwrap();
        let (a, b) = tokio::join!(offering.connecting.connected(), answering.connecting.connected());
        drop((a.unwrap(), b.unwrap()));
    }
}

// proves S035
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_dropped_connections_leave_no_socket_task_or_thread() {
    let config = WebRtcConfig { include_loopback: true, ..Default::default() };
    cycle(&config, true).await;
    let metrics = tokio::runtime::Handle::current().metrics();
    let settle = async |tasks: usize, descriptors_left: usize| {
        while metrics.num_alive_tasks() > tasks || descriptors() > descriptors_left {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), settle(0, usize::MAX)).await.unwrap();
    let (before, before_threads) = (descriptors(), threads());
    for i in 0..50 {
        cycle(&config, i % 5 != 0).await;
    }
    tokio::time::timeout(Duration::from_secs(10), settle(0, before)).await.unwrap();
    assert!(threads() <= before_threads + 2);
}
