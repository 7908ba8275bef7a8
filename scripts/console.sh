#!/usr/bin/env bash
# Drives the console in Chromium, against a server of this build: tests/console/flows.mjs. Arguments go there:
#
#   console.sh                       all flows
#   console.sh inbox                 those whose name contains the word
#   console.sh --pictures DIR        and makes the pictures of docs/CONSOLE.md
#
# The broker is REVEILLE_TEST_AMQP_URL; without it the embedded one is used. The server is REVEILLE_BINARY; without it the
# one of this checkout is built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh console
if [ -z "${REVEILLE_BINARY:-}" ]; then
  cargo build -q -p reveille
  REVEILLE_BINARY=${CARGO_TARGET_DIR:-target}/debug/reveille
fi
REVEILLE_BINARY=$(realpath "$REVEILLE_BINARY") exec node tests/console/flows.mjs "$@"
