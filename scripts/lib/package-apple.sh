# shellcheck shell=bash
# The Swift package for apps: dynamic frameworks in an XCFramework, the façade and the generated code.
#
# A slice is a platform and its targets, which become one library. The layout of frameworks is Apple's "Placing content in a
# bundle", that of the XCFramework is what `xcodebuild -create-xcframework` writes.

APPLE=$BUILD/package/apple
APPLE_SOURCES=$ROOT/ios/Framework
APPLE_SDK=$BUILD/apple-sdk
# As in ios/Peers/Package.swift.
IOS_MINIMUM=16.0
MACOS_MINIMUM=13.0
GATE_LINKER=lld-19

has_xcode() { command -v xcodebuild >/dev/null; }

# package_apple ALL URL
package_apple() {
  local all=$1 url=$2 platform platforms=(ios)
  rm -rf "$APPLE"
  mkdir -p "$APPLE"
  if has_xcode; then
    platforms+=(ios-simulator macos)
    APPLE_NAME=PeersFFI
  else
    ensure_mobile
    ensure_commands "$GATE_LINKER:lld-19" zip:zip unzip:unzip
    write_apple_sdk
    [[ $all == false ]] || platforms+=(ios-simulator)
    APPLE_NAME=PeersFFI-not-for-shipping
  fi
  build_host dev
  generate swift
  for platform in "${platforms[@]}"; do make_framework "$platform"; done
  make_xcframework "${platforms[@]}"
  make_swift_package "$url"
}

# targets_of PLATFORM
targets_of() {
  case $1 in
    ios) echo aarch64-apple-ios ;;
    ios-simulator)
      echo aarch64-apple-ios-sim
      ! has_xcode || echo x86_64-apple-ios
      ;;
    macos) printf '%s\n' aarch64-apple-darwin x86_64-apple-darwin ;;
  esac
}

# build_apple_library TARGET INSTALL_NAME: the library of one architecture, as $APPLE_LIBRARY.
build_apple_library() {
  local target=$1 variable=${1//-/_} folder=$BUILD/apple usr=$TOOLS/mobile/root/usr
  local cargo=(cargo) linking=(-C "link-arg=-Wl,-install_name,$2") environment=() flags='' registry
  # Panics and assertions name their place in the source, not on the machine that built it.
  for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/; do
    flags+="--remap-path-prefix=$registry= "
    environment+=("CFLAGS_$variable=-ffile-prefix-map=$registry=")
  done
  flags+="--remap-path-prefix=$usr/lib/rustlib/src/rust=rust --remap-path-prefix=$ROOT=peers"
  case $target in
    *-darwin) environment+=("MACOSX_DEPLOYMENT_TARGET=$MACOS_MINIMUM") ;;
    *) environment+=("IPHONEOS_DEPLOYMENT_TARGET=$IOS_MINIMUM") ;;
  esac
  if ! has_xcode; then
    cargo=("$usr/bin/cargo" "-Zbuild-std=std,panic_unwind")
    # Rust's own strip is a program that Debian's compiler lacks.
    linking=(-C link-arg=-install_name -C "link-arg=$2" -C strip=none -C link-arg=-S -C link-arg=-x)
    flags+=" -Clinker-flavor=ld64.lld"
    environment+=(
      "RUSTC=$usr/bin/rustc" RUSTC_BOOTSTRAP=1 "LD_LIBRARY_PATH=$usr/lib/$(uname -m)-linux-gnu" "SDKROOT=$APPLE_SDK"
      "CC_$variable=$TOOLS/mobile/bin/$target-cc" "AR_$variable=llvm-ar" "CARGO_TARGET_${variable^^}_LINKER=$GATE_LINKER"
    )
  fi
  environment+=("CARGO_TARGET_${variable^^}_RUSTFLAGS=$flags")
  quietly "build peers-ffi for $target" env -u CARGO -u RUSTUP_TOOLCHAIN "${environment[@]}" \
    "${cargo[@]}" rustc --manifest-path "$ROOT/Cargo.toml" --locked --profile mobile --package peers-ffi --lib \
    --crate-type cdylib --target "$target" --target-dir "$folder" -- "${linking[@]}"
  APPLE_LIBRARY=$folder/$target/mobile/libpeers_ffi.dylib
}

