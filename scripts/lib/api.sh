# shellcheck shell=bash
# Dumps of the public API, and their comparison.

ABI_TOOLS=$TOOLS/abi-tools-$(hash_of "$LIB/abi-tools.pom.xml")

ensure_abi_tools() {
  ensure_commands java:openjdk-17-jdk-headless mvn:maven
  [[ -e $ABI_TOOLS/.ready ]] || locked abi-tools install_abi_tools
}

install_abi_tools() {
  [[ ! -e $ABI_TOOLS/.ready ]] || return 0
  rm -rf "$ABI_TOOLS"
  quietly "fetch Kotlin's ABI tools" mvn -B -f "$LIB/abi-tools.pom.xml" "$MAVEN_DEPENDENCIES:copy-dependencies" \
    -DoutputDirectory="$ABI_TOOLS"
  touch "$ABI_TOOLS/.ready"
}

# dump_jar JAR PATTERN…: what apps can link to, without the classes of the patterns.
dump_jar() { java -cp "$(jars_in "$ABI_TOOLS")" "$LIB/AbiDump.java" "$@"; }

# Of the compiler's interface of a module on standard input: the declarations.
swift_api() { grep -vE '^//|^import |^@_exported import |^$'; }

# same_api KEPT FRESH: what differs goes to standard output.
same_api() { diff -u --label "$1" --label "this checkout" "$1" "$2"; }

# A function more and a function less in a dump are seen.
notices_changes() {
  local dump=$1 function
  function=$(grep -m 1 -E '^\s+public .*fun(c)? ' "$dump") || die "$dump: there are no functions"
  ! same_api "$dump" <(printf '%s\n' "$function" | cat "$dump" -) >/dev/null || die "$dump: a function more is not seen"
  ! same_api "$dump" <(grep -vxF "$function" "$dump") >/dev/null || die "$dump: a function less is not seen"
}

# The generated half of the bindings is no part of the API.
no_generated_types() {
  ! grep -nE 'app[./]peers[./]sdk[./]generated|uniffi|com[./]sun[./]jna|PeersGenerated|PeersFFI' "$1" ||
    die "$1: generated types are in the public API"
}
