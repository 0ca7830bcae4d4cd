#!/usr/bin/env bash
# Rust 1.95 for Android: `File::lock` and `File::try_lock` always fail, with `Unsupported`; 1.98 is the first that has them. On Linux
# and iOS they work. redb 4.6.0 takes that error for a system without locks, and opens its file without one, in silence.
# Guess: what compiles for Android and works on Linux locks there too.
# Met: the choice of a lock for the store, which is `flock` by libc.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export RUSTUP_HOME="$dir/rustup" CARGO_HOME="$dir/cargo"
toolchain=1.95.0
rustup toolchain install "$toolchain" --profile minimal --no-self-update \
  --target aarch64-linux-android,aarch64-apple-ios >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
lib=$(rustc "+$toolchain" --print sysroot)/lib/rustlib

# How many messages of locks that are not supported the standard library of a target has.
refusals() { cat "$lib/$1/lib"/libstd-*.rlib | grep -aoc 'try_lock() not supported' || true; }

echo "Rust $toolchain, messages that try_lock() is not supported, in the standard library of"
for target in x86_64-unknown-linux-gnu aarch64-apple-ios aarch64-linux-android; do
  echo "  $target: $(refusals "$target")"
done
[[ $(refusals x86_64-unknown-linux-gnu) == 0 && $(refusals aarch64-apple-ios) == 0 && $(refusals aarch64-linux-android) != 0 ]] ||
  { echo "the behaviour has changed" >&2; exit 1; }
