# shellcheck shell=bash
# Swift: on Linux Debian 13's compiler in a chroot, running against the library and the command built outside; on macOS Xcode's,
# with the framework of scripts/package.

SWIFT_CHROOT=$TOOLS/swift-chroot
SWIFT_PACKAGE=$ROOT/ios/Peers
# As the chroot sees it.
SWIFT_CHECK=/peers/scripts/lib/swift-check-apple

is_macos() { [[ $(uname) == Darwin ]]; }

ensure_swift() {
  [[ -e $SWIFT_CHROOT/.ready ]] || locked swift install_swift
}

install_swift() {
  [[ ! -e $SWIFT_CHROOT/.ready ]] || return 0
  is_root || die "the Swift toolchain is installed in a chroot: run as root"
  ensure_commands debootstrap:debootstrap unshare:util-linux
  rm -rf --one-file-system "$SWIFT_CHROOT"
  quietly "unpack Debian 13 for Swift" debootstrap --variant=minbase --include=ca-certificates trixie "$SWIFT_CHROOT"
  printf '#!/bin/sh\nexit 101\n' >"$SWIFT_CHROOT/usr/sbin/policy-rc.d"
  chmod +x "$SWIFT_CHROOT/usr/sbin/policy-rc.d"
  quietly "update Debian 13's package lists" in_swift_chroot apt-get update
  quietly "install Swift" in_swift_chroot env DEBIAN_FRONTEND=noninteractive apt-get install -y \
    --no-install-recommends -o Dpkg::Use-Pty=0 swiftlang libc6-dev libstdc++-14-dev
  quietly "remove downloaded packages" in_swift_chroot apt-get clean
  touch "$SWIFT_CHROOT/.ready"
}

# Generated files change only when their content does, so that Swift builds what changed and no more.
swift_prepare() {
  local header
  is_macos || ensure_swift
  generate swift
  for header in "$GENERATED"/*.h; do
    copy_changed "$header" "$SWIFT_PACKAGE/Generated/FFI/include/${header##*/}"
  done
  copy_changed "$GENERATED/module.modulemap" "$SWIFT_PACKAGE/Generated/FFI/include/module.modulemap"
  # SwiftPM wants a source in a C target; the code is in the library.
  copy_changed /dev/null "$SWIFT_PACKAGE/Generated/FFI/empty.c"
  for source in "$GENERATED"/*.swift; do
    copy_changed "$source" "$SWIFT_PACKAGE/Generated/Bindings/${source##*/}"
  done
  ! is_macos || copy_framework
}

copy_framework() {
  local framework=$BUILD/package/apple/PeersFFI.xcframework
  [[ -d $framework ]] || die "run scripts/package apple first"
  rm -rf "$SWIFT_PACKAGE/Generated/PeersFFI.xcframework"
  cp -R "$framework" "$SWIFT_PACKAGE/Generated/"
}

copy_changed() {
  mkdir -p "$(dirname "$2")"
  cmp -s "$1" "$2" || cp "$1" "$2"
}

swift_run() { swift_package ios/Peers swift "$@"; }

# swift_package FOLDER SCRATCH VERB ARG…: SwiftPM in a package of the checkout, which is built in $BUILD/SCRATCH.
swift_package() {
  local folder=$1 scratch=$2 verb=$3
  shift 3
  if is_macos; then
    (cd "$ROOT/$folder" && PEERS_BIN_DIR=$HOST_DIR swift "$verb" --scratch-path "$BUILD/$scratch" "$@")
    return
  fi
  # Debian's libswiftObservation lacks a function that it calls in a fatal error only.
  swift_exec env -C "/peers/$folder" "/usr/libexec/swift/bin/swift-$verb" --scratch-path "/build/$scratch" \
    -Xlinker --allow-shlib-undefined -Xlinker -L/host -Xlinker -rpath -Xlinker /host "$@"
}

# swift_tests FOLDER SCRATCH FILTER: the tests of such a package, without a filter all. PEERS_QUICK leaves out tests of long runs.
swift_tests() {
  local log=$LOGS/$2-test.log status=0 filter=()
  [[ -z $3 ]] || filter=(--filter "$3")
  [[ -z ${PEERS_QUICK:-} ]] || filter+=(--skip 'CyclesTests/testAThousand')
  swift_package "$1" "$2" test "${filter[@]}" 2>&1 | tee "$log" || status=$?
  count_tests "$log"
  return "$status"
}

# XCTest and Swift Testing each end with a line of their own; a package may use both.
count_tests() {
  awk '
    /Executed [0-9]+ tests?, with/ {
      for (i = 1; i < NF; i++) if ($i == "Executed") { executed = $(i + 1); failed = $(i + 4) }
    }
    /Test run with [0-9]+ tests?/ { for (i = 1; i < NF; i++) if ($i == "with" && $(i + 2) ~ /^tests?$/) more = $(i + 1) }
    /Test .* failed after/ && !/Test run with/ && !/Suite/ { more_failed++ }
    END { f = failed + more_failed; printf "%d passed, %d failed\n", executed + more - f, f }
  ' "$1"
}

# swift_consumer FOLDER ARG…: runs the only program of a package below $BUILD.
swift_consumer() {
  local folder=$1
  shift
  if is_macos; then
    (cd "$folder" && swift run Consumer "$@")
  else
    ensure_swift
    swift_exec /usr/libexec/swift/bin/swift-run --package-path "/build${folder#"$BUILD"}" --scratch-path /build/consumer \
      -Xlinker -L/host -Xlinker -rpath -Xlinker /host Consumer "$@"
  fi
}

# The parts for Apple's systems, against declarations of their modules; after a build.
swift_check_apple() {
  local uikit
  # There the compiler has the modules themselves.
  ! is_macos || return 0
  swift_exec "$SWIFT_CHECK" UIKit </dev/null &
  uikit=$!
  swift_exec "$SWIFT_CHECK" AppKit </dev/null
  wait "$uikit"
}

# The package's tests on a simulator of an iPhone, with a relay on this machine; those that need other processes are skipped.
swift_simulator() {
  local phone url
  phone=$(simulated_phone)
  start relay "$HOST_DIR/peers" relay --listen 127.0.0.1:0
  url=ws://$(awaited relay 'listening on (.*)')
  (cd "$SWIFT_PACKAGE" && TEST_RUNNER_PEERS_RELAY=$url xcodebuild test -scheme Peers-Package -destination "id=$phone" \
    -derivedDataPath "$BUILD/xcode")
}

# The id of one.
simulated_phone() {
  xcrun simctl list devices available | sed -n 's/.*iPhone.*(\([0-9A-F-]\{36\}\)).*/\1/p' | head -n 1 | grep . ||
    die "there is no simulator of an iPhone"
}

swift_exec() {
  local kept=()
  mapfile -t kept < <(env | grep -E '^(PEERS_|RUST_|CI=|TERM=)')
  in_swift_chroot env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin "${kept[@]}" PEERS_BIN_DIR=/host "$@"
}

in_swift_chroot() {
  "$LIB/swift-chroot" "$SWIFT_CHROOT" "$ROOT" "${HOST_DIR:-}" "$BUILD" "$@"
}
