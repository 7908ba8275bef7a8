#!/usr/bin/env bash
# All tests, on a private broker and a private PostgreSQL that live as long as they do. Arguments go to the test runner:
#
#   test.sh                 everything
#   test.sh parallel        unit and integration tests whose name contains "parallel" (no doctests, no conformance)
#
# Given to the tests: REVEILLE_TEST_AMQP_URL, REVEILLE_TEST_BROKER_DIR (for scripts/broker.sh), REVEILLE_TEST_POSTGRES_URL,
# PYTHON, NODE_WORKERS.
# A broker of your own: set REVEILLE_TEST_AMQP_URL; then REVEILLE_TEST_BROKER_DIR is not set, and tests that must stop
# a broker start their own with scripts/broker.sh. A PostgreSQL of your own: set REVEILLE_TEST_POSTGRES_URL; tests leave
# schemas in it.
# REVEILLE_SKIP_CONFORMANCE=1 leaves the conformance corpus out, REVEILLE_SKIP_AIRFLOW=1 Airflow (300 MB).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

work=$(mktemp -d "${TMPDIR:-/tmp}/reveille-test.XXXXXX")
chmod a+x "$work" # PostgreSQL runs as another user than root
mkdir "$work/output"
log=$work/output/first steps=$work/steps others=()
touch "$steps"

