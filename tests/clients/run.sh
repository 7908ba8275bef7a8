#!/usr/bin/env bash
# All clients against a running server, each in its own manner: boto3 (everything), the AWS CLI and the JavaScript SDK (the same in small).
#
#   tests/clients/run.sh ENDPOINT [boto3] [cli] [node]        such as http://127.0.0.1:8083; no names: all three
#
# Read: PYTHON (default .venv/bin/python), NODE_WORKERS (a folder whose node_modules has @aws-sdk/client-sfn),
# REVEILLE_ACCESS_KEY and REVEILLE_SECRET_KEY (where the server has access keys), REVEILLE_REGION, REVEILLE_LOG (the server's log, as
# JSON lines: what machines with a loggingConfiguration write into it).
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
if [ $# = 0 ]; then
  sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0" >&2
  exit 2
fi

export REVEILLE_ENDPOINT=$1
shift
[ $# -gt 0 ] || set -- boto3 cli node
PYTHON=${PYTHON:-$root/.venv/bin/python}
export NODE_WORKERS=${NODE_WORKERS:-$root/examples/workers/node}
pytest=("$PYTHON" -m pytest -q -p no:cacheprovider --color=no --tb=short)
summary=() failed=0

# client NAME CMD…: runs it, remembers how it went, goes on.
client() {
  local name=$1 start=$SECONDS verdict=ok
  shift
  echo "── $name"
  "$@" || { verdict=FAILED; failed=$((failed + 1)); }
  summary+=("$(printf '%-24s %-7s %4d s' "$name" "$verdict" $((SECONDS - start)))")
}

for name in "$@"; do
  case $name in
    boto3) client "boto3" "${pytest[@]}" -rs "$here/api" ;;
    cli) client "AWS CLI" "${pytest[@]}" "$here/test_api_cli.py" ;;
    node) client "@aws-sdk/client-sfn" node --test --test-reporter=spec "$here/api_node.mjs" ;;
    *) echo "no such client: $name (there are boto3, cli, node)" >&2; exit 2 ;;
  esac
done

echo
printf '%s\n' "${summary[@]}"
exit $((failed > 0))
