#!/usr/bin/env bash
# Licences of the third-party crates in the binary, with their texts, on standard output. Run by the image's build; needs
# cargo and the sources of the crates (a build has fetched them).
#
#   notices.sh > THIRD-PARTY.txt
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

home=${CARGO_HOME:-$HOME/.cargo}
declare -A shown=() # digest of a text → the crate under which it stands

echo "Reveille contains these third-party crates. Each is followed by its licence, and by the texts that come with it; a"
echo "text that stands above already is only named."
while IFS='|' read -r package licence; do
  read -r name version rest <<<"$package"
  version=${version#v}
  case $rest in
    "(/"*) here=${rest#"("} here=${here%%")"*} ;;
    *) here=$(compgen -G "$home/registry/src/*/$name-$version" | head -n 1) || here= ;;
  esac
  case $name in reveille | reveille-core) continue ;; esac
  printf '\n%s\n%s %s: %s\n' "$(printf '=%.0s' {1..100})" "$name" "$version" "${licence:-see its text}"
  [ -n "$here" ] || { echo "notices.sh: no sources of $name $version" >&2; exit 1; }
  while IFS= read -r text; do
    digest=$(sha256sum <"$text")
    if [ -n "${shown[$digest]:-}" ]; then
      printf '\n-- %s: as of %s\n' "${text##*/}" "${shown[$digest]}"
    else
      shown[$digest]="$name $version (${text##*/})"
      printf '\n-- %s\n\n' "${text##*/}"
      cat "$text"
    fi
  done < <(find "$here" -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' -o -iname 'unlicense*' -o -iname 'copyright*' \) | sort)
done < <(cargo tree --locked --offline -p reveille -e normal --prefix none --no-dedupe --format '{p}|{l}' | sort -u)
