#!/usr/bin/env bash
# A private PostgreSQL: its own data folder, port and socket, on loopback only. PostgreSQL refuses to run as root: started
# by root it runs as the user `postgres` (or `nobody`), who must be able to enter DIR.
#
#   postgres.sh start   DIR [PORT]  start (again) on PORT, on the port it had before, or on a free one; prints the URL
#   postgres.sh stop    DIR         orderly stop; the data stays in DIR
#   postgres.sh kill    DIR         kill -9 of the server, as a crash would
#   postgres.sh restart DIR         stop and start: same port, same data
#   postgres.sh discard DIR         kill, and delete DIR
#   postgres.sh sql     DIR ARGS…   psql ARGS…
#   postgres.sh standby DIR OF      DIR becomes a new standby of the server in OF, which waits for it at each commit
#                                   (what DIR held is deleted); prints its URL
#   postgres.sh promote DIR         that standby takes writes from now on, and waits for no other
#   postgres.sh url     DIR         the URL
#   postgres.sh status  DIR         exit status 0 while it accepts connections
#
# Left in DIR: url, port, log; the server's own folder is DIR/data.
#
# Environment:
#   POSTGRES_BIN   folder of initdb and postgres, to try another version
#   POSTGRES_CONF  file appended to postgresql.conf
#   POSTGRES_FSYNC on: commits wait for the disk, as in production. Default off: a killed server loses nothing, a power
#                  cut would
set -euo pipefail

die() { echo "postgres.sh: $*" >&2; exit 1; }
usage() { sed -n '2,/^set -e/{/^set -e/d;s/^# \{0,1\}//;p}' "$0"; exit "${1:-0}"; }

case ${1:-} in -h | --help | help) usage ;; esac
[ $# -ge 2 ] || usage 2 >&2
command=$1 dir=$2
shift 2

case $command in start | standby) mkdir -p "$dir" ;; esac
[ -d "$dir" ] || die "$dir: no server was ever started there"
dir=$(cd "$dir" && pwd)
data=$dir/data

bin=${POSTGRES_BIN:-}
if [ -z "$bin" ]; then # the newest that is installed
  for candidate in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV) /usr/local/pgsql/bin /usr/pgsql-*/bin; do
    [ -x "$candidate/initdb" ] && bin=$candidate && break
  done
fi

need_server() {
  [ -x "$bin/initdb" ] || die "PostgreSQL is not installed (make setup installs it on Debian; or set POSTGRES_BIN)"
}

# Runs a command as the user of the server.
as_server=()
if [ "$(id -u)" = 0 ]; then
  owner=postgres
  id "$owner" >/dev/null 2>&1 || owner=nobody
  as_server=(setpriv "--reuid=$(id -u "$owner")" "--regid=$(id -g "$owner")" --clear-groups)
fi

# Something listens on this loopback port.
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port below the ephemeral range, so that no outgoing connection takes it before the server does.
free_port() {
  local port
  for _ in $(seq 1 200); do
    port=$((10000 + (RANDOM * 32768 + RANDOM) % 20000))
    if ! listens "$port"; then echo "$port"; return; fi
  done
  die "no free port found"
}

alive() { # a zombie does not count
  [ -n "${1:-}" ] && grep -qs '^State:[^Z]*$' "/proc/$1/status"
}

pid() { head -n 1 "$data/postmaster.pid" 2>/dev/null || true; }
port() { cat "$dir/port" 2>/dev/null || true; }
ready() { "$bin/pg_isready" -q -h 127.0.0.1 -p "$(port)"; }

wait_gone() { # PID TENTHS
  local _
  for _ in $(seq 1 "$2"); do alive "$1" || return 0; sleep 0.1; done
  return 1
}

# The server runs, and answers: its URL.
serve() {
  echo "postgres://reveille@127.0.0.1:$(port)/postgres" >"$dir/url"
  touch "$dir/log"
  # A closing terminal or Ctrl-C of the caller would end it: a session of its own keeps it. Nothing of it holds the
  # caller's output.
  (
    cd /
    exec setsid "${as_server[@]}" "$bin/postgres" -D "$data" -p "$(cat "$dir/port")"
  ) >>"$dir/log" 2>&1 </dev/null &
  local _
  for _ in $(seq 1 600); do
    if ready; then cat "$dir/url"; return; fi
    sleep 0.1
  done
  tail -n 20 "$dir/log" >&2
  kill_now
  die "the server was not ready after 60 s; see $dir/log"
}

