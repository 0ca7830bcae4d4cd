# shellcheck shell=bash
# The samples: chat apps for Android and Apple's systems. Here their models run, against the real library, a relay and devices in
# Rust; the Android sample's screens run by Compose for the desktop. Parts that need a phone are compiled, or parsed.

SAMPLE=$ROOT/android/sample
SAMPLE_SOURCES=$SAMPLE/src/main/kotlin/app/peers/sample
SAMPLE_TOOLS=$TOOLS/sample-$(hash_of "$LIB/sample.pom.xml")
SWIFT_SAMPLE=$ROOT/ios/Sample

ensure_sample() {
  local libraries
  libraries=/usr/lib/$(uname -m)-linux-gnu
  ensure_android
  ensure_files "$libraries/libGL.so.1:libgl1" "$libraries/libX11.so.6:libx11-6" "$libraries/libfontconfig.so.1:libfontconfig1"
  [[ -e $SAMPLE_TOOLS/.ready ]] || locked sample install_sample
}

install_sample() {
  [[ ! -e $SAMPLE_TOOLS/.ready ]] || return 0
  local machine=x64
  [[ $(uname -m) == x86_64 ]] || machine=arm64
  rm -rf "$SAMPLE_TOOLS"
  quietly "fetch Compose for the desktop" mvn -B -f "$LIB/sample.pom.xml" -Dmachine="$machine" \
    "$MAVEN_DEPENDENCIES:copy-dependencies" -DincludeScope=runtime -DoutputDirectory="$SAMPLE_TOOLS/compose"
  quietly "fetch what the sample takes from Android" mvn -B -f "$LIB/sample.pom.xml" -Dmachine="$machine" \
    "$MAVEN_DEPENDENCIES:copy" -Dfolder="$SAMPLE_TOOLS"
  unpack_aars "$SAMPLE_TOOLS/androidx"
  touch "$SAMPLE_TOOLS/.ready"
}

# After kotlin_library: model, screens and tests; sets $SAMPLE_CLASSPATH to run them with. The tests start devices and relays as
# those of the library do.
sample_compile() {
  local sample=$BUILD/kotlin/sample.jar tests=$BUILD/kotlin/sample-test.jar libraries plugin
  local network=$KOTLIN_LIBRARY/test/kotlin/app/peers/sdk
  ensure_sample
  plugin=-Xplugin=$(jars_in "$SAMPLE_TOOLS/plugin")
  libraries=$BUILD/kotlin/peers.jar:$(jars_in "$KOTLIN/test"):$(jars_in "$SAMPLE_TOOLS/compose")
  kotlin_jar sample "$libraries" "$SAMPLE_SOURCES/model" "$SAMPLE_SOURCES/ui" -- -Werror "$plugin"
  kotlin_jar sample-test "$sample:$libraries" "$SAMPLE/src/test/kotlin" "$network"/{Network,TlsFront}.kt -- -Werror \
    "$plugin" -Xfriend-paths="$sample"
  SAMPLE_CLASSPATH=$tests:$sample:$libraries
}

# After sample_compile: the activity and the test that runs on an emulator, against Android's classes.
sample_check_android() {
  local libraries
  android_shim
  libraries=$BUILD/kotlin/sample.jar:$BUILD/kotlin/shim.jar:$BUILD/kotlin/peers.jar:$(jars_in "$KOTLIN/runtime")
  libraries+=:$(jars_in "$SAMPLE_TOOLS/androidx"):$(jars_in "$ANDROID/androidx"):$(jars_in "$ANDROID/robolectric")
  libraries+=:$ANDROID_CLASSES
  kotlin_jar sample-android "$libraries" "$SAMPLE_SOURCES/app" "$SAMPLE/smoke/src/main/kotlin" -- \
    -Werror "-Xplugin=$(jars_in "$SAMPLE_TOOLS/plugin")"
}

sample_java() {
  PEERS_BIN_DIR=$HOST_DIR java -Djna.library.path="$HOST_DIR" -Djava.awt.headless=true -Dskiko.data.path="$BUILD/skiko" \
    -cp "$SAMPLE_CLASSPATH" "$@"
}

# sample_kotlin FILTER
sample_kotlin() {
  build_host
  kotlin_library
  sample_compile
  sample_check_android
  run_junit sample "$BUILD/kotlin/sample-test.jar" "$1" sample_java
}

# sample_swift FILTER
sample_swift() {
  build_host
  swift_prepare
  is_macos || parse_views
  swift_tests ios/Sample swift-sample "$1"
}

# The views need SwiftUI, which is Apple's alone.
parse_views() {
  local views=("$SWIFT_SAMPLE"/Sources/ChatApp/*.swift)
  swift_exec /usr/libexec/swift/bin/swiftc -frontend -parse "${views[@]/#$ROOT//peers}" </dev/null
  say "${#views[@]} files of views parse"
}

# The app for a simulator of an iPhone, and its tests there; those that need other processes are skipped.
sample_simulator() {
  local phone url
  is_macos || die "simulators are Xcode's"
  build_host
  swift_prepare
  phone=$(simulated_phone)
  start relay "$HOST_DIR/peers" relay --listen 127.0.0.1:0
  url=ws://$(awaited relay 'listening on (.*)')
  (cd "$SWIFT_SAMPLE" && xcodebuild build -scheme ChatApp -destination "id=$phone" -derivedDataPath "$BUILD/xcode-sample" &&
    TEST_RUNNER_PEERS_RELAY=$url xcodebuild test -scheme Sample-Package -destination "id=$phone" \
      -derivedDataPath "$BUILD/xcode-sample")
}

# sample_apk debug|release
sample_apk() {
  sample_gradle ":sample:assemble${1^}"
}

# sample_gradle ARG…: Gradle in the version of android/gradle/wrapper, with the package of scripts/package.
sample_gradle() {
  local wrapper=$BUILD/gradle version
  [[ -d $BUILD/package/maven ]] || die "run scripts/package android --all first"
  ensure_commands gradle:gradle
  version=$(sed -n 's/^distributionUrl=.*gradle-\(.*\)-bin\.zip$/\1/p' "$ROOT/android/gradle/wrapper/gradle-wrapper.properties")
  # The wrapper is a binary, and in no checkout: an older Gradle makes it in an empty project.
  if [[ ! -x $wrapper/gradlew ]]; then
    mkdir -p "$wrapper"
    touch "$wrapper/settings.gradle"
    quietly "make Gradle's wrapper" gradle -p "$wrapper" wrapper --gradle-version "$version"
  fi
  "$wrapper/gradlew" -p "$ROOT/android" "$@"
}
