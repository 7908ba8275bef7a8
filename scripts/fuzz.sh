#!/usr/bin/env bash
# Fuzzing guided by coverage, with the stable compiler: libFuzzer, and rustc's own instrumentation by flags.
#
#   fuzz.sh TARGET SECONDS [ARG…]   runs one target so long (one process); further arguments go to libFuzzer
#   fuzz.sh TARGET FILE             plays one input again
#   fuzz.sh all SECONDS             each target so long, one after the other
#   fuzz.sh list                    the targets
#
# Targets are built in a few minutes: the core, or the files of the server that read frames, replies and heads of requests, or names of objects.
# Seeds are the project's own cases and fuzz/seeds/TARGET; what is found along the way is kept outside of the repository,
# in FUZZ_DIR (default .cache/fuzz): corpus/TARGET, found/TARGET (inputs that failed), log/TARGET, cpu.
# FUZZ_BINARY: one that was built before; nothing is built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

core=(definition jsonpath intrinsic jsonata journal)
wire=(frame reply sigv4)
objects=(object)
dir=${FUZZ_DIR:-$PWD/.cache/fuzz}
target=${1:-} what=${2:-60}
[ $# -lt 2 ] || shift 2

case $target in
  list) printf '%s\n' "${core[@]}" "${wire[@]}" "${objects[@]}"; exit ;;
  all) for one in "${core[@]}" "${wire[@]}" "${objects[@]}"; do "$0" "$one" "$what" "$@"; done; exit ;;
  "" | -*) sed -n '2,/^set -e/{/^set -e/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
esac
binary=wire
case " ${core[*]} " in *" $target "*) binary=core ;; esac
case " ${objects[*]} " in *" $target "*) binary=objects ;; esac

if [ -n "${FUZZ_BINARY:-}" ]; then program=$FUZZ_BINARY; else
  triple=$(rustc -vV | sed -n 's/^host: //p')
  # What cargo-fuzz passes, but for the sanitizers: the code has no unsafe block that they could watch.
  flags=(-Cpasses=sancov-module --cfg fuzzing)
  for arg in -sanitizer-coverage-level=4 -sanitizer-coverage-inline-8bit-counters -sanitizer-coverage-pc-table \
    -sanitizer-coverage-trace-compares -simplifycfg-branch-fold-threshold=0; do
    flags+=("-Cllvm-args=$arg")
  done
  features=()
  if [ $binary != core ]; then features=(--features "$binary"); fi
  # With --target build scripts and macros are built without these flags.
  RUSTFLAGS="${flags[*]}" CARGO_TARGET_DIR=${FUZZ_TARGET_DIR:-$PWD/fuzz/target} \
    cargo build --release --manifest-path fuzz/Cargo.toml --target "$triple" --bin $binary "${features[@]}"
  program=${FUZZ_TARGET_DIR:-$PWD/fuzz/target}/$triple/release/$binary
fi
export FUZZ_TARGET=$target

if [ -f "$what" ]; then exec "$program" "$what"; fi
corpus=$dir/corpus/$target found=$dir/found/$target log=$dir/log/$target
mkdir -p "$corpus" "$found" "$log"
if [ -z "$(ls -A "$corpus")" ]; then FUZZ_SEEDS=$corpus "$program"; fi
seeds=()
if [ -d "fuzz/seeds/$target" ]; then seeds=("fuzz/seeds/$target"); fi
# An input may hold 1 GiB and take two minutes: over that it fails, as in tests/hostile. Processor seconds (user, system) go to FUZZ_DIR/cpu.
status=0 TIMEFORMAT="$target %U %S"
{ time "$program" "$corpus" "${seeds[@]}" -dict=tests/hostile/words.txt -max_total_time="$what" -max_len=65536 -timeout=120 -rss_limit_mb=2048 \
  -malloc_limit_mb=1024 -artifact_prefix="$found/" -print_final_stats=1 "$@" 2>&1 | tee -a "$log/$(date +%Y%m%d-%H%M%S).log" >&3; } 3>&1 2>>"$dir/cpu" || status=$?
exit $status
