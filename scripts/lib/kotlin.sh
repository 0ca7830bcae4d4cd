# shellcheck shell=bash
# Kotlin on the JVM: compiler and libraries from Maven, jars cached by the content of their sources.

KOTLIN=$TOOLS/kotlin-$(hash_of "$LIB"/kotlin-*.pom.xml)
KOTLIN_LIBRARY=$ROOT/android/peers/src

ensure_kotlin() {
  ensure_commands java:openjdk-17-jdk-headless
  [[ -e $KOTLIN/.ready ]] || locked kotlin install_kotlin
}

install_kotlin() {
  [[ ! -e $KOTLIN/.ready ]] || return 0
  ensure_commands mvn:maven
  rm -rf "$KOTLIN"
  fetch_jars compiler runtime "$KOTLIN/compiler"
  fetch_jars libraries runtime "$KOTLIN/runtime"
  fetch_jars libraries test "$KOTLIN/test"
  touch "$KOTLIN/.ready"
}

# fetch_jars POM SCOPE FOLDER
fetch_jars() {
  quietly "fetch the Kotlin $1 ($2)" mvn -B -f "$LIB/kotlin-$1.pom.xml" \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope="$2" -DoutputDirectory="$3" -Dmdep.useBaseVersion=true
}

# kotlin_jar NAME CLASSPATH SOURCE… [-- FLAG…]: files, and all below folders, as $BUILD/kotlin/NAME.jar, unless it is current.
kotlin_jar() {
  local name=$1 classpath=$2 jar=$BUILD/kotlin/$1.jar sources=() inputs
  shift 2
  while (($# > 0)) && [[ $1 != -- ]]; do
    [[ ! -e $1 ]] || sources+=("$1")
    shift
  done
  ((${#sources[@]} > 0)) || die "there are no Kotlin sources for $name"
  mkdir -p "$BUILD/kotlin"
  inputs="$(hash_of "${sources[@]}") $(classpath_hash "$classpath") $*"
  [[ -e $jar && $(cat "$jar.inputs" 2>/dev/null) == "$inputs" ]] && return
  rm -f "$jar" "$jar.inputs"
  quietly "compile Kotlin: $name" java -Xmx1500m -cp "$KOTLIN/compiler/*" org.jetbrains.kotlin.cli.jvm.K2JVMCompiler \
    -no-stdlib -no-reflect -jvm-target 17 -module-name "$name" -classpath "$classpath" -d "$jar" "${@:2}" "${sources[@]}"
  printf '%s' "$inputs" >"$jar.inputs"
}

# java_jar NAME CLASSPATH FOLDER: the same of a folder of Java.
java_jar() {
  local name=$1 classpath=$2 folder=$3 jar=$BUILD/kotlin/$1.jar classes=$BUILD/kotlin/$1 inputs sources
  inputs="$(hash_of "$folder") $(classpath_hash "$classpath")"
  [[ -e $jar && $(cat "$jar.inputs" 2>/dev/null) == "$inputs" ]] && return
  rm -rf "$jar" "$jar.inputs" "$classes"
  mapfile -t sources < <(find "$folder" -name '*.java')
  quietly "compile Java: $name" javac --release 17 -Xlint:all -Werror -proc:none -cp "$classpath" -d "$classes" "${sources[@]}"
  jar --create --file "$jar" -C "$classes" .
  printf '%s' "$inputs" >"$jar.inputs"
}

# The toolchain's folder already names its versions; our own jars are told apart by what they were made from.
classpath_hash() {
  local jar
  tr ':' '\n' <<<"$1" | while read -r jar; do
    cat "$jar.inputs" 2>/dev/null || printf '%s\n' "$jar"
  done | sha256sum | cut -c 1-16
}

jars_in() { find "$1" -name '*.jar' | sort | paste -sd:; }

kotlin_library() {
  ensure_kotlin
  generate kotlin
  # Only what people write says of everything whether it is public.
  kotlin_jar peers-generated "$(jars_in "$KOTLIN/runtime")" "$GENERATED"
  kotlin_jar peers-facade "$BUILD/kotlin/peers-generated.jar:$(jars_in "$KOTLIN/runtime")" "$KOTLIN_LIBRARY/main/kotlin" -- \
    -Werror -Xexplicit-api=strict -Xfriend-paths="$BUILD/kotlin/peers-generated.jar"
  join_jars peers peers-generated peers-facade
}

# join_jars NAME PART…: $BUILD/kotlin/NAME.jar with the classes of other jars there.
join_jars() {
  local name=$1 jar=$BUILD/kotlin/$1.jar classes=$BUILD/kotlin/$1 part inputs
  shift
  inputs=$(cd "$BUILD/kotlin" && classpath_hash "$(printf '%s.jar\n' "$@" | paste -sd:)")
  [[ -e $jar && $(cat "$jar.inputs" 2>/dev/null) == "$inputs" ]] && return
  rm -rf "$jar" "$jar.inputs" "$classes"
  mkdir -p "$classes"
  for part in "$@"; do
    (cd "$classes" && jar --extract --file "$BUILD/kotlin/$part.jar")
  done
  rm -r "$classes/META-INF/MANIFEST.MF"
  jar --create --file "$jar" -C "$classes" .
  rm -r "$classes"
  printf '%s' "$inputs" >"$jar.inputs"
}

kotlin_compile() {
  local main=$BUILD/kotlin/peers.jar tests=$BUILD/kotlin/peers-test.jar
  kotlin_library
  kotlin_jar peers-test "$main:$(jars_in "$KOTLIN/test")" "$KOTLIN_LIBRARY/test/kotlin" -- -Werror -Xfriend-paths="$main"
  java_jar peers-java-test "$main:$(jars_in "$KOTLIN/test"):$tests" "$KOTLIN_LIBRARY/test/java"
  KOTLIN_CLASSPATH=$tests:$BUILD/kotlin/peers-java-test.jar:$main:$(jars_in "$KOTLIN/test")
}

# run_junit NAME JARS FILTER JAVA…: the tests of the jars whose class or method has FILTER in its name; JAVA is a function or a
# command that runs java with their classpath. PEERS_QUICK leaves out tests of long runs.
run_junit() {
  local log=$LOGS/$1-test.log reports=$BUILD/kotlin/$1-reports jars=$2 filter=$3 status=0 quick=()
  shift 3
  [[ -z ${PEERS_QUICK:-} ]] || quick=(--exclude-tag=long)
  "$@" org.junit.platform.console.ConsoleLauncher execute --scan-classpath="$jars" --disable-banner --disable-ansi-colors \
    --details=testfeed --fail-if-no-tests --reports-dir="$reports" --include-methodname ".*$filter.*" "${quick[@]}" 2>&1 |
    tee "$log" || status=$?
  awk '/tests successful/ {p = $2} /(tests|containers) failed/ {f += $2} END {printf "%d passed, %d failed\n", p, f}' "$log"
  return "$status"
}

kotlin_java() {
  PEERS_BIN_DIR=$HOST_DIR java -Djna.library.path="$HOST_DIR" -cp "$KOTLIN_CLASSPATH" "$@"
}
