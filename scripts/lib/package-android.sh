# shellcheck shell=bash
# The library for Android and the JVM as one Maven folder, built without Gradle.
#
# With an NDK the native libraries are those that ship; without one the gate links them (android-gate.sh). What the gate links
# has a version that says so, and with it each file's name; the manifest says it too.

# shellcheck disable=SC2153
ANDROID_BUILT=$BUILD/package/android
ANDROID_MAVEN=$BUILD/package/maven
ANDROID_TARGET=$BUILD/targets

# Archives hold no times of their own.
ANDROID_EPOCH="1980-01-01 00:00:00 UTC"

# package_android [--ndk DIR] [--all] [--check]
package_android() {
  local abi abis=(arm64-v8a) check=
  NDK=
  while (($# > 0)); do
    case $1 in
      --ndk)
        NDK=${2:?--ndk needs a folder}
        shift
        ;;
      --check) check=yes ;;
      --all) abis=("${ANDROID_ABIS[@]}") ;;
      *) die "usage: scripts/package android [--ndk DIR] [--all] [--check]" ;;
    esac
    shift
  done
  ensure_commands zip:zip unzip:unzip jq:jq mvn:maven strip:binutils
  [[ -z $NDK ]] || check_ndk
  rm -rf "$ANDROID_BUILT"
  mkdir -p "$ANDROID_BUILT"
  build_host
  kotlin_library
  android_shim
  android_docs
  host_library
  [[ -n $NDK ]] || ensure_android_gate
  for abi in "${abis[@]}"; do
    android_library "$abi"
  done
  publish_android "$ANDROID_MAVEN" "${abis[@]}"
  echo "package: $(find "$ANDROID_MAVEN" -type f ! -name '*.md5' ! -name '*.sha*' | wc -l) files in $ANDROID_MAVEN"
  [[ -z $check ]] || check_android "${abis[@]}"
}

# 16 KB pages are the default from NDK 28 on.
check_ndk() {
  local release
  NDK=$(cd "$NDK" && pwd)
  release=$(sed -n 's/^Pkg.Revision *= *\([0-9]*\).*/\1/p' "$NDK/source.properties" 2>/dev/null) || true
  ((${release:-0} >= 28)) || die "$NDK is no NDK of release 28 or newer"
}

package_version() {
  local version
  version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
  [[ -n $NDK ]] && echo "$version" || echo "$version-not-for-shipping"
}