# make_framework PLATFORM
make_framework() {
  local platform=$1 target libraries=() framework content
  framework=$APPLE/frameworks/$platform/PeersFFI.framework
  content=$framework
  [[ $platform != macos ]] || content=$framework/Versions/A
  for target in $(targets_of "$platform"); do
    build_apple_library "$target" "$(install_name "$platform")"
    libraries+=("$APPLE_LIBRARY")
  done
  mkdir -p "$content/Headers" "$content/Modules"
  if ((${#libraries[@]} == 1)); then
    cp "${libraries[0]}" "$content/PeersFFI"
  else
    lipo -create "${libraries[@]}" -output "$content/PeersFFI"
  fi
  cp "$GENERATED"/*.h "$content/Headers/"
  cp "$APPLE_SOURCES/module.modulemap" "$content/Modules/"
  if [[ $platform == macos ]]; then
    mkdir -p "$content/Resources"
    write_framework_plist "$platform" >"$content/Resources/Info.plist"
    cp "$APPLE_SOURCES/PrivacyInfo.xcprivacy" "$content/Resources/"
    ln -s A "$framework/Versions/Current"
    for target in PeersFFI Headers Modules Resources; do ln -s "Versions/Current/$target" "$framework/$target"; done
  else
    write_framework_plist "$platform" >"$content/Info.plist"
    cp "$APPLE_SOURCES/PrivacyInfo.xcprivacy" "$content/"
  fi
}

install_name() {
  case $1 in
    macos) echo "@rpath/PeersFFI.framework/Versions/A/PeersFFI" ;;
    *) echo "@rpath/PeersFFI.framework/PeersFFI" ;;
  esac
}

minimum_of() {
  case $1 in
    macos) echo "$MACOS_MINIMUM" ;;
    *) echo "$IOS_MINIMUM" ;;
  esac
}

# The keys of "Information Property List" that a framework needs.
write_framework_plist() {
  local name minimum=MinimumOSVersion
  case $1 in
    ios) name=iPhoneOS ;;
    ios-simulator) name=iPhoneSimulator ;;
    macos) name=MacOSX minimum=LSMinimumSystemVersion ;;
  esac
  cat <<XML
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>CFBundleDevelopmentRegion</key>
  <string>en</string>
  <key>CFBundleExecutable</key>
  <string>PeersFFI</string>
  <key>CFBundleIdentifier</key>
  <string>app.peers.PeersFFI</string>
  <key>CFBundleInfoDictionaryVersion</key>
  <string>6.0</string>
  <key>CFBundleName</key>
  <string>PeersFFI</string>
  <key>CFBundlePackageType</key>
  <string>FMWK</string>
  <key>CFBundleShortVersionString</key>
  <string>$(package_version)</string>
  <key>CFBundleSupportedPlatforms</key>
  <array>
    <string>$name</string>
  </array>
  <key>CFBundleVersion</key>
  <string>$(package_version)</string>
  <key>$minimum</key>
  <string>$(minimum_of "$1")</string>
$(has_xcode || printf '  <key>PeersNotForShipping</key>\n  <true/>\n')
</dict>
</plist>
XML
}

make_xcframework() {
  local platform frameworks=()
  if has_xcode; then
    for platform in "$@"; do frameworks+=(-framework "$APPLE/frameworks/$platform/PeersFFI.framework"); done
    quietly "make the XCFramework" xcodebuild -create-xcframework "${frameworks[@]}" -output "$APPLE/PeersFFI.xcframework"
  else
    for platform in "$@"; do
      mkdir -p "$APPLE/PeersFFI.xcframework/$(gate_identifier "$platform")"
      cp -R "$APPLE/frameworks/$platform/PeersFFI.framework" "$APPLE/PeersFFI.xcframework/$(gate_identifier "$platform")/"
    done
    write_xcframework_plist "$@" >"$APPLE/PeersFFI.xcframework/Info.plist"
  fi
  archive "$APPLE" "$APPLE_NAME.xcframework.zip" PeersFFI.xcframework
  # What `swift package compute-checksum` prints.
  APPLE_CHECKSUM=$(sha256sum "$APPLE/$APPLE_NAME.xcframework.zip" | cut -d ' ' -f 1)
  echo "$APPLE_CHECKSUM" >"$APPLE/$APPLE_NAME.xcframework.zip.sha256"
}

# The same input gives the same bytes: files in order, with one time.
archive() {
  find "$1/$3" -exec touch -h -t 198001010000 {} +
  (cd "$1" && find "$3" | LC_ALL=C sort | TZ=UTC zip -q -X -y "$2" -@)
}

gate_identifier() {
  case $1 in
    ios) echo ios-arm64 ;;
    ios-simulator) echo ios-arm64-simulator ;;
  esac
}

write_xcframework_plist() {
  local platform
  cat <<XML
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>AvailableLibraries</key>
  <array>
XML
  for platform in "$@"; do
    cat <<XML
    <dict>
      <key>BinaryPath</key>
      <string>PeersFFI.framework/PeersFFI</string>
      <key>LibraryIdentifier</key>
      <string>$(gate_identifier "$platform")</string>
      <key>LibraryPath</key>
      <string>PeersFFI.framework</string>
      <key>SupportedArchitectures</key>
      <array>
        <string>arm64</string>
      </array>
      <key>SupportedPlatform</key>
      <string>ios</string>
$([[ $platform != ios-simulator ]] || printf '      <key>SupportedPlatformVariant</key>\n      <string>simulator</string>\n')
    </dict>
XML
  done
  cat <<XML
  </array>
  <key>CFBundlePackageType</key>
  <string>XFWK</string>
  <key>PeersNotForShipping</key>
  <true/>
  <key>XCFrameworkFormatVersion</key>
  <string>1.0</string>
</dict>
</plist>
XML
}

# make_swift_package URL: what a release's tag holds. With a URL the framework is downloaded, without it is beside.
make_swift_package() {
  local url=$1 package=$APPLE/Peers
  mkdir -p "$package/Sources" "$package/Generated/FFI/include" "$package/Generated/Bindings"
  cp -R "$ROOT/ios/Peers/Sources/Peers" "$package/Sources/"
  cp "$GENERATED"/*.h "$GENERATED/module.modulemap" "$package/Generated/FFI/include/"
  : >"$package/Generated/FFI/empty.c"
  cp "$GENERATED"/*.swift "$package/Generated/Bindings/"
  cp "$ROOT"/LICENSE-* "$package/"
  cp "$ROOT/ios/Peers/Package.swift" "$package/"
  if [[ -n $url ]]; then
    write_release "$url" "$APPLE_CHECKSUM" "$package/Package.swift"
  else
    cp -R "$APPLE/PeersFFI.xcframework" "$package/Generated/"
  fi
}

# write_release URL CHECKSUM MANIFEST
write_release() {
  sed -i.before "s|^let release: Release? = nil\$|let release: Release? = Release(url: \"$1\", checksum: \"$2\")|" "$3"
  ! cmp -s "$3" "$3.before" || die "$3 has no line for the release"
  rm "$3.before"
}

check_apple() {
  local library platform
  check_plists
  check_entries
  for library in "$APPLE"/frameworks/*/PeersFFI.framework/PeersFFI; do
    platform=${library#"$APPLE"/frameworks/}
    platform=${platform%%/*}
    xtask framework "$library" --platform "$platform" --minimum "$(minimum_of "$platform")" \
      --install-name "$(install_name "$platform")" --privacy "$APPLE_SOURCES/PrivacyInfo.xcprivacy"
  done
  check_consumer
}

# An app that has nothing but the package says hello to a device in Rust that echoes. A Mac takes the framework, Linux the library
# of the host.
check_consumer() {
  local folder=$BUILD/package/consumer url device answer
  if ! has_xcode && ! is_root; then
    say "the Swift chroot needs root: no consumer was built"
    return
  fi
  rm -rf "$folder"
  mkdir -p "$folder"
  cp -R "$ROOT/ios/Consumer" "$APPLE/Peers" "$folder/"
  start relay "$HOST_DIR/peers" relay --listen 127.0.0.1:0
  url=ws://$(awaited relay 'listening on (.*)')
  start device "$HOST_DIR/peers" listen --relay "$url" --identity "$folder/key" --trust any --loopback
  device=$(awaited device 'device (.*)')
  awaited device '(Online)' >/dev/null
  answer=$(swift_consumer "$folder/Consumer" "$url" "$device")
  [[ ${answer##*$'\n'} == hello ]] || die "the consumer said: $answer"
  say "a consumer of the Swift package was answered by a Rust device"
}

check_plists() {
  ensure_commands python3:python3
  find "$APPLE/PeersFFI.xcframework" \( -name '*.plist' -o -name '*.xcprivacy' \) -type f -print0 |
    xargs -0 -n 1 python3 -c 'import plistlib, sys; plistlib.load(open(sys.argv[1], "rb"))'
}

# Each slice has what Xcode looks for, and the archive holds the same.
check_entries() {
  local entries framework name
  entries=$(unzip -Z1 "$APPLE/$APPLE_NAME.xcframework.zip")
  for framework in "$APPLE"/PeersFFI.xcframework/*/PeersFFI.framework; do
    for name in PeersFFI Headers/PeersFFI.h Headers/peers_lane.h Modules/module.modulemap; do
      [[ -s $framework/$name ]] || die "$framework has no $name"
    done
    [[ -n $(find -L "$framework" -name PrivacyInfo.xcprivacy) ]] || die "$framework has no privacy manifest"
    [[ -n $(find -L "$framework" -name Info.plist) ]] || die "$framework has no Info.plist"
    name=${framework#"$APPLE/"}
    grep -qx "$name/Modules" <<<"$entries" || grep -qx "$name/Modules/" <<<"$entries" || die "the archive lacks $name"
  done
  has_xcode || grep -q PeersNotForShipping "$APPLE/PeersFFI.xcframework/Info.plist" || die "the gate is not marked"
}

# The headers and libraries that the gate is compiled and linked with: names of functions.
write_apple_sdk() {
  local folder=$APPLE_SDK/usr/lib
  rm -rf "$APPLE_SDK"
  mkdir -p "$folder"
  cp -R "$TOOLS/mobile/ios/usr/include" "$APPLE_SDK/usr/"
  write_stub_library /usr/lib/libSystem.B.dylib "$(grep -v '^#' "$APPLE_SOURCES/imports.txt" | paste -sd,)" \
    >"$folder/libSystem.tbd"
  write_stub_library /usr/lib/libiconv.2.dylib >"$folder/libiconv.tbd"
  # As in Apple's SDK.
  ln -s libSystem.tbd "$folder/libc.tbd"
  ln -s libSystem.tbd "$folder/libm.tbd"
}

# write_stub_library PATH [SYMBOL,…]
write_stub_library() {
  cat <<YAML
--- !tapi-tbd
tbd-version: 4
targets: [ arm64-ios, arm64-ios-simulator ]
install-name: '$1'
exports:
  - targets: [ arm64-ios, arm64-ios-simulator ]
    symbols: [ ${2:-} ]
...
YAML
}
