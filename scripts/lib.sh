# shellcheck shell=bash
# Shared by the scripts beside this file; sourced, never run.
# The sourcing script has already set `set -euo pipefail`.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
NAME=autonomous-orchestrator
# One cache for everything that is expensive to make and safe to throw away.
# shellcheck disable=SC2034  # used by the scripts that source this file
CACHE=${AO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/$NAME}

say() { printf '>> %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# apt_need COMMAND_OR_FILE:PACKAGE… installs the packages whose command or
# absolute file is missing. Nothing happens (no network) when all are there.
apt_need() {
  local pair probe want=()
  for pair in "$@"; do
    probe=${pair%%:*}
    case $probe in
      /*) [ -e "$probe" ] || want+=("${pair#*:}") ;;
      *) command -v "$probe" >/dev/null 2>&1 || want+=("${pair#*:}") ;;
    esac
  done
  [ ${#want[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "missing ${want[*]}: no apt-get here: install them by hand"
  say "installing ${want[*]}"
  as_root apt-get -qq -o DPkg::Lock::Timeout=600 update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 \
    install -y --no-install-recommends "${want[@]}" >/dev/null \
    || die "apt-get could not install ${want[*]}"
}

# version_ge HAVE WANT: dotted versions, true when HAVE >= WANT.
version_ge() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n1)" = "$2" ]; }

# The minimum compiler stands in one place only.
msrv() { sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml"; }