# runtime_version NAME: of the jar that the library is compiled with.
runtime_version() {
  local jars=("$KOTLIN/runtime/$1"-[0-9]*.jar) version
  version=${jars[0]##*/"$1"-}
  echo "${version%.jar}"
}

# Of the one library of Android's that the shim needs.
lifecycle_version() {
  sed -n '/<artifactId>lifecycle-process</{n;s/.*<version>\(.*\)<.*/\1/p}' "$LIB/android.pom.xml"
}

# publish_android FOLDER ABI…: archives, metadata and checksums, laid out as Maven wants them.
publish_android() {
  local version folder
  version=$(package_version)
  folder=$1/app/peers/peers/$version
  shift
  rm -rf "$folder" "$ANDROID_BUILT"/{jar,aar,sources}
  mkdir -p "$folder"
  android_jar "$folder/peers-$version.jar"
  android_aar "$folder/peers-$version.aar" "$@"
  android_sources "$folder/peers-$version-sources.jar"
  archive "$ANDROID_BUILT/docs" "$folder/peers-$version-javadoc.jar"
  filled peers.pom >"$folder/peers-$version.pom"
  filled peers.module | jq --argjson files "$(file_facts "$folder"/*.{jar,aar})" '.variants[].files |= map($files[.])' \
    >"$folder/peers-$version.module"
  checksums "$folder"/*
}

# filled TEMPLATE: a file of $ANDROID_PACKAGE with the versions in it.
filled() {
  sed -e "s/@VERSION@/$(package_version)/g" -e "s/@KOTLIN@/$(runtime_version kotlin-stdlib)/g" \
    -e "s/@COROUTINES@/$(runtime_version kotlinx-coroutines-core-jvm)/g" -e "s/@JNA@/$(runtime_version jna)/g" \
    -e "s/@LIFECYCLE@/$(lifecycle_version)/g" \
    "$ANDROID_PACKAGE/$1"
}

# For the JVM: the classes and the host's library, where JNA looks for it.
android_jar() {
  local folder=$ANDROID_BUILT/jar host
  host=$folder/linux-$(uname -m | tr _ -)
  mkdir -p "$host" "$folder/META-INF/proguard"
  unzip -q "$BUILD/kotlin/peers.jar" -d "$folder"
  cp "$ANDROID_PACKAGE/consumer-rules.pro" "$folder/META-INF/proguard/peers.pro"
  cp "$ANDROID_BUILT/host/libpeers_ffi.so" "$host"
  manifest >"$folder/META-INF/MANIFEST.MF"
  archive "$folder" "$1"
}

manifest() {
  printf 'Manifest-Version: 1.0\nAutomatic-Module-Name: app.peers.sdk\nImplementation-Version: %s\n' "$(package_version)"
  [[ -n $NDK ]] || echo "Peers-Shipping: no"
}

# android_aar FILE ABI…
android_aar() {
  local file=$1 folder=$ANDROID_BUILT/aar abi
  local metadata=$folder/META-INF/com/android/build/gradle
  shift
  mkdir -p "$metadata" "$folder/jni"
  for abi in "$@"; do
    cp -r "$ANDROID_BUILT/jni/$abi" "$folder/jni"
  done
  android_classes "$folder/classes.jar"
  cp "$ANDROID_PACKAGE/aar-metadata.properties" "$metadata"
  cp "$ANDROID_PACKAGE/consumer-rules.pro" "$folder/proguard.txt"
  # A library without resources has the list of them all the same.
  : >"$folder/R.txt"
  android_manifest >"$folder/AndroidManifest.xml"
  archive "$folder" "$file"
}

# The library's manifest with what a build by Gradle adds.
android_manifest() {
  local mark=
  [[ -n $NDK ]] ||
    mark='    <application>\n        <meta-data android:name="app.peers.sdk.NOT_FOR_SHIPPING" android:value="true" />\n    </application>\n'
  sed -e '/<manifest/ s/>$/ package="app.peers.sdk">/' \
    -e "/<manifest/ a\\    <uses-sdk android:minSdkVersion=\"$ANDROID_API\" />" \
    -e "/<\/manifest>/ s|^|$mark|" "$KOTLIN_LIBRARY/main/AndroidManifest.xml"
}

android_classes() {
  local folder=$ANDROID_BUILT/classes
  rm -rf "$folder"
  mkdir -p "$folder"
  unzip -q "$BUILD/kotlin/peers.jar" -d "$folder"
  unzip -qo "$BUILD/kotlin/shim.jar" -d "$folder"
  archive "$folder" "$1"
}

android_sources() {
  local folder=$ANDROID_BUILT/sources
  mkdir -p "$folder"
  cp -r "$KOTLIN_LIBRARY/main/kotlin/." "$ANDROID_SHIM/main/kotlin/." "$GENERATED/." "$folder"
  archive "$folder" "$1"
}

# The API reference by Dokka, unless the sources are those of last time.
android_docs() {
  local folder=$ANDROID_BUILT/docs cached
  cached=$BUILD/package/docs-$(hash_of "$KOTLIN_LIBRARY/main/kotlin" "$ANDROID_SHIM/main/kotlin" "$ANDROID_PACKAGE/dokka.pom.xml")
  if [[ ! -e $cached/index.html ]]; then
    rm -rf "$BUILD"/package/docs-*
    quietly "write the API reference" mvn -B -f "$ANDROID_PACKAGE/dokka.pom.xml" -Dsources="$KOTLIN_LIBRARY/main/kotlin" \
      -Dshim="$ANDROID_SHIM/main/kotlin" -Doutput="$cached" org.jetbrains.dokka:dokka-maven-plugin:2.2.0:dokka
  fi
  mkdir -p "$folder"
  cp -r "$cached/." "$folder"
}

# archive FOLDER FILE: the same bytes from the same content.
archive() {
  rm -f "$2"
  find "$1" -exec touch -h -d "$ANDROID_EPOCH" {} +
  (cd "$1" && find . -type f -printf '%P\n' | LC_ALL=C sort | TZ=UTC zip -q -X -9 -@ "$2")
}

# file_facts FILE…: what a .module file says of each, as one JSON object by name.
file_facts() {
  local file
  for file in "$@"; do
    jq -n --arg name "${file##*/}" --argjson size "$(stat -c %s "$file")" --arg sha512 "$(hash_with sha512 "$file")" \
      --arg sha256 "$(hash_with sha256 "$file")" --arg sha1 "$(hash_with sha1 "$file")" --arg md5 "$(hash_with md5 "$file")" \
      '{($name): {name: $name, url: $name, size: $size, sha512: $sha512, sha256: $sha256, sha1: $sha1, md5: $md5}}'
  done | jq -s add
}