finish() {
  local status=$?
  trap - EXIT
  for other in "${others[@]}"; do kill -- "-${other#* }" 2>/dev/null || true; done
  if [ -f "$work/broker/env" ]; then
    if [ "$status" != 0 ] || grep -q FAILED "$steps"; then
      mkdir -p .cache
      cp "$work/broker/log/rabbit.log" .cache/last-test-broker.log 2>/dev/null && echo "broker log kept in .cache/last-test-broker.log" >&2
    fi
    scripts/broker.sh discard "$work/broker" || true
  fi
  if [ -d "$work/postgres" ]; then
    if [ "$status" != 0 ] || grep -q FAILED "$steps"; then
      mkdir -p .cache
      cp "$work/postgres/log" .cache/last-test-postgres.log 2>/dev/null || true
    fi
    scripts/postgres.sh discard "$work/postgres" || true
  fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# step NAME CMD…: runs it, writes down how it went, goes on.
step() {
  local name=$1 start=$SECONDS verdict=ok
  shift
  echo "── $name"
  "$@" 2>&1 | tee -a "$log" || verdict=FAILED
  printf '%-32s %-7s %4d s\n' "$name" "$verdict" $((SECONDS - start)) >>"$steps"
}

# beside FUNCTION: its steps go on while others run, in a process group of their own. `together` waits, and prints what
# they printed.
beside() {
  set -m
  (log=$work/output/$1; "$1" >"$work/printed-$1" 2>&1) &
  set +m
  others+=("$1 $!")
}
together() {
  local other
  for other in "${others[@]}"; do
    wait "${other#* }" || printf '%-32s %-7s\n' "${other% *}, side by side" FAILED >>"$steps"
    cat "$work/printed-${other% *}"
  done
  others=()
}

locked=()
if [ -n "${CI:-}" ]; then
  locked=(--locked)
  # From an empty folder: nothing is built a second time, and a panic tells its place without it.
  export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=false CARGO_PROFILE_TEST_DEBUG=false
fi
if command -v cargo-nextest >/dev/null 2>&1; then
  runner=(cargo nextest run --workspace "${locked[@]}")
  # Tests wait more than they compute: for a broker, for a server that starts, for a timeout.
  all=(--no-fail-fast --test-threads $(($(nproc) * 2)))
else
  runner=(cargo test --workspace --lib --bins --tests "${locked[@]}")
  all=(--no-fail-fast)
fi

# What is missing comes over the network while the compiler has the processors.
packages() { scripts/setup.sh; }
scripts/setup.sh build
beside packages
step "build" "${runner[@]}" --no-run
together
if grep -q FAILED "$steps"; then cat "$steps"; exit 1; fi

if [ -z "${REVEILLE_TEST_AMQP_URL:-}" ]; then
  REVEILLE_TEST_AMQP_URL=$(scripts/broker.sh start "$work/broker")
  export REVEILLE_TEST_BROKER_DIR=$work/broker
fi
export REVEILLE_TEST_AMQP_URL PYTHON=$root/.venv/bin/python NODE_WORKERS=$root/examples/workers/node
if [ -z "${REVEILLE_TEST_POSTGRES_URL:-}" ]; then
  REVEILLE_TEST_POSTGRES_URL=$(scripts/postgres.sh start "$work/postgres")
fi
export REVEILLE_TEST_POSTGRES_URL

users() {
  # On a broker of its own: queues of the tests before would have other arguments than those of the documents.
  step "the documents, walked" env -u REVEILLE_TEST_BROKER_DIR scripts/walk.py
  step "workers in many languages" scripts/workers.py
  step "dashboard and alerts" "$PYTHON" scripts/pictures.py --seconds 10 --to "$work" dashboard
  step "packages" scripts/package.sh check target/debug/reveille
  step "clients of other endpoints" "$PYTHON" -m pytest -q -p no:cacheprovider -W ignore tests/clients/foreign
  if [ -n "${REVEILLE_SKIP_AIRFLOW:-}" ]; then
    echo "── Airflow: skipped (REVEILLE_SKIP_AIRFLOW)"
  else
    step "Airflow's operators" .cache/airflow/bin/python -m pytest -q -p no:cacheprovider -W ignore tests/clients/foreign/test_airflow.py
  fi
  step "doctests" cargo test --workspace --doc "${locked[@]}"
}

servers() {
  # As it was built for the tests: by itself it would have other features of its dependencies, and be built a second time.
  export REVEILLE_BINARY=${CARGO_TARGET_DIR:-$root/target}/debug/reveille
  step "the console in a browser" scripts/console.sh
  if [ -z "${REVEILLE_SKIP_CONFORMANCE:-}" ]; then
    step "conformance with AWS" scripts/conformance.sh
  fi
}

campaigns() {
  step "cluster campaign, short" "$PYTHON" tests/soak/cluster.py --faults 14 --seconds 75 --rate 2
  step "histories of a cluster, judged" "$PYTHON" tests/soak/histories.py
  step "crash campaign, short" "$PYTHON" tests/soak/crash.py --engine-kills 12 --broker-kills 1 --seconds 75 --rate 1
  step "the broker's word, cancellation" "$PYTHON" tests/soak/fates.py
  step "hostile campaign, short" "$PYTHON" tests/soak/hostile.py --messages 1000 --seconds 30 --quiet 8 --machines express-loop,loop,journal,work,memory
}

if [ $# -gt 0 ]; then
  step "tests matching $*" "${runner[@]}" "${all[@]}" "$@"
else
  # Each waits more than it computes: all at once fill two cores.
  beside servers
  beside campaigns
  beside users
  step "tests" "${runner[@]}" "${all[@]}"
  together
fi

# Sums what the runners printed: nextest's "Summary … N passed, N failed, N skipped", cargo test's "test result: …".
count() {
  cat "$work"/output/* | sed 's/\x1b\[[0-9;]*m//g' | { grep -E '^ *Summary \[|^test result:' || true; } | { grep -oE "[0-9]+ $1" || true; } |
    awk '{ n += $1 } END { print n + 0 }'
}
echo
cat "$steps"
failed=$(grep -c FAILED "$steps" || true) broken=$(count 'failed')
if [ "$failed" != 0 ] && [ "$broken" = 0 ]; then broken=$failed; fi # a step failed outside of any test
echo "tests: $(count passed) passed, $broken failed"
if [ "$failed" != 0 ]; then exit 1; fi
