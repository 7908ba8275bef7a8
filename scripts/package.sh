#!/usr/bin/env bash
# Packages of a binary that is built already. The release workflow, the Dockerfile and the tests call it.
#
#   package.sh binary  BINARY OUT    OUT/reveille without debug information, and OUT/reveille.debug with it
#   package.sh archive OUT           OUT/reveille-VERSION-TARGET.tar.gz of OUT/reveille
#   package.sh deb     OUT           OUT/reveille_VERSION_ARCH.deb of OUT/reveille
#   package.sh check   BINARY        makes all of that in a folder of its own and looks at it; checks the unit, the
#                                    manifests, the workflow and the Dockerfile with the tools that the machine has
#
# It needs binutils and dpkg-dev. THIRD-PARTY.txt (scripts/notices.sh) goes along if it is in OUT.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:$PWD/.venv/bin

version=$(sed -n '/^\[package\]/,/^\[lib\]/s/^version = "\(.*\)"/\1/p' Cargo.toml)
compress=(-Zxz) # the .deb; the check takes what is quick
die() { echo "package: $*" >&2; exit 1; }

binary() {
  mkdir -p "$2"
  objcopy --only-keep-debug "$1" "$2/reveille.debug"
  strip -o "$2/reveille" "$1"
  (cd "$2" && objcopy --add-gnu-debuglink=reveille.debug reveille)
}

# What stands beside the program: OUT/share, as below /usr/share.
share() {
  local out=$1 shell
  rm -rf "$out/share"
  mkdir -p "$out/share/doc/reveille" "$out/share/man/man1"
  cp LICENSE README.md CHANGELOG.md config/default.toml "$out/share/doc/reveille/"
  cp -r examples/monitoring "$out/share/doc/reveille/"
  if [ -f "$out/THIRD-PARTY.txt" ]; then cp "$out/THIRD-PARTY.txt" "$out/share/doc/reveille/"; fi
  "$out/reveille" man "$out/share/man/man1" >/dev/null
  gzip -9n "$out"/share/man/man1/*.1
  while read -r shell path; do
    mkdir -p "$out/share/${path%/*}"
    "$out/reveille" completions "$shell" >"$out/share/$path"
  done <<'SHELLS'
bash bash-completion/completions/reveille
zsh zsh/vendor-completions/_reveille
fish fish/vendor_completions.d/reveille.fish
SHELLS
}

archive() {
  local out=$1 name
  name=reveille-$version-$(uname -m)-linux-gnu
  share "$out"
  rm -rf "${out:?}/$name"
  mkdir "$out/$name"
  cp -r "$out/reveille" "$out/share" packaging/systemd/reveille.service packaging/reveille.toml "$out/$name/"
  tar -C "$out" --owner=0 --group=0 --numeric-owner --sort=name -czf "$out/$name.tar.gz" "$name"
  rm -rf "${out:?}/$name"
}

deb() {
  local out=$1 root depends script
  root=$(mktemp -d)
  share "$out"
  chmod 755 "$root"
  install -D -m 755 "$out/reveille" "$root/usr/bin/reveille"
  cp -r "$out/share" "$root/usr/share"
  install -D -m 644 packaging/systemd/reveille.service "$root/lib/systemd/system/reveille.service"
  install -D -m 644 packaging/reveille.toml "$root/etc/reveille/reveille.toml"
  mv "$root/usr/share/doc/reveille/LICENSE" "$root/usr/share/doc/reveille/copyright"
  chmod -R u=rwX,go=rX "$root"

  mkdir "$root/debian" "$root/DEBIAN"
  printf 'Source: reveille\n\nPackage: reveille\nArchitecture: any\n' >"$root/debian/control"
  depends=$(cd "$root" && dpkg-shlibdeps -O usr/bin/reveille 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
  rm -r "$root/debian"
  cat >"$root/DEBIAN/control" <<CONTROL
Package: reveille
Version: $version
Architecture: $(dpkg --print-architecture)
Maintainer: The Reveille authors <reveille@localhost>
Section: net
Priority: optional
Depends: $depends, ca-certificates
Suggests: rabbitmq-server
Installed-Size: $(du -sk "$root" | cut -f1)
Description: $(sed -n 's/^description = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
 A workflow publishes a task to a queue together with a task token, and sleeps.
 A reply that carries the token wakes it. The server speaks the API of AWS Step
 Functions.
CONTROL
  echo /etc/reveille/reveille.toml >"$root/DEBIAN/conffiles"
  for script in postinst prerm postrm; do install -m 755 "packaging/deb/$script" "$root/DEBIAN/$script"; done
  dpkg-deb --root-owner-group "${compress[@]}" --build "$root" "$out/reveille_${version}_$(dpkg --print-architecture).deb" >/dev/null
  rm -rf "$root"
}

# have TOOL CMD…: runs a check where its tool is there, and says so where it is not.
have() {
  local tool=$1
  shift
  if type -P "$tool" >/dev/null; then
    "$@" || die "$tool found a fault"
    echo "package: $tool: ok"
  else
    echo "package: $tool is not installed: not checked"
  fi
}

unit() { # a unit whose programs exist on this machine
  local out=$1
  sed "s#/usr/bin/reveille#$out/reveille#" packaging/systemd/reveille.service >"$out/reveille.service"
  systemd-analyze verify --man=no "$out/reveille.service"
  systemd-analyze security --offline=true --threshold=30 "$out/reveille.service" >"$out/security" || { cat "$out/security"; return 1; }
}

# A root with the libraries of the image's base and no more. Everything else that the program wants would be missing there.
distroless() {
  local out=$1 root=$1/root library
  mkdir -p "$root/tmp"
  cp "$out/reveille" "$root/"
  ldd "$out/reveille" | grep -oE '/[^ ]+' | while read -r library; do
    case ${library##*/} in
      libc.so.6 | libm.so.6 | libgcc_s.so.1 | libpthread.so.0 | libdl.so.2 | ld-linux-*) install -D "$library" "$root$library" ;;
      *) die "the program wants $library, which the image's base does not have" ;;
    esac
  done
  if [ "$(id -u)" = 0 ]; then chroot "$root" /reveille --version; fi
}

