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
