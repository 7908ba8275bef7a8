#!/usr/bin/env bash
# Benchmarks, in release mode, on a private broker: callback round trips beside the bare broker's echo rate, memory per
# sleeping execution, then the micro-benchmarks of the pure core. Arguments go to `reveille bench`.
#
#   bench.sh                    all
#   bench.sh --help             what `reveille bench` can be told
#
# REVEILLE_BENCH_AMQP_URL measures on a broker of yours. BROKER_SCHEDULERS (default 2) sizes the private one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh build broker
cargo build --release

work=$(mktemp -d "${TMPDIR:-/tmp}/reveille-bench.XXXXXX")
finish() {
  local status=$?
  trap - EXIT
  if [ -f "$work/broker/env" ]; then scripts/broker.sh discard "$work/broker" || true; fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

url=${REVEILLE_BENCH_AMQP_URL:-}
if [ -z "$url" ]; then url=$(BROKER_SCHEDULERS=${BROKER_SCHEDULERS:-2} scripts/broker.sh start "$work/broker"); fi

echo "machine: $(nproc) cores, $(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), $(rustc --version)"
"${CARGO_TARGET_DIR:-target}/release/reveille" bench --bus "$url" "$@"

if [ $# -eq 0 ] && compgen -G 'benches/*.rs' >/dev/null; then REVEILLE_BENCH_AMQP_URL=$url cargo bench --workspace --benches; fi
