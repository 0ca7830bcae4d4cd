# shellcheck shell=bash
# Whether the packages for Android and the JVM are what apps need: looked at, resolved, linked, run.

PACKAGE_TOOLS=$TOOLS/package-$(hash_of "$ANDROID_PACKAGE/check/tools.pom.xml")
CONSUMER=$ANDROID_PACKAGE/check/consumer
CONSUMER_BUILT=$BUILD/package/consumer

ensure_package_tools() {
  ensure_commands java:openjdk-17-jdk-headless mvn:maven
  [[ -e $PACKAGE_TOOLS/.ready ]] || locked package-tools install_package_tools
}

install_package_tools() {
  [[ ! -e $PACKAGE_TOOLS/.ready ]] || return 0
  rm -rf "$PACKAGE_TOOLS"
  quietly "fetch R8 and Gradle's resolver" mvn -B -f "$ANDROID_PACKAGE/check/tools.pom.xml" \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DoutputDirectory="$PACKAGE_TOOLS"
  touch "$PACKAGE_TOOLS/.ready"
}

# check_android ABI…
check_android() {
  ensure_unidbg
  ensure_package_tools
  check_catalog
  check_reproducible "$@"
  check_checksums
  check_archives "$@"
  check_emulator "$@"
  check_consumer
  check_resolution
  check_shrunk_consumer
  check_dex
  echo "package: ok"
}

# Gradle's build names the versions that this one has.
check_catalog() {
  local line
  for line in "kotlin = \"$(runtime_version kotlin-stdlib)\"" "jna = \"$(runtime_version jna)\"" \
    "coroutines = \"$(runtime_version kotlinx-coroutines-core-jvm)\"" "lifecycle = \"$(lifecycle_version)\""; do
    grep -qxF "$line" "$ROOT/android/gradle/libs.versions.toml" || die "android/gradle/libs.versions.toml is to have: $line"
  done
}

android_folder() { echo "$ANDROID_MAVEN/app/peers/peers/$(package_version)"; }

# The archives are made again from the same classes and libraries.
check_reproducible() {
  publish_android "$BUILD/package/again" "$@"
  diff -r "$ANDROID_MAVEN" "$BUILD/package/again" || die "the same content has other bytes"
  rm -r "$BUILD/package/again"
  say "made again, the archives have the same bytes"
}

