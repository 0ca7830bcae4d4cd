# shellcheck shell=bash
# Programs that tests run against.

ensure_coturn() { ensure_commands turnserver:coturn; }

# Reverse proxies in front of a relay.
ensure_proxies() { ensure_commands nginx:nginx caddy:caddy haproxy:haproxy; }

ensure_redis() { ensure_commands redis-server:redis-server; }

ensure_chromium() { ensure_commands chromium:chromium; }

ensure_node() { ensure_commands node:nodejs npm:npm; }

# Network namespaces with NATs.
ensure_netns() { ensure_commands ip:iproute2 nft:nftables; }

# Knows the names of hosted runners and what actions take.
ACTIONLINT=1.7.12
PATH=$TOOLS/go/bin:$PATH

ensure_actionlint() {
  [[ -x $TOOLS/go/bin/actionlint ]] || locked actionlint install_actionlint
}

install_actionlint() {
  [[ ! -x $TOOLS/go/bin/actionlint ]] || return 0
  command -v go >/dev/null || die "please install Go, 1.24 or newer"
  quietly "build actionlint $ACTIONLINT" env "GOBIN=$TOOLS/go/bin" \
    go install "github.com/rhysd/actionlint/cmd/actionlint@v$ACTIONLINT"
}
