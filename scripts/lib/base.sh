# shellcheck shell=bash
# Folders, words on the screen, slow steps, packages.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${PEERS_BUILD_DIR:-$ROOT/build}
TOOLS=${PEERS_TOOLS_DIR:-$BUILD/tools}
LOGS=$BUILD/logs
export TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
export PEERS_BUILD_DIR=$BUILD PEERS_TOOLS_DIR=$TOOLS
mkdir -p "$BUILD" "$TOOLS" "$LOGS"

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
  say "$*"
  exit 1
}

in_ci() { [[ ${CI:-} == true ]]; }

is_root() { [[ $(id -u) == 0 ]]; }

# The version of the workspace, and of the packages.
package_version() { sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -n 1; }

# quietly LABEL COMMAND…: output goes to a log; a line every five seconds shows that it lives; a failure shows the log's end.
# COMMAND is a program, not a shell function: functions lose `set -e` here.
quietly() {
  local label=$1 log ticker status=0
  shift
  log=$LOGS/$(tr -cs '[:alnum:]\n' - <<<"$label").log
  say "$label"
  show_progress "$label" "$log" &
  ticker=$!
  "$@" >"$log" 2>&1 </dev/null || status=$?
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  if ((status != 0)); then
    tail -n 40 "$log" >&2
    say "$label: failed with status $status (all of it: $log)"
  fi
  return "$status"
}

show_progress() {
  local started=$SECONDS
  while sleep 5 >/dev/null 2>&1 9>&-; do
    say "$1: $((SECONDS - started)) s: $(tail -n 1 "$2" | tr -d '\r' | cut -c 1-100)"
  done
}

# locked NAME FUNCTION…: one process at a time, among all checkouts that share $TOOLS.
locked() {
  local name=$1
  shift
  (
    flock 9
    "$@"
  ) 9>"$TOOLS/.$name.lock"
}

# ensure_commands COMMAND:PACKAGE…
ensure_commands() {
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  install_packages "${missing[@]}"
}

# ensure_files FILE:PACKAGE…
ensure_files() {
  local pair missing=()
  for pair in "$@"; do
    [[ -e ${pair%%:*} ]] || missing+=("${pair#*:}")
  done
  install_packages "${missing[@]}"
}

install_packages() {
  (($# > 0)) || return 0
  if ! is_root || ! command -v apt-get >/dev/null; then
    die "please install: $* (done for you only as root on Debian or Ubuntu)"
  fi
  locked apt apt_install "$@"
}

apt_install() {
  # Services that come along are for our tests to start, not for the machine.
  local environment=(env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1)
  local options=(-y --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=600)
  apt_update
  quietly "install $*" "${environment[@]}" apt-get install "${options[@]}" "$@"
}

# Once an hour is enough.
apt_update() {
  local stamp=$TOOLS/.apt-updated
  [[ -n $(find "$stamp" -mmin -60 2>/dev/null) ]] && return
  quietly "update the package lists" apt-get update
  touch "$stamp"
}

# hash_of PATH…: one name for the content of files and folders, the same in every checkout.
hash_of() {
  find "$@" -type f -print0 | sort -z | xargs -0 sha256sum | sed "s|$ROOT/||" | sha256sum | cut -c 1-16
}
