# shellcheck shell=bash
# Type-checking for phones: Debian's second Rust compiler, which comes with its standard library's sources, and C compilers
# that need neither the NDK nor Xcode. For `cargo xtask targets`; nothing built with it can ship.

ensure_mobile() {
  ensure_commands clang:clang llvm-ar:llvm
  [[ -e $TOOLS/mobile/.ready ]] || locked mobile install_mobile
}

install_mobile() {
  local folder=$TOOLS/mobile package packages
  [[ ! -e $folder/.ready ]] || return 0
  command -v apt-get >/dev/null || die "cargo xtask targets needs rustc-web from Debian 12's archive"
  rm -rf "$folder"
  mkdir -p "$folder/packages" "$folder/root" "$folder/bin"
  apt_update
  # apt downloads as its own user, which must be able to write here.
  chmod 777 "$folder/packages"
  mapfile -t packages < <(mobile_packages)
  quietly "download the mobile toolchain" env -C "$folder/packages" apt-get download "${packages[@]}"
  for package in "$folder"/packages/*.deb; do
    dpkg -x "$package" "$folder/root"
  done
  write_android_compilers "$folder"
  write_ios_compilers "$folder"
  rm -r "$folder/packages"
  touch "$folder/.ready"
}

# A matched compiler, cargo and source, and the libraries they are linked against.
mobile_packages() {
  local version llvm
  version=$(apt-cache policy rustc-web | sed -n 's/ *Candidate: \([0-9]*\.[0-9]*\).*/\1/p')
  llvm=$(apt-cache depends "libstd-rust-web-$version" | sed -n 's/ *Depends: \(libllvm[0-9]*\).*/\1/p' | head -n 1)
  printf '%s\n' rustc-web cargo-web rust-web-src "libstd-rust-web-$version" libstd-rust-web-dev "$llvm" \
    libgit2-1.5 libmbedcrypto7 libmbedx509-1 libmbedtls14 libhttp-parser2.9
}

# ring's C code asks for nothing but the compiler's own headers.
write_android_compilers() {
  local target
  for target in aarch64-linux-android x86_64-linux-android; do
    write_compiler "$1/bin/$target-cc" \
      "--target=${target}24 -ffreestanding -nostdlibinc -DRING_CORE_NOSTDLIBINC=1"
  done
}

write_ios_compilers() {
  local target
  mkdir -p "$1/ios/usr/include"
  cat >"$1/ios/usr/include/TargetConditionals.h" <<'EOF'
/* Stands in for Apple's header in type checks. */
#pragma once
#define TARGET_OS_MAC 1
#define TARGET_OS_IPHONE 1
#define TARGET_OS_IOS 1
#define TARGET_OS_OSX 0
EOF
  for target in aarch64-apple-ios aarch64-apple-ios-sim; do
    write_compiler "$1/bin/$target-cc" "-ffreestanding -DRING_CORE_NOSTDLIBINC=1 -isystem $1/ios/usr/include"
  done
}

write_compiler() {
  printf '#!/bin/sh\nexec clang %s "$@"\n' "$2" >"$1"
  chmod +x "$1"
}
