#!/usr/bin/env bash
# webrtc 0.21.1 (Rust): a peer connection that is dropped lives on. Its task keeps running and its UDP sockets stay bound;
# `close().await` ends both.
# Guess: the drop of the last handle ends the task and closes the sockets, as it does with tokio's own sockets.
# Met: the SDK drops attempts to connect that are cancelled; each of them needs a guard that closes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export CARGO_TARGET_DIR="$dir/target"
mkdir "$dir/src"
cd "$dir"

cat > Cargo.toml <<'END'
[package]
name = "dropped"
version = "0.0.0"
edition = "2024"
[dependencies]
async-trait = "=0.1.92"
rtc = { version = "=0.21.1", default-features = false }
tokio = { version = "=1.54.1", features = ["macros", "rt", "sync", "time"] }
webrtc = { version = "=0.21.1", default-features = false, features = ["crypto-ring", "runtime-tokio"] }
[profile.dev]
debug = false
END

cat > src/main.rs <<'END'
use std::{sync::Arc, time::Duration};
use tokio::{runtime::Handle, sync::Notify, time::sleep};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
};

struct Gathered(Arc<Notify>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Gathered {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.0.notify_one();
        }
    }
}

async fn gathered() -> impl PeerConnection {
    let gathered = Arc::new(Notify::new());
    let builder = PeerConnectionBuilder::new().with_handler(Arc::new(Gathered(gathered.clone())));
    let connection = builder.with_udp_addrs(vec!["127.0.0.1:0"]).build().await.unwrap();
    connection.create_data_channel("data", None).await.unwrap();
    connection.set_local_description(connection.create_offer(None).await.unwrap()).await.unwrap();
    gathered.notified().await;
    connection
}

/// Tasks of the runtime and sockets of the process.
fn alive() -> (usize, usize) {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = descriptors.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    let sockets = links.filter(|link| link.to_string_lossy().starts_with("socket:")).count();
    (Handle::current().metrics().num_alive_tasks(), sockets)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for _ in 0..10 {
        gathered().await.close().await.unwrap();
    }
    sleep(Duration::from_secs(5)).await;
    let closed = alive();
    for _ in 0..10 {
        drop(gathered().await);
    }
    sleep(Duration::from_secs(5)).await;
    let dropped = alive();
    println!("webrtc 0.21.1, (tasks, sockets) five seconds after ten connections");
    println!("  were closed:  {closed:?}");
    println!("  were dropped: {dropped:?}");
    assert_eq!(closed, (0, 0), "the behaviour has changed");
    assert!(dropped.0 == 10 && dropped.1 >= 10, "the behaviour has changed");
}
END
cargo run --quiet
