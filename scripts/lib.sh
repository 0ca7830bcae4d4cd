# shellcheck shell=bash
# Everything the scripts share; source it: `. "$(dirname "$0")/lib.sh"`.
#
# Folders (all git-ignored, absolute):
#   $ROOT     the checkout
#   $BUILD    scratch: $PEERS_BUILD_DIR, or $ROOT/build
#   $TOOLS    downloaded toolchains: $PEERS_TOOLS_DIR, or $BUILD/tools; several checkouts may share one
#   $LOGS     output of quiet steps
#   $TARGET   cargo's target folder
#
# Every ensure_* function is idempotent: it installs what is missing (by apt as root on Debian or Ubuntu; elsewhere it says
# what to install), says what it does, is silent when nothing is to be done, and is safe to run in several checkouts at once.
#   ensure_commands COMMAND:PACKAGE…  ensure_rust  ensure_nightly  ensure_cargo_tool NAME  ensure_kotlin  ensure_android
#   ensure_sample  ensure_swift  ensure_mobile  ensure_android_gate  ensure_unidbg  ensure_node  ensure_actionlint  ensure_coturn
#   ensure_proxies  ensure_redis  ensure_chromium  ensure_netns
#
# Programs beside a script: start NAME COMMAND…, awaited NAME PATTERN, stop NAME….
#
# Building and running the bindings (in this order; programs run with PEERS_BIN_DIR set to the folder of the `peers` command):
#   build_host [PROFILE [OPTION…]]   peers-ffi, the `peers` command and what cargo's OPTIONs add; PROFILE is dev (the default),
#                                release, …; sets $HOST_DIR, the folder of libpeers_ffi.so and peers
#   generate LANGUAGE            the Kotlin or Swift half of peers-ffi, from the library in $HOST_DIR; sets $GENERATED
#   kotlin_library               generated code and façade, each compiled by itself, as $BUILD/kotlin/peers.jar
#   kotlin_compile               generated code, façade and tests; sets $KOTLIN_CLASSPATH to run them with
#   kotlin_jar NAME CLASSPATH SOURCE… [-- FLAG…]   more sources (an example, say) as $BUILD/kotlin/NAME.jar
#   kotlin_java ARG…             java with that classpath and the library found
#   android_compile              after kotlin_compile: shim and its tests; sets $ANDROID_CLASSPATH to run them with
#   android_java ARG…            java with that classpath, Robolectric's settings and the library found
#   swift_prepare                copies the generated code into ios/Peers for a Linux build
#   swift_run ARG…               `swift ARG…` in ios/Peers inside the chroot
#   swift_exec COMMAND ARG…      any command inside the chroot: the checkout is /peers (read-only), $HOST_DIR is /host
#                                (read-only), /tmp is the host's, the network is the host's, PEERS_* variables are kept

set -euo pipefail

LIB=$(cd "$(dirname "${BASH_SOURCE[0]}")/lib" && pwd)
# shellcheck source=scripts/lib/base.sh
. "$LIB/base.sh"
# shellcheck source=scripts/lib/background.sh
. "$LIB/background.sh"
# shellcheck source=scripts/lib/rust.sh
. "$LIB/rust.sh"
# shellcheck source=scripts/lib/kotlin.sh
. "$LIB/kotlin.sh"
# shellcheck source=scripts/lib/android.sh
. "$LIB/android.sh"
# shellcheck source=scripts/lib/sample.sh
. "$LIB/sample.sh"
# shellcheck source=scripts/lib/swift.sh
. "$LIB/swift.sh"
# shellcheck source=scripts/lib/mobile.sh
. "$LIB/mobile.sh"
# shellcheck source=scripts/lib/android-gate.sh
. "$LIB/android-gate.sh"
# shellcheck source=scripts/lib/services.sh
. "$LIB/services.sh"
