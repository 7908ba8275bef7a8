#!/usr/bin/env bash
# Durable callbacks of Reveille beside those of Restate, in release mode, on a private broker. Restate's server and SDK come
# from npm. Arguments go to tests/compare/restate.mjs, such as --rounds 5 --count 10000.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh build broker compare
cargo build --release

work=$(mktemp -d "${TMPDIR:-/tmp}/reveille-compare.XXXXXX")
finish() {
  scripts/broker.sh discard "$work/broker" || true
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

url=$(BROKER_SCHEDULERS=${BROKER_SCHEDULERS:-2} scripts/broker.sh start "$work/broker")
echo "machine: $(nproc) cores, $(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), load $(cut -d' ' -f1 /proc/loadavg)"
node tests/compare/restate.mjs --reveille "${CARGO_TARGET_DIR:-target}/release/reveille" \
  --bus "$url" --broker-pid "$(cat "$work/broker/pid")" "$@"