start() {
  need_server
  if alive "$(pid)"; then ready && { cat "$dir/url"; return; }; die "$dir: a server runs there but does not answer"; fi
  [ -n "${1:-}" ] && echo "$1" >"$dir/port"
  [ -f "$dir/port" ] || free_port >"$dir/port"
  ! listens "$(port)" || die "port $(port) is taken"
  if [ ! -f "$data/PG_VERSION" ]; then
    mkdir -p "$data"
    if [ ${#as_server[@]} -gt 0 ]; then chown "$owner" "$dir" "$data"; fi
    "${as_server[@]}" test -w "$data" || die "$data cannot be entered by the user $owner: give another DIR, or chmod a+x its parents"
    (cd / && "${as_server[@]}" "$bin/initdb" -D "$data" -U reveille -A trust -E UTF8 --locale=C.UTF-8 --no-sync) >"$dir/initdb.log" 2>&1 ||
      { tail -n 20 "$dir/initdb.log" >&2; die "initdb failed"; }
    {
      printf "listen_addresses = '127.0.0.1'\nunix_socket_directories = '%s'\nfsync = %s\n" "$data" "${POSTGRES_FSYNC:-off}"
      if [ -n "${POSTGRES_CONF:-}" ]; then cat "$POSTGRES_CONF"; fi
    } >>"$data/postgresql.conf"
  fi
  serve
}

stop() {
  local server
  server=$(pid)
  alive "$server" || return 0
  kill -INT "$server" # fast: open transactions are rolled back
  wait_gone "$server" 300 || kill_now
}

# The server's processes end by themselves when the first of them is gone; a new server waits for them.
kill_now() {
  local server children
  server=$(pid)
  alive "$server" || return 0
  children=$(cat "/proc/$server/task/$server/children" 2>/dev/null || true)
  # shellcheck disable=SC2086 # a list of numbers
  kill -KILL "$server" $children 2>/dev/null || true
  wait_gone "$server" 100 || die "pid $server does not die"
  rm -f "$data/postmaster.pid" "$data"/.s.PGSQL.* # its process may still be listed, though dead
}

psql() { "$bin/psql" -X -h 127.0.0.1 -p "$(port)" -U reveille -d postgres "$@"; }

# A base backup of the server in OF, which then commits nothing that this one has not.
standby() {
  local of=$1 state="" _
  need_server
  kill_now
  rm -rf "$data"
  mkdir -p "$data"
  [ -f "$dir/port" ] || free_port >"$dir/port"
  if [ ${#as_server[@]} -gt 0 ]; then chown "$owner" "$dir" "$data"; fi
  chmod 700 "$data"
  (cd / && "${as_server[@]}" "$bin/pg_basebackup" -h 127.0.0.1 -p "$(cat "$of/port")" -U reveille -D "$data" -R -X stream --checkpoint=fast --no-sync) \
    >"$dir/basebackup.log" 2>&1 || { tail -n 20 "$dir/basebackup.log" >&2; die "pg_basebackup failed"; }
  rm -f "$data"/.s.PGSQL.* # the lock of a socket is copied, and may name a process that lives
  printf "unix_socket_directories = '%s'\nwal_retrieve_retry_interval = 500ms\n" "$data" >>"$data/postgresql.conf"
  serve >/dev/null
  dir=$of psql -qAt -c "ALTER SYSTEM SET synchronous_standby_names = '*'" -c "SELECT pg_reload_conf()" >/dev/null
  for _ in $(seq 1 300); do
    state=$(dir=$of psql -qAt -c "SELECT sync_state FROM pg_stat_replication")
    if [ "$state" = sync ]; then cat "$dir/url"; return; fi
    sleep 0.1
  done
  die "the standby does not keep up after 30 s: its state is '$state'; see $dir/log"
}

promote() {
  need_server
  # In its copy of the settings it waits for a standby, and it has none.
  psql -qAt -c "ALTER SYSTEM SET synchronous_standby_names = ''" -c "SELECT pg_reload_conf()" -c "SELECT pg_promote()" >/dev/null
}

case $command in
  start) start "$@" ;;
  standby) standby "$@" ;;
  promote) promote ;;
  stop) stop ;;
  kill) kill_now ;;
  restart) stop; start ;;
  discard) kill_now; rm -rf "$dir" ;;
  sql) need_server; psql "$@" ;;
  url) cat "$dir/url" ;;
  status) need_server; alive "$(pid)" && ready ;;
  *) usage 2 >&2 ;;
esac
