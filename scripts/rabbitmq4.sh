#!/usr/bin/env bash
# RabbitMQ 4.x beside the system's: Debian 13 (or another suite) in a folder, for scripts/broker.sh to start it from.
#
#   rabbitmq4.sh install          make the folder (once: two minutes, 300 MB); prints what BROKER_BIN must be
#   rabbitmq4.sh test [PART…]     the tests that concern the broker, on it: bus fates crash e2e (default: these), hostile
#   rabbitmq4.sh remove           delete the folder
#
#   BROKER_BIN=$(scripts/rabbitmq4.sh install) scripts/broker.sh start DIR        # everything else as with the system's broker
#
# RabbitMQ 4 needs Erlang 26 and a newer C library than Debian 12 has: its programs run in a chroot, in a mount namespace of their own
# that shows them /proc, /dev and the data folder. Needs root, Linux and apt.
#
# Environment:
#   RABBITMQ4_DIR      the folder, default .cache/rabbitmq4
#   RABBITMQ4_SUITE    trixie (4.0, the default) or sid (the newest that Debian has)
#   RABBITMQ4_MIRROR   a Debian mirror's URL; default: the one that this machine's apt uses
#   CRASH_ARGS         arguments of tests/soak/crash.py
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dir=${RABBITMQ4_DIR:-$PWD/.cache/rabbitmq4}
suite=${RABBITMQ4_SUITE:-trixie}

say() { echo "rabbitmq4: $*" >&2; }
die() { say "$*"; exit 1; }

# The mirror of Debian's main archive that apt is configured with, as apt itself tells.
mirror() {
  if [ -n "${RABBITMQ4_MIRROR:-}" ]; then echo "$RABBITMQ4_MIRROR"; return; fi
  # shellcheck disable=SC2016 # apt's own fields
  apt-get indextargets --format '$(ORIGIN) $(LABEL) $(COMPONENT) $(CREATED_BY) $(REPO_URI)' 2>/dev/null |
    awk '$1 == "Debian" && $2 == "Debian" && $3 == "main" && $4 == "Packages" { print $5; exit }'
}

install() {
  if [ -f "$dir/installed" ] && [ "$(cat "$dir/installed")" = "$suite" ]; then echo "$dir/bin"; return; fi
  [ "$(id -u)" = 0 ] || die "installing needs root"
  [ ! -e "$dir/root" ] || die "$dir holds another suite or a broken installation: rabbitmq4.sh remove"
  if ! type -P debootstrap >/dev/null; then
    { apt-get update -q && apt-get install -q -y --no-install-recommends debootstrap; } >&2
  fi
  local root=$dir/root log=$dir/install.log from
  from=$(mirror)
  if [ -z "$from" ]; then apt-get update -q >&2 || true; from=$(mirror); fi
  [ -n "$from" ] || die "apt on this machine knows no mirror of Debian: set RABBITMQ4_MIRROR to the URL of one"
  mkdir -p "$dir"
  say "installing Debian $suite with rabbitmq-server into $root"
  {
    debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$from"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # nothing becomes a service
    chmod +x "$root/usr/sbin/policy-rc.d"
    echo "127.0.0.1 localhost" >"$root/etc/hosts" # Erlang's distribution looks its own host up
    chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends rabbitmq-server
    rm -rf "$root"/var/cache/apt/archives/*.deb
  } >"$log" 2>&1 || { tail -n 20 "$log" >&2; die "it failed; all of it stands in $log"; }
  wrappers
  echo "$suite" >"$dir/installed"
  say "$("$dir/bin/rabbitmqctl" version 2>/dev/null | tail -n 1) is there"
  echo "$dir/bin"
}

# One program of the same name outside for each inside. Process ids, ports and the data folder (that of RABBITMQ_MNESIA_BASE, which
# scripts/broker.sh sets) are those of the machine.
wrappers() {
  mkdir -p "$dir/bin"
  local name
  for name in rabbitmq-server rabbitmqctl rabbitmq-queues rabbitmq-diagnostics; do
    cat >"$dir/bin/$name" <<WRAPPER
#!/usr/bin/env bash
set -euo pipefail
export REVEILLE_CHROOT="$dir/root" REVEILLE_DATA=\${RABBITMQ_MNESIA_BASE:+\$(dirname "\$RABBITMQ_MNESIA_BASE")}
exec unshare --mount bash -c '
  set -e
  mount --make-rprivate /
  for shown in /proc /dev \$REVEILLE_DATA; do mkdir -p "\$REVEILLE_CHROOT\$shown"; mount --rbind "\$shown" "\$REVEILLE_CHROOT\$shown"; done
  exec chroot "\$REVEILLE_CHROOT" /usr/lib/rabbitmq/bin/$name "\$@"
' $name "\$@"
WRAPPER
    chmod +x "$dir/bin/$name"
  done
}

remove() {
  ! grep -qs " $dir/root" /proc/self/mountinfo || die "something is mounted below $dir/root"
  rm -rf "$dir"
}

tests() {
  BROKER_BIN=$(install)
  export BROKER_BIN
  scripts/setup.sh build python node
  [ $# -gt 0 ] || set -- bus fates crash e2e
  local work part crash
  read -r -a crash <<<"${CRASH_ARGS:---engine-kills 12 --broker-kills 1 --seconds 75 --rate 1}"
  work=$(mktemp -d "${TMPDIR:-/tmp}/reveille-rabbitmq4.XXXXXX")
  # shellcheck disable=SC2064 # the folder of now
  trap "scripts/broker.sh discard '$work/broker' >/dev/null 2>&1 || true; rm -rf '$work'" EXIT
  REVEILLE_TEST_AMQP_URL=$(scripts/broker.sh start "$work/broker")
  export REVEILLE_TEST_AMQP_URL REVEILLE_TEST_BROKER_DIR=$work/broker PYTHON=$PWD/.venv/bin/python NODE_WORKERS=$PWD/examples/workers/node
  say "on RabbitMQ $(scripts/broker.sh ctl "$work/broker" version | tail -n 1)"
  cargo build
  for part in "$@"; do
    say "── $part"
    case $part in
      bus) cargo test --lib bus:: -- --test-threads 2 ;;
      fates) .venv/bin/python tests/soak/fates.py ;;
      hostile) .venv/bin/python tests/soak/hostile.py --messages 3000 --quiet 8 --seconds 45 ;;
      crash) .venv/bin/python tests/soak/crash.py "${crash[@]}" ;;
      e2e) cargo test --test e2e ;;
      *) die "no part $part: bus fates hostile crash e2e" ;;
    esac
  done
}

case ${1:-} in
  install) install ;;
  test) shift; tests "$@" ;;
  remove) remove ;;
  *) sed -n '2,/^set -e/{/^set -e/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
esac
