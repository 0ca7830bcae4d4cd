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

# The workspace's libraries as JSON, by the compiler of rust-toolchain.toml.
rust_documentation() {
  quietly "describe the Rust libraries" env -C "$ROOT" RUSTDOC="$LIB/rustdoc-unstable" \
    RUSTDOCFLAGS="-Z unstable-options --output-format json" cargo doc --locked --workspace --lib --no-deps
}

# rust_items CRATE: the public items of a library, one a line, without implementations that every type has and a marker of the
# compiler's.
rust_items() {
  cargo-public-api public-api --rustdoc-json "$TARGET/doc/$1.json" --omit blanket-impls,auto-trait-impls --color never |
    grep -v '^impl core::marker::StructuralPartialEq for '
}

# reexports CRATE OTHER: the paths in OTHER of the items that CRATE re-exports.
reexports() {
  jq -r --arg other "$2::" '.index[].inner.use?.source // empty | select(startswith($other))' "$TARGET/doc/$1.json" | sort -u
}

# items_below PATHS: of the items on standard input, those with one of the paths in a file, and what is inside of these.
items_below() {
  awk '
    NR == FNR { wanted[$0]; next }
    {
      item = $0
      sub(/^impl.* for /, "", item)
      if (!match(item, /[A-Za-z0-9_]+(::[A-Za-z0-9_]+)+/)) next
      path = substr(item, RSTART, RLENGTH)
      while (!(path in wanted) && sub(/::[^:]+$/, "", path)) {}
      if (path in wanted) print
    }
  ' "$1" -
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
  function=$(grep -m 1 -E '^\s*pub(lic)? .*(fn|fun|func) ' "$dump") || die "$dump: there are no functions"
  ! same_api "$dump" <(printf '%s\n' "$function" | cat "$dump" -) >/dev/null || die "$dump: a function more is not seen"
  ! same_api "$dump" <(grep -vxF "$function" "$dump") >/dev/null || die "$dump: a function less is not seen"
}

# The generated half of the bindings is no part of the API.
no_generated_types() {
  ! grep -nE 'app[./]peers[./]sdk[./]generated|uniffi|com[./]sun[./]jna|PeersGenerated|PeersFFI' "$1" ||
    die "$1: generated types are in the public API"
}