checksums() {
  local file kind
  for file in "$@"; do
    for kind in md5 sha1 sha256 sha512; do
      hash_with "$kind" "$file" >"$file.$kind"
    done
  done
}

hash_with() { "${1}sum" "$2" | cut -d ' ' -f 1 | tr -d '\n'; }

# The host's library for the jar; one that is not for shipping is the library that tests run with.
host_library() {
  local folder=$ANDROID_BUILT/host
  mkdir -p "$folder"
  if [[ -n $NDK ]]; then
    quietly "build the host's library" env -C "$ROOT" "RUSTFLAGS=$(remapped_paths)" cargo rustc --locked --profile mobile \
      --package peers-ffi --lib --crate-type cdylib --target-dir "$ANDROID_TARGET" -- -C link-arg=-Wl,-z,pack-relative-relocs
    cp "$ANDROID_TARGET/mobile/libpeers_ffi.so" "$folder"
  else
    strip -o "$folder/libpeers_ffi.so" "$HOST_DIR/libpeers_ffi.so"
  fi
}

# android_library ABI: builds it as $ANDROID_BUILT/jni/ABI/libpeers_ffi.so.
android_library() {
  local folder=$ANDROID_BUILT/jni/$1
  android_build "$1" libpeers_ffi.so --package peers-ffi --lib --crate-type cdylib
  mkdir -p "$folder"
  cp "$(android_target_folder "$1")/libpeers_ffi.so" "$folder"
}

android_target_folder() { echo "$ANDROID_TARGET/$(android_rust_target "$1")/mobile"; }

# android_build ABI NAME OPTION…: a library of that name; the options tell `cargo rustc` which.
android_build() {
  local abi=$1 target name bin gate=$ANDROID_GATE/$1 rust=$TOOLS/mobile/root/usr
  target=$(android_rust_target "$abi")
  name=${target//-/_}
  local build=(rustc --locked --profile mobile --target "$target" --target-dir "$ANDROID_TARGET" "${@:3}")
  # Loaders know this table of relocations from API 23 on, and ELF's own packed one only from API 30 on.
  local linker=(-C "link-arg=-Wl,-soname,$2" -C "link-arg=-Wl,-z,max-page-size=16384"
    -C "link-arg=-Wl,--pack-dyn-relocs=android" -C "link-arg=-Wl,-T,$ROOT/bindings/without-metadata.ld")
  local paths=("CFLAGS_$name=-ffile-prefix-map=$(cargo_sources)=" "CARGO_TARGET_${name^^}_RUSTFLAGS=$(remapped_paths)")
  if [[ -n $NDK ]]; then
    bin=$(echo "$NDK"/toolchains/llvm/prebuilt/*/bin)
    (cd "$ROOT" && quietly "add Rust's library for $target" rustup target add "$target")
    quietly "build $2 for $abi with the NDK" env -C "$ROOT" "${paths[@]}" "AR_$name=$bin/llvm-ar" \
      "CC_$name=$bin/$(android_clang_target "$abi")-clang" \
      "CARGO_TARGET_${name^^}_LINKER=$bin/$(android_clang_target "$abi")-clang" cargo "${build[@]}" -- "${linker[@]}"
  else
    quietly "link $2 for $abi at the gate" env -C "$ROOT" -u CARGO -u RUSTUP_TOOLCHAIN "${paths[@]}" "AR_$name=llvm-ar" \
      "CC_$name=$gate/cc" "CARGO_TARGET_${name^^}_LINKER=$gate/clang" "RUSTC=$rust/bin/rustc" RUSTC_BOOTSTRAP=1 \
      "LD_LIBRARY_PATH=$rust/lib/$(uname -m)-linux-gnu" \
      "$rust/bin/cargo" "${build[@]}" -Zbuild-std=std,panic_unwind -- "${linker[@]}"
  fi
}

# Options for rustc: the machine's folders stay out of the libraries.
remapped_paths() {
  local rust=$TOOLS/mobile/root/usr/lib/rustlib/src/rust
  printf '%s' "--remap-path-prefix $(cargo_sources)= --remap-path-prefix $ROOT=peers"
  [[ -n $NDK ]] || printf '%s' " --remap-path-prefix $(readlink -f "$rust")=rust --remap-path-prefix $rust=rust"
}

# Where cargo keeps the sources of dependencies.
cargo_sources() {
  local folders=("${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/)
  printf '%s' "${folders[0]}"
}
