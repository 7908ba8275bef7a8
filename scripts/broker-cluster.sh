#!/usr/bin/env bash
# A private RabbitMQ of three nodes on loopback, `pause_minority`; each is a broker of broker.sh in DIR/1, DIR/2, DIR/3.
#
#   broker-cluster.sh start   DIR     start all; prints the AMQP URLs, separated by commas, when each knows the others
#   broker-cluster.sh kill    DIR N   kill -9 of node N
#   broker-cluster.sh revive  DIR N   start it again; returns when it runs among the others
#   broker-cluster.sh discard DIR     kill all, and delete DIR
#   broker-cluster.sh ctl     DIR N ARGS…  rabbitmqctl ARGS… on node N
#   broker-cluster.sh urls    DIR     the URLs
#
# Environment: as of broker.sh.
set -euo pipefail

die() { echo "broker-cluster.sh: $*" >&2; exit 1; }
usage() { sed -n '2,/^set -e/{/^set -e/d;s/^# \{0,1\}//;p}' "$0"; exit "${1:-0}"; }

case ${1:-} in -h | --help | help) usage ;; esac
[ $# -ge 2 ] || usage 2 >&2
command=$1 dir=$2
shift 2
one=$(dirname "$0")/broker.sh
nodes="1 2 3"

if [ "$command" = start ]; then mkdir -p "$dir"; fi
[ -d "$dir" ] || die "$dir: no cluster was ever started there"
dir=$(cd "$dir" && pwd)
export BROKER_CONF=$dir/cluster.conf

urls() {
  local list="" n
  for n in $nodes; do list=$list,$(cat "$dir/$n/url"); done
  echo "${list#,}"
}

start() {
  local n cookie
  if [ ! -f "$dir/epmd" ]; then
    # Below the ephemeral range, and not among the ports that broker.sh draws.
    echo $((30000 + RANDOM % 2000)) >"$dir/epmd"
    cookie=$(head -c 30 /dev/urandom | base64 | tr -dc A-Za-z0-9)
    for n in $nodes; do
      mkdir -p "$dir/$n/home"
      (umask 077; printf %s "$cookie" >"$dir/$n/home/.erlang.cookie")
      chmod 400 "$dir/$n/home/.erlang.cookie"
    done
    {
      echo "cluster_formation.peer_discovery_backend = classic_config"
      for n in $nodes; do echo "cluster_formation.classic_config.nodes.$n = broker$n@localhost"; done
      echo "cluster_partition_handling = pause_minority"
    } >"$BROKER_CONF"
  fi
  local waits=()
  for n in $nodes; do
    BROKER_NAME=broker$n BROKER_EPMD=$(cat "$dir/epmd") "$one" start "$dir/$n" >/dev/null & waits+=($!)
  done
  for n in "${waits[@]}"; do wait "$n" || { discard; die "a node did not start; see above"; }; done
  # All of them: a queue gets its members from the nodes that the declaring one knows.
  waits=()
  for n in $nodes; do "$one" ctl "$dir/$n" await_online_nodes 3 --timeout 60 >/dev/null & waits+=($!); done
  for n in "${waits[@]}"; do wait "$n" || { discard; die "the nodes do not know each other after 60 s"; }; done
  urls
}

discard() {
  local n
  for n in $nodes; do if [ -f "$dir/$n/env" ]; then "$one" discard "$dir/$n" || true; fi; done
  rm -rf "$dir"
}

case $command in
  start) start ;;
  kill) "$one" kill "$dir/$1" ;;
  revive) "$one" start "$dir/$1" >/dev/null; "$one" ctl "$dir/$1" await_startup --timeout 60 >/dev/null ;;
  discard) discard ;;
  ctl) n=$1; shift; "$one" ctl "$dir/$n" "$@" ;;
  urls) urls ;;
  *) usage 2 >&2 ;;
esac
