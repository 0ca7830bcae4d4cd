#!/usr/bin/env bash
# tokio-util 0.7.20: `CancellationToken::run_until_cancelled_owned(work)` returns a future three times the size of `work`: two
# nested async functions keep it as an argument, and once more where it is polled. `work.with_cancellation_token_owned(token)` and
# `tokio::select!` do the same in one.
# Guess: the size of `work` and a token's. A server with a task for each client pays the difference for each of them.
# Met: the memory of a relay's idle connections was measured.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export CARGO_TARGET_DIR="$dir/target"
mkdir "$dir/src"
cd "$dir"

cat > Cargo.toml <<'END'
[package]
name = "sizes"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["macros"] }
tokio-util = { version = "=0.7.20", features = ["rt"] }
END

cat > src/main.rs <<'END'
use std::mem::size_of_val;
use tokio_util::{future::FutureExt, sync::CancellationToken};

async fn work() -> u8 {
    let buffer = [0; 10_000];
    std::future::pending::<()>().await;
    buffer[0]
}

fn main() {
    let token = CancellationToken::new();
    let selected = async {
        tokio::select! {
            value = work() => Some(value),
            () = token.cancelled() => None,
        }
    };
    let bare = size_of_val(&work());
    let owned = size_of_val(&token.clone().run_until_cancelled_owned(work()));
    let borrowed = size_of_val(&token.run_until_cancelled(work()));
    let extension = size_of_val(&work().with_cancellation_token_owned(token.clone()));
    println!("tokio-util 0.7.20, bytes of a future");
    println!("  work()                                  {bare}");
    println!("  token.run_until_cancelled_owned(work()) {owned}");
    println!("  token.run_until_cancelled(work())       {borrowed}");
    println!("  work().with_cancellation_token_owned()  {extension}");
    println!("  tokio::select!                          {}", size_of_val(&selected));
    assert!(owned > 3 * bare && borrowed > 2 * bare, "the behaviour has changed");
    assert!(extension < bare + 200 && size_of_val(&selected) < bare + 200, "the behaviour has changed");
}
END
cargo run --quiet
