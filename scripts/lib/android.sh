# shellcheck shell=bash
# The shim for Android, compiled against Android's own classes and run on the JVM by Robolectric; all from Maven.

ANDROID=$TOOLS/android-$(hash_of "$LIB/android.pom.xml")
ANDROID_SHIM=$ROOT/android/shim/src
MAVEN_DEPENDENCIES=org.apache.maven.plugins:maven-dependency-plugin:3.8.1

# The classes of API 37 are for Java 21 and newer.
ensure_java21() { find_java21 || die "please install a JDK of version 21 or newer, such as Temurin 25"; }

# Sets $JAVA21, if there is one.
find_java21() {
  local java
  for java in java "${JAVA_HOME:-}/bin/java" /usr/lib/jvm/*/bin/java; do
    if (($(java_version "$java") >= 21)); then
      JAVA21=$java
      return
    fi
  done
  return 1
}

java_version() { "$1" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | grep . || echo 0; }

ensure_android() {
  ensure_java21
  ensure_kotlin
  [[ -e $ANDROID/.ready ]] || locked android install_android
}

install_android() {
  [[ ! -e $ANDROID/.ready ]] || return 0
  ensure_commands mvn:maven unzip:unzip
  rm -rf "$ANDROID"
  quietly "fetch Robolectric" mvn -B -f "$LIB/android.pom.xml" "$MAVEN_DEPENDENCIES:copy-dependencies" \
    -DincludeScope=runtime -DoutputDirectory="$ANDROID/robolectric"
  quietly "fetch Android at four API levels (650 MB)" mvn -B -f "$LIB/android.pom.xml" "$MAVEN_DEPENDENCIES:copy" \
    -Dfolder="$ANDROID"
  unpack_aars "$ANDROID/androidx"
  touch "$ANDROID/.ready"
}

# unpack_aars FOLDER: a jar in place of each AAR.
unpack_aars() {
  local aar
  for aar in "$1"/*.aar; do
    unzip -qp "$aar" classes.jar >"${aar%.aar}.jar"
    rm "$aar"
  done
}

# After kotlin_library: $BUILD/kotlin/shim.jar. Android's classes come last: they hold copies of Java's own.
android_shim() {
  local main=$BUILD/kotlin/peers.jar
  ensure_android
  ANDROID_CLASSES=$(echo "$ANDROID"/android-all/android-all-17-*.jar)
  kotlin_jar shim "$main:$(jars_in "$KOTLIN/runtime"):$(jars_in "$ANDROID/androidx"):$ANDROID_CLASSES" \
    "$ANDROID_SHIM/main/kotlin" -- -Werror -Xexplicit-api=strict -Xfriend-paths="$main"
}

# After kotlin_compile.
android_compile() {
  local main=$BUILD/kotlin/peers.jar shim=$BUILD/kotlin/shim.jar tests=$BUILD/kotlin/shim-test.jar libraries
  android_shim
  libraries=$shim:$KOTLIN_CLASSPATH:$(jars_in "$ANDROID/androidx"):$(jars_in "$ANDROID/robolectric"):$ANDROID_CLASSES
  kotlin_jar shim-test "$libraries" "$ANDROID_SHIM/test/kotlin" -- \
    -Werror -Xfriend-paths="$shim,$main,$BUILD/kotlin/peers-test.jar"
  ANDROID_CLASSPATH=$tests:$libraries
}

android_java() {
  PEERS_BIN_DIR=$HOST_DIR "$JAVA21" -Xmx3g -Djna.library.path="$HOST_DIR" \
    --add-opens java.base/java.lang=ALL-UNNAMED --add-opens java.base/java.util=ALL-UNNAMED \
    --add-opens java.base/java.net=ALL-UNNAMED --enable-native-access=ALL-UNNAMED \
    -Drobolectric.offline=true -Drobolectric.dependency.dir="$ANDROID/android-all" \
    -Drobolectric.usePreinstrumentedJars=false -cp "$ANDROID_CLASSPATH" "$@"
}