# The build of the image sees only the files that .dockerignore lets through.
context() {
  local out=$1/context
  mkdir "$out"
  sed -n 's/^!//p' .dockerignore | while read -r path; do cp -r --parents "$path" "$out/"; done
  (cd "$out" && cargo metadata --locked --offline --no-deps --format-version 1 >/dev/null && test -x scripts/package.sh)
}

check() {
  local out files
  out=$(mktemp -d "${TMPDIR:-/tmp}/reveille-package.XXXXXX")
  # shellcheck disable=SC2064 # the folder of now
  trap "rm -rf '$out'" EXIT
  compress=(-Zgzip -z1)
  binary "$1" "$out"
  archive "$out"
  deb "$out"
  # Lists are read whole: \`grep -q\` behind a pipe ends at its first line, and \`pipefail\` takes the writer's end for a fault.
  files=$(dpkg-deb --contents "$out"/*.deb)
  for wanted in ./usr/bin/reveille ./lib/systemd/system/reveille.service ./etc/reveille/reveille.toml \
    ./usr/share/man/man1/reveille.1.gz ./usr/share/bash-completion/completions/reveille ./usr/share/doc/reveille/copyright; do
    grep -q " $wanted\$" <<<"$files" || die "the .deb lacks $wanted"
  done
  ! grep -vE ' root/root ' <<<"$files" || die "the .deb has files of another owner"
  grep -q 'libc6 (>= ' <<<"$(dpkg-deb --field "$out"/*.deb Depends)" || die "the .deb does not depend on the C library"
  grep -q '/share/man/man1/reveille.1.gz$' <<<"$(tar -tzf "$out"/reveille-"$version"-*.tar.gz)" || die "the archive lacks the manual"
  ! grep -q '\.debug_info' <<<"$(readelf -S "$out/reveille")" || die "the binary has debug information"
  "$out/reveille" --version >/dev/null
  REVEILLE_CONFIG=packaging/reveille.toml "$out/reveille" serve --print-config >/dev/null || die "packaging/reveille.toml is no settings file"
  echo "package: .deb, archive and binary: ok ($(du -k "$out/reveille" | cut -f1) KiB of program, $(du -k "$out"/*.deb | cut -f1) KiB of .deb)"
  distroless "$out"
  context "$out"
  have systemd-analyze unit "$out"
  have kubernetes-validate kubernetes-validate --strict packaging/kubernetes/*.yaml
  have jactionlint jactionlint --ignore pinned .github/workflows/release.yml
  have hadolint hadolint Dockerfile
}

case ${1:-} in
  binary) [ $# = 3 ] && binary "$2" "$3" ;;
  archive | deb | check) [ $# = 2 ] && "$1" "$2" ;;
  *) sed -n '2,/^set -e/{/^set -e/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
esac
