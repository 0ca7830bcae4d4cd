# shellcheck shell=bash
# Rust: toolchains, cargo tools, the host's library and command, generated bindings.

declare -A CARGO_TOOLS=([cargo-fuzz]=0.13.2 [cargo-public-api]=0.52.0)
PATH=$TOOLS/cargo/bin:$PATH

ensure_rust() {
  ensure_commands cc:build-essential git:git flock:util-linux
  command -v cargo >/dev/null || die "please install Rust with rustup; rust-toolchain.toml names the version"
  (cd "$ROOT" && rustc --version >/dev/null 2>&1) ||
    die "please install the toolchain of rust-toolchain.toml: rustup toolchain install"
}

# Fuzzing needs a compiler that accepts sanitizer flags.
ensure_nightly() {
  ensure_rust
  rustc +nightly --version >/dev/null 2>&1 || die "please install a nightly compiler: rustup toolchain install nightly"
}

ensure_cargo_tool() {
  ensure_rust
  [[ -x $TOOLS/cargo/bin/$1 ]] || locked "$1" install_cargo_tool "$1"
}

install_cargo_tool() {
  [[ ! -x $TOOLS/cargo/bin/$1 ]] || return 0
  quietly "build $1 ${CARGO_TOOLS[$1]}" env -C "$ROOT" -u CARGO_TARGET_DIR \
    cargo install --locked --root "$TOOLS/cargo" "$1@${CARGO_TOOLS[$1]}"
}

# The whole workspace is selected whatever is built: the features of dependencies follow from the selection, and with other
# features cargo builds them again.
cargo_build() { (cd "$ROOT" && cargo build --locked --workspace "$@"); }

# The same with its output in a log.
quietly_build() { quietly "build ${*: -1}" env -C "$ROOT" cargo build --locked --workspace "$@"; }

xtask() {
  ensure_rust
  cargo_build --quiet --bin xtask
  "$TARGET/debug/xtask" "$@"
}

build_host() {
  local profile=${1:-dev} folder
  folder=$profile
  [[ $profile != dev ]] || folder=debug
  ensure_rust
  cargo_build --profile "$profile" --lib --bin peers "${@:2}"
  HOST_DIR=$TARGET/$folder
}

# The generator reads the library, so its own profile does not matter.
generate() {
  local language=$1 library=libpeers_ffi.so
  [[ $(uname) != Darwin ]] || library=libpeers_ffi.dylib
  GENERATED=$BUILD/generated/$language
  rm -rf "$GENERATED"
  mkdir -p "$GENERATED"
  cargo_build --quiet --bin peers-bindgen
  (cd "$ROOT" && "$TARGET/debug/peers-bindgen" generate --library --no-format --language "$language" \
    --out-dir "$GENERATED" "$HOST_DIR/$library")
  if [[ $language == swift ]]; then
    # One module for the generated declarations and those of the fast lane, as in the framework.
    rm "$GENERATED"/*.modulemap
    cp "$ROOT/bindings/include/peers_lane.h" "$GENERATED"
    sed 's/^framework //' "$ROOT/ios/Framework/module.modulemap" >"$GENERATED/module.modulemap"
  fi
}
