#!/usr/bin/env bash
# Makes the secrets of docker-compose.yml and docker-compose.cluster.yml, once: random passwords, broker users with their rights, an access key of the API.
#
#   compose-secrets.sh [DIR]      default: secrets, beside docker-compose.yml; what is there already stays
#
# Left in DIR (mode 0700; the files are mounted into containers, whose users differ, so they are 0444 below it):
#   definitions.json   users of the broker: admin (its management page), engine (everything), worker (three queues)
#   engine-amqp-url    worker-amqp-url      api-keys    what the containers read
#   engine-amqp-urls   store-url   postgres-password   erlang-cookie   token-key       the same for several servers
#   admin-password     api-secret           for you: the management page's, and AWS_SECRET_ACCESS_KEY (key id: reveille)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
umask 077

dir=${1:-secrets}
mkdir -p "$dir"
password() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
put() { printf '%s\n' "$2" >"$dir/$1"; chmod 444 "$dir/$1"; }

# Those of several servers. A folder of an earlier version has none yet.
several() {
  local engine database
  if [ -e "$dir/store-url" ]; then return; fi
  engine=$(sed 's/@.*//' "$dir/engine-amqp-url") database=$(password)
  put engine-amqp-urls "$engine@rabbitmq-1:5672/%2f,$engine@rabbitmq-2:5672/%2f,$engine@rabbitmq-3:5672/%2f"
  put postgres-password "$database"
  put erlang-cookie "$(password)"
  put token-key "$(password)$(password)"
  put store-url "postgres://reveille:$database@postgres:5432/reveille"
}
if [ -e "$dir/definitions.json" ]; then several; exit 0; fi
admin=$(password) engine=$(password) worker=$(password) api=$(password)

# A worker declares and reads its own queue and answers through the default exchange; it cannot see another's tasks.
queues='^(venue|catering|photographer-friend)$'
put engine-amqp-url "amqp://engine:$engine@rabbitmq:5672/%2f"
put worker-amqp-url "amqp://worker:$worker@rabbitmq:5672/%2f"
put api-keys "reveille:$api"
put api-secret "$api"
put admin-password "$admin"
put definitions.json "$(
  cat <<JSON
{
  "vhosts": [{"name": "/"}],
  "users": [
    {"name": "admin", "password": "$admin", "tags": ["administrator"]},
    {"name": "engine", "password": "$engine", "tags": []},
    {"name": "worker", "password": "$worker", "tags": []}
  ],
  "permissions": [
    {"user": "admin", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
    {"user": "engine", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
    {"user": "worker", "vhost": "/", "configure": "$queues", "write": "^amq\\\\.default\$", "read": "$queues"}
  ]
}
JSON
)"
several
echo "compose-secrets: made $dir; AWS_ACCESS_KEY_ID=reveille AWS_SECRET_ACCESS_KEY=\$(cat $dir/api-secret)"
