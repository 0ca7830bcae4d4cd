#!/usr/bin/env bash
# webrtc 0.21.1 (Rust): no code raises `on_ice_candidate_error`. A TURN server that refuses the credentials leaves no trace for the
# program: gathering completes, and only the relayed candidate is missing.
# Guess: the handler hears 401, as a browser's `icecandidateerror` would say.
# Met: with expired TURN credentials the SDK could not say why no path was found. Server here: coturn 4.6.1 of Debian 12.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export CARGO_TARGET_DIR="$dir/target"
mkdir -p "$dir/src" "$dir/archives/partial"
cd "$dir"

apt-get -qq -y --download-only --no-install-recommends --reinstall -o APT::Sandbox::User=root -o Debug::NoLocking=1 \
    -o Dir::Cache::archives="$dir/archives" install coturn=4.6.1-1 > apt.log
for package in archives/*.deb; do dpkg-deb --extract "$package" root; done
libraries=("$dir"/root/usr/lib/*-linux-gnu*)
export PATH="$dir/root/usr/bin:$PATH" LD_LIBRARY_PATH="${libraries[0]}"

cat > Cargo.toml <<'END'
[package]
name = "refused"
version = "0.0.0"
edition = "2024"
[dependencies]
async-trait = "=0.1.92"
rtc = { version = "=0.21.1", default-features = false }
tokio = { version = "=1.54.1", features = ["macros", "rt", "sync"] }
webrtc = { version = "=0.21.1", default-features = false, features = ["crypto-ring", "runtime-tokio"] }
[profile.dev]
debug = false
END

cat > src/main.rs <<'END'
use std::sync::{Arc, atomic::{AtomicUsize, Ordering::SeqCst}};
use tokio::sync::Notify;
use webrtc::peer_connection::*;

#[derive(Default)]
struct Heard { relayed: AtomicUsize, errors: AtomicUsize, gathered: Notify }

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Heard {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        self.relayed.fetch_add((event.candidate.typ == RTCIceCandidateType::Relay).into(), SeqCst);
    }

    async fn on_ice_candidate_error(&self, _: RTCPeerConnectionIceErrorEvent) {
        self.errors.fetch_add(1, SeqCst);
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.gathered.notify_one();
        }
    }
}

/// Relayed candidates and errors that the handler hears of until gathering is complete.
async fn gather(url: &str, credential: &str) -> (usize, usize) {
    let (username, credential) = ("user".into(), credential.into());
    let server = RTCIceServer { urls: vec![url.into()], username, credential };
    let heard = Arc::new(Heard::default());
    let configuration = RTCConfigurationBuilder::new().with_ice_servers(vec![server]).build();
    let builder = PeerConnectionBuilder::new().with_configuration(configuration).with_handler(heard.clone());
    let connection = builder.with_udp_addrs(vec!["127.0.0.1:0"]).build().await.unwrap();
    connection.create_data_channel("data", None).await.unwrap();
    connection.set_local_description(connection.create_offer(None).await.unwrap()).await.unwrap();
    heard.gathered.notified().await;
    connection.close().await.unwrap();
    (heard.relayed.load(SeqCst), heard.errors.load(SeqCst))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = std::env::args().nth(1).unwrap();
    let (right, wrong) = (gather(&url, "password").await, gather(&url, "expired").await);
    println!("webrtc 0.21.1, (relayed candidates, errors) when gathering is complete");
    println!("  right password: {right:?}");
    println!("  wrong password: {wrong:?}");
    assert_eq!((right, wrong), ((1, 0), (0, 0)), "the behaviour has changed");
}
END
cargo build --quiet

port=$((20000 + RANDOM % 10000))
turnserver -n --lt-cred-mech --user=user:password --realm=example.org --listening-ip=127.0.0.1 --relay-ip=127.0.0.1 \
    --listening-port="$port" --no-tls --no-dtls --no-cli --log-file=stdout --pidfile="$dir/pid" --userdb="$dir/users" \
    > turn.log 2>&1 &
server=$!
trap 'kill "$server" || true; rm -rf "$dir"' EXIT
until timeout 1 turnutils_stunclient -p "$port" 127.0.0.1 > stun.log 2>&1; do kill -0 "$server"; done
timeout 60 target/debug/refused "turn:127.0.0.1:$port?transport=udp"
echo "coturn $(turnserver --version | tail -1): $(grep -c 'credentials are incorrect' turn.log) refusal logged"
