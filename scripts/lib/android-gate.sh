# shellcheck shell=bash
# A link for Android without an NDK: Debian's Rust compiler with the standard library's sources, clang and lld, C libraries
# that have the symbols of a real bionic, LLVM's unwinder.
#
# It proves what a link can prove (symbols, alignment, relocations, size). Its libraries never ship: the C runtime's start
# files are missing, and the unwinder is not audited.

ANDROID_API=24
ANDROID_ABIS=(arm64-v8a armeabi-v7a x86_64)
ANDROID_PACKAGE=$ROOT/android/package
UNIDBG=$TOOLS/unidbg-$(hash_of "$ANDROID_PACKAGE/check/unidbg.pom.xml")
ANDROID_GATE=$TOOLS/android-gate-$(hash_of "$LIB/android-gate.sh" "$ANDROID_PACKAGE/bionic-24.txt")

# Sources of LLVM's unwinder and headers to compile them with: the wheel is Zig's toolchain, of which no program is run.
ZIG_VERSION=0.17.0

ensure_android_gate() {
  ensure_mobile
  ensure_unidbg
  ensure_commands clang:clang ld.lld-19:lld-19 llvm-nm:llvm unzip:unzip pip3:python3-pip
  [[ -e $ANDROID_GATE/.ready ]] || locked android-gate install_android_gate
}

install_android_gate() {
  local abi
  [[ ! -e $ANDROID_GATE/.ready ]] || return 0
  rm -rf "$ANDROID_GATE"
  mkdir -p "$ANDROID_GATE/wheel"
  quietly "download the unwinder's sources" pip3 download --no-deps --only-binary :all: --dest "$ANDROID_GATE/wheel" \
    "ziglang==$ZIG_VERSION"
  unzip -q "$ANDROID_GATE"/wheel/*.whl 'ziglang/lib/libunwind/*' 'ziglang/lib/libc/*musl*' -d "$ANDROID_GATE"
  rm -r "$ANDROID_GATE/wheel"
  for abi in "${ANDROID_ABIS[@]}"; do
    mkdir -p "$ANDROID_GATE/$abi/objects"
    write_android_tools "$abi"
    build_android_unwinder "$abi"
    build_android_stubs "$abi"
  done
  touch "$ANDROID_GATE/.ready"
}

# A compiler that asks for no headers but its own, as ring's C code does, and a linker. Build scripts name a target too, for
# 32-bit ARM a wrong one: the last on the line counts.
write_android_tools() {
  local abi=$1 folder=$ANDROID_GATE/$1 target
  target=$(android_clang_target "$abi")
  cat >"$folder/cc" <<EOF
#!/bin/sh
exec clang "\$@" --target=$target -ffreestanding -nostdlibinc -DRING_CORE_NOSTDLIBINC=1
EOF
  cat >"$folder/clang" <<EOF
#!/bin/sh
exec clang --target=$target --ld-path=ld.lld-19 -nostdlib -L$folder -Wl,-z,defs -Wl,--fatal-warnings "\$@"
EOF
  chmod +x "$folder/cc" "$folder/clang"
}

build_android_unwinder() {
  local abi=$1 folder=$ANDROID_GATE/$1 zig=$ANDROID_GATE/ziglang/lib machine source standard
  machine=$(android_rust_target "$abi")
  machine=${machine%%-*}
  local flags=(-c -O2 -fPIC -DNDEBUG -fvisibility=hidden -D_LIBUNWIND_HIDE_SYMBOLS -fno-exceptions -funwind-tables
    -nostdlibinc -isystem "$zig/libc/include/${machine/armv7/arm}-linux-musl" -isystem "$zig/libc/include/generic-musl"
    -isystem "$zig/libc/musl/include" -I"$zig/libunwind/include" "-ffile-prefix-map=$zig=")
  for source in libunwind.cpp Unwind-EHABI.cpp UnwindLevel1.c UnwindLevel1-gcc-ext.c UnwindRegistersSave.S \
    UnwindRegistersRestore.S; do
    standard=()
    [[ $source != *.cpp ]] || standard=(-std=c++17 -fno-rtti)
    clang --target="$(android_clang_target "$abi")" "${flags[@]}" "${standard[@]}" "$zig/libunwind/src/$source" \
      -o "$folder/objects/$source.o"
  done
  llvm-ar rcsD "$folder/libunwind.a" "$folder"/objects/*.o
}

# The C libraries with the symbols and versions that API 23's have, and what API 24 adds.
build_android_stubs() {
  local abi=$1 folder=$ANDROID_GATE/$1 name versions
  for name in libc libm libdl liblog; do
    android_symbols "$abi" "$name" >"$folder/$name.symbols"
    awk '{print ".data\n.globl " $1 "\n.type " $1 ",%" $3 "\n" $1 ": .zero 8\n.size " $1 ",8"}' "$folder/$name.symbols" \
      >"$folder/$name.s"
    awk '{of[$2] = of[$2] " " $1 ";"} END {for (version in of) if (version != "-") print version " {" of[version] " };"}' \
      "$folder/$name.symbols" >"$folder/$name.map"
    versions=()
    [[ ! -s $folder/$name.map ]] || versions=("-Wl,--version-script=$folder/$name.map")
    "$folder/clang" -shared "-Wl,-soname,$name.so" "${versions[@]}" "$folder/$name.s" -o "$folder/$name.so"
  done
}

# android_symbols ABI LIBRARY: a line `SYMBOL VERSION function|object` for each that apps may use at $ANDROID_API. The emulator
# has the libraries of ARM's two ABIs; x86_64 is held to those of arm64.
android_symbols() {
  local folder=$UNIDBG/bionic/lib
  [[ $1 != arm64-v8a && $1 != x86_64 ]] || folder=${folder}64
  llvm-nm -D --defined-only "$folder/$2.so" | awk '
    {split($3, name, /@+/); version = name[2] ? name[2] : "-"}
    version == "LIBC_PRIVATE" || $2 !~ /[BDRTW]/ {next}
    {print name[1], version, ($2 ~ /[TW]/ ? "function" : "object")}'
  [[ $2 != libc ]] || awk '!/^#/ {print $0, "function"}' "$ANDROID_PACKAGE/bionic-24.txt"
}

android_rust_target() {
  case $1 in
    arm64-v8a) echo aarch64-linux-android ;;
    armeabi-v7a) echo armv7-linux-androideabi ;;
    x86_64) echo x86_64-linux-android ;;
    *) die "unknown ABI $1; ABIs are: ${ANDROID_ABIS[*]}" ;;
  esac
}

android_clang_target() {
  local target
  target=$(android_rust_target "$1")
  echo "${target/#armv7/armv7a}$ANDROID_API"
}

ensure_unidbg() {
  ensure_commands java:openjdk-17-jdk-headless mvn:maven unzip:unzip
  [[ -e $UNIDBG/.ready ]] || locked unidbg install_unidbg
}

install_unidbg() {
  [[ ! -e $UNIDBG/.ready ]] || return 0
  rm -rf "$UNIDBG"
  mkdir -p "$UNIDBG"
  quietly "fetch the emulator" mvn -B -f "$ANDROID_PACKAGE/check/unidbg.pom.xml" \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DoutputDirectory="$UNIDBG/jars"
  unzip -q "$UNIDBG"/jars/unidbg-android-*.jar 'android/sdk23/*' -d "$UNIDBG"
  mv "$UNIDBG/android/sdk23" "$UNIDBG/bionic"
  touch "$UNIDBG/.ready"
}
