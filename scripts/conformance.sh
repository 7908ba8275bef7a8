#!/usr/bin/env bash
# Runs the conformance corpus (cases recorded on AWS) against a server of its own. Arguments go to the corpus' run.py:
#
#   conformance.sh                           all cases that can run here, floors checked
#   conformance.sh --only choice,map -v      some areas, differences shown (no floors)
#
# The corpus lies beside the checkout, in ../shared/conformance; REVEILLE_SHARED names another folder than ../shared.
# With REVEILLE_TEST_AMQP_URL the server runs on that broker and the cases with functions, queues and topics take part;
# without it, the embedded bus and the cases that need no outside service.
# REVEILLE_BINARY names a server already built. tests/conformance-floor.env holds the percentages that must be reached.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

corpus=${REVEILLE_SHARED:-../shared}/conformance
if [ ! -f "$corpus/run.py" ]; then
  echo "conformance: no corpus at $corpus, skipped (REVEILLE_SHARED names its parent folder)"
  exit 0
fi
scripts/setup.sh build python
python=.venv/bin/python

server=${REVEILLE_BINARY:-}
if [ -z "$server" ]; then
  cargo build --quiet
  server=${CARGO_TARGET_DIR:-target}/debug/reveille
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/reveille-conformance.XXXXXX")
pid=
finish() {
  local status=$? _
  trap - EXIT
  if [ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null; then
    for _ in $(seq 1 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
  fi
  if [ "$status" != 0 ] && [ -f "$work/server.log" ]; then
    mkdir -p .cache
    cp "$work/server.log" .cache/last-conformance-server.log
    echo "conformance: server log kept in .cache/last-conformance-server.log" >&2
  fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

bus=${REVEILLE_TEST_AMQP_URL:-embedded:}
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# Two recordings call a function that does not exist.
REVEILLE__BUS__DECLARE=never "$server" serve --listen "127.0.0.1:$port" --store "sqlite:$work/reveille.db" --bus "$bus" >"$work/server.log" 2>&1 </dev/null &
pid=$!

ready=
for _ in $(seq 1 300); do
  ready=$(grep -m1 -E '"message": *"ready"' "$work/server.log" || true)
  [ -z "$ready" ] || break
  kill -0 "$pid" 2>/dev/null || break
  sleep 0.1
done
if [ -z "$ready" ]; then
  echo "conformance: the server did not become ready:" >&2
  tail -n 20 "$work/server.log" >&2
  exit 1
fi
logged=$(grep -oE '127\.0\.0\.1:[0-9]+' <<<"$ready" | head -n 1 | cut -d: -f2 || true)
port=${logged:-$port}

cores=$(nproc)
args=(--endpoint "http://127.0.0.1:$port" --jobs $((cores * 2)))
LOCAL_L1=0 LOCAL_L2=0 LOCAL_L3=0 BROKER_L1=0 BROKER_L2=0 BROKER_L3=0
# shellcheck source=tests/conformance-floor.env
. tests/conformance-floor.env
if [ "$bus" = embedded: ]; then
  args+=(--services none)
  floors=(--min-l1 "$LOCAL_L1" --min-l2 "$LOCAL_L2" --min-l3 "$LOCAL_L3")
else
  # {region} and so on are run.py's own placeholders
  args+=(--services "lambda,sqs,activity,sns,events,states" --worker amqp --amqp-url "$bus"
    --queue-url "https://sqs.{region}.amazonaws.com/{account}/{name}")
  floors=(--min-l1 "$BROKER_L1" --min-l2 "$BROKER_L2" --min-l3 "$BROKER_L3")
fi
if [ $# -eq 0 ]; then args+=("${floors[@]}"); fi # floors hold for the whole corpus, not for a part of it

# The recordings' error texts are those of botocore's legacy retry mode; the newer default adds "(reached max retries: 0)" to each.
export AWS_RETRY_MODE=legacy
"$python" "$corpus/run.py" "${args[@]}" "$@"
