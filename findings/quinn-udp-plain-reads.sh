#!/usr/bin/env bash
# quinn-udp 0.6.3 on Linux: `UdpSocketState::new` changes the socket for every reader, not for the state's own calls alone. It turns
# on UDP_GRO, so one plain `recv` may bring several datagrams, joined without a mark; a buffer of an MTU's size, large enough
# before, gets the first 1500 bytes, and the kernel discards the rest. A dropped state undoes nothing.
# Guess: the state describes the socket, and std's `recv` goes on giving one datagram a call.
# Met: a check of the sockets that the SDK shares between WebRTC and QUIC.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export CARGO_TARGET_DIR="$dir/target"
mkdir "$dir/src"
cd "$dir"

cat > Cargo.toml <<'END'
[package]
name = "joined"
version = "0.0.0"
edition = "2024"
[dependencies]
quinn-udp = { version = "=0.6.3", default-features = false }
END

cat > src/main.rs <<'END'
use quinn_udp::{Transmit, UdpSocketState};
use std::net::UdpSocket;

/// Sizes of what plain reads with a buffer of `size` bytes get of eight datagrams of 1000 bytes, sent at once.
fn reads(receiver: &UdpSocket, size: usize) -> Vec<usize> {
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let state = UdpSocketState::new((&sender).into()).unwrap();
    assert!(state.max_gso_segments() >= 8, "this kernel cannot send eight datagrams at once");
    let (destination, contents) = (receiver.local_addr().unwrap(), &[7; 8000][..]);
    let transmit = Transmit { destination, ecn: None, contents, segment_size: Some(1000), src_ip: None };
    state.try_send((&sender).into(), &transmit).unwrap();
    let mut buffer = vec![0; size];
    // On loopback all have arrived when the call to send returns.
    std::iter::from_fn(|| receiver.recv(&mut buffer).ok()).collect()
}

fn main() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_nonblocking(true).unwrap();
    let before = reads(&receiver, 1500);
    drop(UdpSocketState::new((&receiver).into()).unwrap());
    let (large, small) = (reads(&receiver, 65_536), reads(&receiver, 1500));
    println!("quinn-udp 0.6.3, sizes that `recv` returns for eight datagrams of 1000 bytes");
    println!("  before a UdpSocketState was made:   {before:?}");
    println!("  after, with a buffer of 65536:      {large:?}");
    println!("  after, with a buffer of 1500:       {small:?}");
    assert_eq!((before, large, small), (vec![1000; 8], vec![8000], vec![1500]), "the behaviour has changed");
}
END
cargo run --quiet
