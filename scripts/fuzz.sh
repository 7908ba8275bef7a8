#!/usr/bin/env bash
# The targets of tests/hostile under libFuzzer, which changes inputs towards code that none has reached yet.
#
#   fuzz.sh TARGET [SECONDS]      definition jsonpath intrinsic jsonata reply token journal; default 600 seconds
#   fuzz.sh all [SECONDS]         each so long, one after the other
#
# What is found lies in .cache/fuzz/TARGET/ (crash-…, timeout-…, oom-…), the inputs that reach something new in its corpus/.
# Play one again:  HOSTILE=TARGET .cache/fuzz/build/release/hostile FILE
#
# Any Rust compiler will do: what cargo-fuzz asks of a nightly (the address sanitizer) is left out, Rust's own checks are in.
# Seeds are taken from tests/cases, and from the recorded cases where they lie beside the checkout (REVEILLE_SHARED).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

targets=(definition jsonpath intrinsic jsonata reply token journal)
what=${1:-} seconds=${2:-600}
case " ${targets[*]} all " in *" $what "*) ;; *) sed -n '2,/^set -e/{/^set -e/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;; esac
if [ "$what" != all ]; then targets=("$what"); fi

export CARGO_TARGET_DIR=$root/.cache/fuzz/build
flags="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
# With --target the flags do not reach build scripts.
host=$(rustc -vV | sed -n 's/^host: //p')
(cd fuzz && RUSTFLAGS="$flags" cargo build --release --target "$host")
mkdir -p "$CARGO_TARGET_DIR/release"
cp "$CARGO_TARGET_DIR/$host/release/hostile" "$CARGO_TARGET_DIR/release/hostile"

for target in "${targets[@]}"; do
  work=.cache/fuzz/$target
  mkdir -p "$work/corpus" "$work/seeds"
  python3 scripts/fuzz_seeds.py "$target" "$work/seeds"
  echo "── $target, $seconds s"
  (cd "$work" && HOSTILE=$target "$CARGO_TARGET_DIR/release/hostile" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=2048 \
    -max_len=65536 -dict="$root/tests/hostile/words.txt" -print_final_stats=1 corpus seeds)
done
