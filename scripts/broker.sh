#!/usr/bin/env bash
# A private RabbitMQ: its own data folder, ports, cookie and epmd, on loopback only. Works as root and as a plain user.
#
#   broker.sh start   DIR [PORT]  start (again) on PORT, on the port it had before, or on a free one; prints the AMQP URL
#   broker.sh stop    DIR         orderly stop; what is durable stays in DIR
#   broker.sh kill    DIR         kill -9, as a power cut would. A quorum queue survives it from about a second after its
#                                 first declaration on (RabbitMQ 3.10 saves the name a moment later than it answers)
#   broker.sh restart DIR         stop and start: same port, same data
#   broker.sh discard DIR         kill, and delete DIR
#   broker.sh ctl     DIR ARGS…   rabbitmqctl ARGS…
#   broker.sh url     DIR         the AMQP URL
#   broker.sh status  DIR         exit status 0 while it accepts AMQP connections
#
# Left in DIR: url, pid (the Erlang VM's), port, log/rabbit.log, and management-url where that plugin is on.
#
# Environment:
#   BROKER_PLUGINS     comma list, default none: the management plugin costs start-up time and memory
#   BROKER_SCHEDULERS  Erlang schedulers, default 1: right for tests on a small machine; benches want more
#   BROKER_CONF        file appended to rabbitmq.conf
#   BROKER_ERL_ARGS    further arguments for the Erlang VM
#   BROKER_BIN         folder of rabbitmq-server and rabbitmqctl, to try another version
#   BROKER_NAME        name of the Erlang node at its first start, default reveille
#   BROKER_EPMD        port of an epmd that it shares with others (broker-cluster.sh)
set -euo pipefail

die() { echo "broker.sh: $*" >&2; exit 1; }
usage() { sed -n '2,/^set -e/{/^set -e/d;s/^# \{0,1\}//;p}' "$0"; exit "${1:-0}"; }

case ${1:-} in -h | --help | help) usage ;; esac
[ $# -ge 2 ] || usage 2 >&2
command=$1 dir=$2
shift 2

if [ "$command" = start ]; then mkdir -p "$dir"; fi
[ -d "$dir" ] || die "$dir: no broker was ever started there"
dir=$(cd "$dir" && pwd)

bin=${BROKER_BIN:-}
if [ -z "$bin" ]; then
  for candidate in /usr/lib/rabbitmq/bin /opt/rabbitmq/sbin /usr/local/sbin; do
    [ -x "$candidate/rabbitmq-server" ] && bin=$candidate && break
  done
fi

need_broker() {
  [ -x "$bin/rabbitmq-server" ] || die "rabbitmq-server is not installed (make setup installs it on Debian; or set BROKER_BIN)"
}

# Something listens on this loopback port.
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port below the ephemeral range, so that no outgoing connection takes it before the broker does.
free_port() {
  local port
  for _ in $(seq 1 200); do
    port=$((10000 + (RANDOM * 32768 + RANDOM) % 20000))
    case " $taken " in *" $port "*) continue ;; esac
    if ! listens "$port"; then echo "$port"; return; fi
  done
  die "no free port found"
}

# The broker answers an AMQP protocol header with Connection.Start: frame type 1 on channel 0.
answers_amqp() {
  local first
  first=$(
    exec 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$1" || exit 0
    printf 'AMQP\0\0\11\1' >&3
    timeout 2 head -c 1 <&3 | od -An -tu1 | tr -d ' \n'
  ) || true
  [ "$first" = 1 ]
}

alive() { # a zombie does not count
  [ -n "${1:-}" ] && grep -qs '^State:[^Z]*$' "/proc/$1/status"
}

pid_of() { cat "$dir/$1" 2>/dev/null || true; }

wait_gone() { # PID TENTHS
  local _
  for _ in $(seq 1 "$2"); do alive "$1" || return 0; sleep 0.1; done
  return 1
}

load_env() {
  [ -f "$dir/env" ] || die "$dir: no broker was ever started there"
  # shellcheck source=/dev/null
  . "$dir/env"
}

