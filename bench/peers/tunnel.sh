#!/usr/bin/env bash
# Starts one existing tunnel program between two hosts, to be measured beside ours in the same run.
#
#     tunnel.sh PEER NS_A ADDR_A NS_B ADDR_B DIR        PEER: wireguard-go | nebula | tinc | fastd
#
#     ┌────────────── NS_A ─┐  ADDR_A      ADDR_B  ┌─ NS_B ──────────────┐
#     │ 10.66.0.1 ── tunnel ├──────────────────────┤ tunnel ── 10.66.0.2 │
#     └─────────────────────┘                      └─────────────────────┘
#
# The namespaces exist and reach each other. Prints the overlay address of B once it answers, and writes the ids of the two
# processes (A's, then B's) to DIR/pids. Everything else that a peer writes is in DIR too. Needs root of the namespaces, and the
# Debian packages wireguard-go wireguard-tools nebula tinc fastd iputils-ping.
set -euo pipefail

readonly peer=$1 ns_a=$2 addr_a=$3 ns_b=$4 addr_b=$5 dir=$6
readonly overlay_a=10.66.0.1 overlay_b=10.66.0.2
readonly answer_tries=50

mkdir -p "$dir"
: > "$dir/pids"

# start NS PROGRAM…: in the background, in a session of its own, so that it outlives this script.
start() {
  local ns=$1
  shift
  setsid ip netns exec "$ns" "$@" < /dev/null > "$dir/$ns.log" 2>&1 &
  echo $! >> "$dir/pids"
}

# up NS INTERFACE ADDRESS
up() {
  ip -n "$1" addr add "$3/24" dev "$2"
  ip -n "$1" link set "$2" up
}

# wait_for_interface NS INTERFACE
wait_for_interface() {
  for _ in $(seq "$answer_tries"); do
    ip -n "$1" link show "$2" > /dev/null 2>&1 && return
    sleep 0.1
  done
  echo "$peer made no interface $2; see $dir" >&2
  exit 1
}

start_wireguard_go() {
  export LOG_LEVEL=error
  for ns in "$ns_a" "$ns_b"; do (umask 077; wg genkey > "$dir/$ns.key"; wg pubkey < "$dir/$ns.key" > "$dir/$ns.pub"); done
  start "$ns_a" wireguard-go -f wg_a
  start "$ns_b" wireguard-go -f wg_b
  wait_for_interface "$ns_a" wg_a
  wait_for_interface "$ns_b" wg_b
  sleep 0.5 # Its control socket comes after its interface.
  configure() { # NS INTERFACE OTHER_NS OTHER_OVERLAY OTHER_ADDR
    ip netns exec "$1" wg set "$2" private-key "$dir/$1.key" listen-port 5555 peer "$(cat "$dir/$3.pub")" allowed-ips "$4/32" endpoint "$5:5555"
  }
  configure "$ns_a" wg_a "$ns_b" $overlay_b "$addr_b"
  configure "$ns_b" wg_b "$ns_a" $overlay_a "$addr_a"
  up "$ns_a" wg_a $overlay_a
  up "$ns_b" wg_b $overlay_b
}

start_nebula() {
  (
    cd "$dir"
    rm -f ca.* a.* b.*
    nebula-cert ca -name bench > /dev/null
    nebula-cert sign -name a -ip $overlay_a/24
    nebula-cert sign -name b -ip $overlay_b/24
  )
  configure() { # NAME OTHER_OVERLAY OTHER_ADDR
    cat > "$dir/$1.yml" << Y
pki: {ca: $dir/ca.crt, cert: $dir/$1.crt, key: $dir/$1.key}
static_host_map: {"$2": ["$3:4242"]}
lighthouse: {am_lighthouse: false, hosts: []}
listen: {host: 0.0.0.0, port: 4242, batch: 64, read_buffer: 10485760, write_buffer: 10485760}
cipher: aes
tun: {dev: neb_$1, mtu: 1420, tx_queue: 1000}
firewall: {outbound: [{port: any, proto: any, host: any}], inbound: [{port: any, proto: any, host: any}]}
logging: {level: error}
Y
  }
  configure a $overlay_b "$addr_b"
  configure b $overlay_a "$addr_a"
  start "$ns_a" nebula -config "$dir/a.yml"
  start "$ns_b" nebula -config "$dir/b.yml"
}

start_tinc() {
  configure() { # NAME OTHER OVERLAY ADDR
    rm -rf "${dir:?}/$1"
    mkdir -p "$dir/$1/hosts"
    printf 'Name = %s\nInterface = tinc_%s\nAddressFamily = ipv4\nConnectTo = %s\n' "$1" "$1" "$2" > "$dir/$1/tinc.conf"
    printf '#!/bin/sh\nip addr add %s/24 dev $INTERFACE\nip link set $INTERFACE up\n' "$3" > "$dir/$1/tinc-up"
    chmod +x "$dir/$1/tinc-up"
    printf 'Address = %s\nSubnet = %s/32\n' "$4" "$3" > "$dir/$1/hosts/$1"
    printf '\n\n' | tincd -c "$dir/$1" -K2048 > /dev/null 2>&1
  }
  configure a b $overlay_a "$addr_a"
  configure b a $overlay_b "$addr_b"
  cp "$dir/a/hosts/a" "$dir/b/hosts/"
  cp "$dir/b/hosts/b" "$dir/a/hosts/"
  start "$ns_a" tincd -c "$dir/a" -D --pidfile="$dir/a.pid"
  start "$ns_b" tincd -c "$dir/b" -D --pidfile="$dir/b.pid"
}

start_fastd() {
  for n in a b; do fastd --generate-key > "$dir/$n.keys" 2> /dev/null; done
  configure() { # NAME ADDR OVERLAY OTHER OTHER_ADDR
    cat > "$dir/$1.conf" << F
interface "fd_$1"; mode tun; mtu 1400; bind $2:9999; method "aes128-ctr+umac"; log level error;
secret "$(awk '/Secret/{print $2}' "$dir/$1.keys")";
on up "ip addr add $3/24 dev fd_$1; ip link set fd_$1 up";
peer "$4" { key "$(awk '/Public/{print $2}' "$dir/$4.keys")"; remote $5:9999; }
F
  }
  configure a "$addr_a" $overlay_a b "$addr_b"
  configure b "$addr_b" $overlay_b a "$addr_a"
  start "$ns_a" fastd -c "$dir/a.conf"
  start "$ns_b" fastd -c "$dir/b.conf"
}

case $peer in
  wireguard-go | nebula | tinc | fastd) "start_${peer//-/_}" ;;
  *)
    echo "unknown peer: $peer" >&2
    exit 2
    ;;
esac

for _ in $(seq "$answer_tries"); do
  if ip netns exec "$ns_a" ping -c1 -W1 -q $overlay_b > /dev/null 2>&1; then
    echo $overlay_b
    exit 0
  fi
  sleep 0.2
done
echo "$peer did not come up; see $dir/*.log" >&2
exit 1
