#!/usr/bin/env bash
# clap 4.6.9: `requires` asks for nothing where what it asks for conflicts with an argument that is there. `--open` requires
# `--listen`, and the positional `device` conflicts with `--listen`. So `--open device` parses, without `--listen` and without an
# error, and `--open` alone does not.
# Guess: an argument that parses has what it requires.
# Met: `peers pipe --open DEVICE` was accepted. `conflicts_with` between the two refuses it.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export CARGO_TARGET_DIR="$dir/target"
mkdir "$dir/src"
cd "$dir"

cat > Cargo.toml <<'END'
[package]
name = "requires"
version = "0.0.0"
edition = "2024"
[dependencies]
clap = { version = "=4.6.9", default-features = false, features = ["std"] }
END

cat > src/main.rs <<'END'
use clap::{Arg, ArgAction, Command};

fn parsed(line: &[&str]) -> String {
    let listen = Arg::new("listen").long("listen").action(ArgAction::SetTrue).conflicts_with("device");
    let open = Arg::new("open").long("open").action(ArgAction::SetTrue).requires("listen");
    let command = Command::new("x").arg(listen).arg(open).arg(Arg::new("device"));
    match command.try_get_matches_from([&["x"], line].concat()) {
        Ok(found) => format!("open {}, listen {}", found.get_flag("open"), found.get_flag("listen")),
        Err(error) => format!("{:?}", error.kind()),
    }
}

fn main() {
    for line in [&["--open"][..], &["--open", "--listen"], &["--open", "device"], &["--listen", "device"]] {
        println!("{}: {}", line.join(" "), parsed(line));
    }
}
END

cargo run --quiet 2>build.log >output || { cat build.log; exit 1; }
cat output
diff output - <<'END'
--open: MissingRequiredArgument
--open --listen: open true, listen true
--open device: open true, listen false
--listen device: ArgumentConflict
END
echo "clap 4.6.9 is as described"
