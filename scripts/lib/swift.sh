# shellcheck shell=bash
# Swift on Linux: Debian 13's compiler in a chroot, running against the library and the command built outside.

SWIFT_CHROOT=$TOOLS/swift-chroot
SWIFT_PACKAGE=$ROOT/ios/Peers

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
  ensure_swift
  generate swift
  for header in "$GENERATED"/*.h; do
    copy_changed "$header" "$SWIFT_PACKAGE/Generated/FFI/include/${header##*/}"
  done
  cat "$GENERATED"/*.modulemap >"$GENERATED/module.modulemap"
  copy_changed "$GENERATED/module.modulemap" "$SWIFT_PACKAGE/Generated/FFI/include/module.modulemap"
  # SwiftPM wants a source in a C target; the code is in the library.
  copy_changed /dev/null "$SWIFT_PACKAGE/Generated/FFI/empty.c"
  for source in "$GENERATED"/*.swift; do
    copy_changed "$source" "$SWIFT_PACKAGE/Generated/Bindings/${source##*/}"
  done
}

copy_changed() {
  mkdir -p "$(dirname "$2")"
  cmp -s "$1" "$2" || cp "$1" "$2"
}

swift_run() {
  local verb=$1
  shift
  swift_exec env -C /peers/ios/Peers "/usr/libexec/swift/bin/swift-$verb" --scratch-path /build/swift \
    -Xlinker -L/host -Xlinker -rpath -Xlinker /host "$@"
}

swift_exec() {
  local kept=()
  mapfile -t kept < <(env | grep -E '^(PEERS_|RUST_|CI=|TERM=)')
  in_swift_chroot env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin "${kept[@]}" PEERS_BIN_DIR=/host "$@"
}

in_swift_chroot() {
  "$LIB/swift-chroot" "$SWIFT_CHROOT" "$ROOT" "${HOST_DIR:-}" "$BUILD" "$@"
}
