//! Descriptors that connections take. Alone in its process: it counts them.
#![expect(clippy::unwrap_used, reason = "tests")]
#![cfg(target_os = "linux")]

use std::time::Duration;

use peers::transport::Transport;
use peers::transport::webrtc::{WebRtcAttempt, WebRtcConfig};
use peers_proto::limits;

/// Connections, each of which has both ends here.
const PAIRS: usize = limits::MAX_CONNECTIONS / 2;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

async fn pair() -> [Transport; 2] {
    let config = WebRtcConfig { include_loopback: true, ..WebRtcConfig::default() };
    let offering = WebRtcAttempt::offer(&config).await.unwrap();
    let answering = WebRtcAttempt::answer(&config, &offering.sdp).await.unwrap();
    offering.negotiation.set_remote_answer(&answering.sdp).await.unwrap();
    let (a, b) = tokio::join!(offering.connecting.connected(), answering.connecting.connected());
    [a.unwrap(), b.unwrap()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_keeps_the_one_socket_it_uses() {
    let before = descriptors();
    let pairs: Vec<_> = (0..PAIRS).map(|_| tokio::spawn(pair())).collect();
    let mut connected = Vec::new();
    for pair in pairs {
        connected.extend(pair.await.unwrap());
    }
    assert_eq!(descriptors() - before, connected.len());
    // The stack goes on with what it has: each end still hears the other.
    while let (Some(mut a), Some(mut b)) = (connected.pop(), connected.pop()) {
        a.sink.send(bytes::BytesMut::from(&b"still here"[..])).await.unwrap();
        let heard = tokio::time::timeout(Duration::from_secs(5), b.source.recv()).await.unwrap();
        assert_eq!(heard.unwrap(), &b"still here"[..]);
    }
}
