#!/usr/bin/env bash
# tungstenite 0.30.0: messages are slices of the socket's read buffer, so memory follows buffers, not messages. A socket that once
# read 4 MiB keeps them, although the message was dropped and a small one has followed. A hundred messages of 10 bytes, kept after
# the socket is gone, hold 8 MB of their neighbours' bytes.
# Guess: a buffer that has grown shrinks when it is empty; `Message::len` is about what a kept message costs.
# Met: the heap of a relay with thousands of idle sockets was measured.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export CARGO_TARGET_DIR="$dir/target"
mkdir "$dir/src"
cd "$dir"

cat > Cargo.toml <<'END'
[package]
name = "buffers"
version = "0.0.0"
edition = "2024"
[dependencies]
bytes = "=1.12.2"
tungstenite = { version = "=0.30.0", default-features = false }
END

cat > src/main.rs <<'END'
use bytes::Bytes;
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Cursor;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tungstenite::{Message, WebSocket, protocol::Role};

struct Counting;
static LIVE: AtomicUsize = AtomicUsize::new(0);
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(block, layout) }
    }
}
#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A client's socket, to which a server has sent messages of these sizes.
fn socket(sizes: &[usize]) -> WebSocket<Cursor<&'static mut [u8]>> {
    let mut server = WebSocket::from_raw_socket(Cursor::new(Vec::new()), Role::Server, None);
    sizes.iter().for_each(|size| server.send(Message::binary(vec![0; *size])).unwrap());
    let sent = server.into_inner().into_inner().leak();
    WebSocket::from_raw_socket(Cursor::new(sent), Role::Client, None)
}

/// Bytes of the heap that are free once `value` is dropped.
fn held<T>(value: T) -> usize {
    let before = LIVE.load(Relaxed);
    drop(value);
    before - LIVE.load(Relaxed)
}

fn main() {
    let fresh = held(socket(&[]));
    let mut used = socket(&[4 << 20, 10]);
    (0..2).for_each(|_| drop(used.read().unwrap()));
    let used = held(used);

    let sizes = [10, 60_000, 60_000].repeat(100);
    let mut mixed = socket(&sizes);
    let messages = sizes.iter().map(|_| mixed.read().unwrap().into_data());
    let kept: Vec<Bytes> = messages.filter(|message| message.len() == 10).collect();
    drop(mixed);
    let copies: Vec<Bytes> = kept.iter().map(|message| Bytes::copy_from_slice(message)).collect();
    let (kept, copies) = (held(kept), held(copies));

    println!("tungstenite 0.30.0, bytes of the heap");
    println!("  a socket that has read nothing:                          {fresh}");
    println!("  a socket that once read 4 MiB, and 10 bytes since:       {used}");
    println!("  100 messages of 10 bytes each that a socket read:        {kept}");
    println!("  copies of them:                                          {copies}");
    assert!(fresh < 200_000 && used > 4 << 20, "the behaviour has changed");
    assert!(kept > 3_000_000 && copies < 20_000, "the behaviour has changed");
}
END
cargo run --quiet