# Ports and names are chosen once, at the first start; a restart must find its data and its clients again.
write_env() {
  local port=${1:-} dist epmd management prometheus name=${BROKER_NAME:-reveille}@localhost taken=""
  if [ -f "$dir/env" ]; then
    # shellcheck source=/dev/null
    . "$dir/env"
    port=${port:-$BROKER_PORT} dist=$RABBITMQ_DIST_PORT epmd=$ERL_EPMD_PORT
    management=$BROKER_MANAGEMENT_PORT prometheus=$BROKER_PROMETHEUS_PORT name=$RABBITMQ_NODENAME
  else
    port=${port:-$(free_port)}; taken=$port
    dist=$(free_port); taken="$taken $dist"
    epmd=${BROKER_EPMD:-$(free_port)}; taken="$taken $epmd"
    management=$(free_port); taken="$taken $management"
    prometheus=$(free_port)
  fi
  mkdir -p "$dir/data" "$dir/log" "$dir/home"
  {
    cat <<ENV
export RABBITMQ_NODENAME=$name
export RABBITMQ_DIST_PORT=$dist
export ERL_EPMD_PORT=$epmd
export ERL_EPMD_ADDRESS=127.0.0.1
export BROKER_PORT=$port
export BROKER_MANAGEMENT_PORT=$management
export BROKER_PROMETHEUS_PORT=$prometheus
export RABBITMQ_CONF_ENV_FILE=/dev/null
ENV
    printf 'export %s=%q\n' \
      HOME "$dir/home" \
      RABBITMQ_MNESIA_BASE "$dir/data" \
      RABBITMQ_LOG_BASE "$dir/log" \
      RABBITMQ_PID_FILE "$dir/pid" \
      RABBITMQ_CONFIG_FILE "$dir/rabbitmq" \
      RABBITMQ_ADVANCED_CONFIG_FILE "$dir/advanced" \
      RABBITMQ_ENABLED_PLUGINS_FILE "$dir/enabled_plugins"
  } >"$dir/env"
  load_env

  echo "[${BROKER_PLUGINS:-}]." >"$dir/enabled_plugins"
  cat >"$dir/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$port
log.console = false
log.file = rabbit.log
disk_free_limit.absolute = 50MB
CONF
  rm -f "$dir/management-url"
  case ",${BROKER_PLUGINS:-}," in *,rabbitmq_management,*)
    printf 'management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = %s\n' "$management" >>"$dir/rabbitmq.conf"
    echo "http://127.0.0.1:$management" >"$dir/management-url" ;;
  esac
  case ",${BROKER_PLUGINS:-}," in *,rabbitmq_prometheus,*)
    printf 'prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = %s\n' "$prometheus" >>"$dir/rabbitmq.conf" ;;
  esac
  if [ -n "${BROKER_CONF:-}" ]; then cat "$BROKER_CONF" >>"$dir/rabbitmq.conf"; fi
  echo "$port" >"$dir/port"
  echo "amqp://guest:guest@127.0.0.1:$port/%2f" >"$dir/url"
}

start() {
  need_broker
  if alive "$(pid_of pid)"; then answers_amqp "$(pid_of port)" && { cat "$dir/url"; return; }; die "$dir: a broker runs there but does not answer"; fi
  write_env "${1:-}"
  ! listens "$BROKER_PORT" || die "port $BROKER_PORT is taken"
  rm -f "$dir/pid"
  local schedulers=${BROKER_SCHEDULERS:-1}
  export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} +S $schedulers:$schedulers ${BROKER_ERL_ARGS:-}"
  # A closing terminal or Ctrl-C of the caller would end the launcher: a session of its own keeps it.
  setsid "$bin/rabbitmq-server" >"$dir/stdout" 2>&1 </dev/null &
  local launcher=$! _
  echo "$launcher" >"$dir/launcher.pid"
  for _ in $(seq 1 1800); do
    if answers_amqp "$BROKER_PORT"; then cat "$dir/url"; return; fi
    alive "$launcher" || { tail -n 20 "$dir/stdout" >&2; stop_epmd; die "the broker ended while starting; see $dir/log"; }
    sleep 0.1
  done
  kill_now
  die "the broker was not ready after 180 s; see $dir/log"
}

stop_epmd() { epmd -port "$ERL_EPMD_PORT" -kill >/dev/null 2>&1 || true; }

stop() {
  local pid launcher
  pid=$(pid_of pid) launcher=$(pid_of launcher.pid) # the broker removes its pid file as it goes: read first
  if alive "$pid"; then
    kill -TERM "$pid" 2>/dev/null || true
    wait_gone "$pid" 300 || kill -KILL "$pid" 2>/dev/null || true
  elif alive "$launcher" && grep -qs rabbitmq "/proc/$launcher/cmdline"; then # still starting
    kill -TERM "$launcher" 2>/dev/null || true
    wait_gone "$launcher" 300 || kill -KILL "$launcher" 2>/dev/null || true
  fi
  rm -f "$dir/pid" "$dir/launcher.pid"
  stop_epmd
}

kill_now() {
  local pid
  pid=$(pid_of pid)
  if alive "$pid"; then kill -KILL "$pid" 2>/dev/null || true; wait_gone "$pid" 100 || die "pid $pid does not die"; fi
  rm -f "$dir/pid"
}

case $command in
  start) start "$@" ;;
  stop) load_env; stop ;;
  kill) load_env; kill_now ;;
  restart) load_env; stop; start ;;
  discard) load_env; kill_now; stop; rm -rf "$dir" ;;
  ctl) need_broker; load_env; exec "$bin/rabbitmqctl" -n "$RABBITMQ_NODENAME" "$@" ;;
  url) load_env; cat "$dir/url" ;;
  status) load_env; alive "$(pid_of pid)" && answers_amqp "$BROKER_PORT" ;;
  *) usage 2 >&2 ;;
esac