check_checksums() {
  local sum file count=0
  while read -r sum; do
    file=${sum%.*}
    [[ $(cat "$sum") == "$(hash_with "${sum##*.}" "$file")" ]] || die "$sum: is not that of the file"
    count=$((count + 1))
  done < <(find "$ANDROID_MAVEN" -name '*.md5' -o -name '*.sha*')
  ((count > 0)) || die "there are no checksums"
  say "$count checksums are right"
}

# check_archives ABI…
check_archives() {
  local folder=$BUILD/package/check abi symbols version
  version=$(package_version)
  rm -rf "$folder"
  mkdir -p "$folder/symbols"
  unzip -q "$(android_folder)/peers-$version.aar" -d "$folder/aar"
  unzip -q "$(android_folder)/peers-$version.jar" -d "$folder/jar"
  for abi in "$@"; do
    for symbols in libc libm libdl liblog; do
      android_symbols "$abi" "$symbols"
    done | cut -d ' ' -f 1 | sort -u >"$folder/symbols/$abi"
  done
  xtask package --aar "$folder/aar" --jar "$folder/jar" --symbols "$folder/symbols" --bindings "$GENERATED" "$@"
}

# check_emulator ABI…: there is an emulator for ARM's two. Beside the library it runs the golden bytes of the wire.
check_emulator() {
  local abi log=$LOGS/emulator.log bindings
  bindings=$(find "$GENERATED" -name '*.kt')
  for abi in "$@"; do
    [[ $abi == arm* ]] || continue
    android_build "$abi" libpeers_vectors.so --package peers-vectors --lib --crate-type cdylib
    java -Xmx2g -cp "$(jars_in "$UNIDBG/jars")" "$ANDROID_PACKAGE/check/Emulate.java" "$abi" \
      "$ANDROID_BUILT/jni/$abi/libpeers_ffi.so" "$bindings" \
      "$(android_target_folder "$abi")/libpeers_vectors.so" >"$log" 2>&1 || die "$abi: $(tail -n 20 "$log")"
    while IFS= read -r line; do
      say "$abi: $line"
    done < <(grep -E '^(the|another|a) ' "$log")
  done
}

# An app of its own, which knows the library by its coordinates, and a device in Rust. They meet at a relay.
check_consumer() {
  rm -rf "$CONSUMER_BUILT"
  # Maven keeps what it has once found under a version.
  rm -rf "$BUILD/package/m2/app/peers"
  quietly "build the consumer" mvn -B -f "$CONSUMER/pom.xml" -Dmaven.repo.local="$BUILD/package/m2" \
    -Drepository="file://$ANDROID_MAVEN" -Dversion="$(package_version)" -Doutput="$CONSUMER_BUILT" compile
  run_consumer "$CONSUMER_BUILT/classes:$(jars_in "$CONSUMER_BUILT/libraries")" || die "the consumer failed"
  say "the consumer and a device in Rust have talked"
}

# An app on Android gets the AAR, one on the JVM the jar, and JNA in the same way; all else is what Maven has fetched.
check_resolution() {
  local got version wanted aar
  version=$(package_version)
  for aar in "net.java.dev.jna:jna:$(runtime_version jna)" "androidx.lifecycle:lifecycle-process:$(lifecycle_version)"; do
    quietly "fetch $aar for Android" mvn -B -Dmaven.repo.local="$BUILD/package/m2" "$MAVEN_DEPENDENCIES:get" \
      -Dtransitive=false -Dartifact="$aar:aar"
  done
  got=$(timeout 300 java --add-opens java.base/java.lang=ALL-UNNAMED --add-opens java.base/java.util=ALL-UNNAMED \
    -cp "$(jars_in "$PACKAGE_TOOLS")" "$ANDROID_PACKAGE/check/Resolve.java" "$BUILD/package/gradle" \
    "app.peers:peers:$version" "file://$ANDROID_MAVEN" "file://$BUILD/package/m2" 2>"$LOGS/resolve.log") ||
    die "Gradle does not resolve app.peers:peers:$version: $(tail -n 20 "$LOGS/resolve.log")"
  for wanted in "android peers-$version.aar" "android jna-$(runtime_version jna).aar" \
    "android lifecycle-process-$(lifecycle_version).aar" \
    "standard-jvm peers-$version.jar" "standard-jvm jna-$(runtime_version jna).jar"; do
    grep -qxF "$wanted" <<<"$got" || die "Gradle resolves something else than $wanted: $got"
  done
  [[ $(wc -l <<<"$got") == "$(sort -u <<<"$got" | wc -l)" ]] || die "Gradle resolves a file twice: $got"
  say "Gradle's resolver takes the AAR for Android, the jar for the JVM"
}

# The app, shrunk. R8 finds the library's rules in the jar. Without them it builds and does not run: the rules are needed, and
# enough.
check_shrunk_consumer() {
  local jar
  jar=$CONSUMER_BUILT/libraries/peers-$(package_version).jar
  shrink_consumer with-rules
  run_consumer "$CONSUMER_BUILT/with-rules.jar" || die "the shrunk consumer failed"
  zip -q -d "$jar" META-INF/proguard/peers.pro
  shrink_consumer without-rules --pg-conf "$CONSUMER/tolerant.pro"
  if run_consumer "$CONSUMER_BUILT/without-rules.jar" >"$LOGS/without-rules.log" 2>&1; then
    die "the shrunk consumer runs without the library's rules"
  fi
  grep -q 'java\.lang\.UnsatisfiedLinkError' "$LOGS/without-rules.log" ||
    die "without rules the shrunk consumer fails for another reason: $(tail -n 20 "$LOGS/without-rules.log")"
  say "shrunk by R8 the consumer runs, without the library's rules it does not"
}

# shrink_consumer NAME OPTION…
shrink_consumer() {
  local jars
  mapfile -t jars < <(find "$CONSUMER_BUILT/libraries" -name '*.jar' | sort)
  (cd "$CONSUMER_BUILT/classes" && zip -q -r "$CONSUMER_BUILT/app.jar" .)
  quietly "shrink the consumer $1" java -Xmx1500m -cp "$(jars_in "$PACKAGE_TOOLS")" com.android.tools.r8.R8 --classfile \
    --release --lib "$(java_home)" --pg-conf "$CONSUMER/app.pro" "${@:2}" --output "$CONSUMER_BUILT/$1.jar" \
    "$CONSUMER_BUILT/app.jar" "${jars[@]}"
}

# run_consumer CLASSPATH: with a relay and a device in Rust beside it, which end with it.
run_consumer() {
  local relay device status=0
  start relay "$HOST_DIR/peers" relay --listen 127.0.0.1:0
  relay=ws://$(awaited relay '^listening on (.*)') || exit 1
  start device "$HOST_DIR/peers" listen --relay "$relay" --identity "$CONSUMER_BUILT/identity" --trust any --loopback
  device=$(awaited device '^device (.*)') || exit 1
  java -cp "$1" MainKt "$relay" "$device" </dev/null || status=$?
  stop relay device
  return "$status"
}

# What AGP does with the classes of an AAR. Robolectric's copy of Android leaves java.lang to the JVM.
check_dex() {
  local folder=$BUILD/package/check/dex log=$LOGS/convert-the-classes.log classpath=() jar
  mkdir -p "$folder"
  for jar in "$CONSUMER_BUILT"/libraries/{kotlin,jna}*.jar; do
    classpath+=(--classpath "$jar")
  done
  for jar in "$ANDROID"/androidx/*.jar; do
    classpath+=(--classpath "$jar")
  done
  quietly "convert the classes" java -Xmx1500m -cp "$(jars_in "$PACKAGE_TOOLS")" com.android.tools.r8.D8 \
    --release --min-api "$ANDROID_API" --lib "$(java_home)" --lib "$ANDROID_CLASSES" "${classpath[@]}" --output "$folder" \
    "$BUILD/package/check/aar/classes.jar"
  [[ -s $folder/classes.dex ]] || die "D8 has made no classes.dex"
  [[ ! -s $log ]] || die "D8 has remarks: $(head -n 20 "$log")"
  say "D8 converts the classes for API $ANDROID_API"
}

java_home() { java -XshowSettings:properties -version 2>&1 | sed -n 's/ *java.home = //p'; }
