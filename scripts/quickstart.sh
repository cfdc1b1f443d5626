#!/usr/bin/env bash
# From nothing to real findings about this host: installs what is missing,
# builds, looks at the host (`scan`, which changes nothing) and shows a fault
# found, fixed and verified in a sandbox of its own (`demo`). No root needed
# but for installing packages.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

# A toolchain in the home directory first; Debian's newest one otherwise. Not
# Debian's plain `rustc`, which may be too old.
find_cargo() {
  local cargo
  for cargo in cargo "$HOME/.cargo/bin/cargo" /usr/bin/cargo; do
    command -v "$cargo" >/dev/null 2>&1 || continue
    version_ge "$("$cargo" --version 2>/dev/null | cut -d' ' -f2)" "$(msrv)" || continue
    CARGO=$cargo
    # Its own compiler, not an older one that PATH finds first.
    [ "$cargo" != /usr/bin/cargo ] || export RUSTC=/usr/bin/rustc
    return 0
  done
  return 1
}

use_debian_rust() {
  apt_need /nonexistent/rustc:rustc-web /nonexistent/cargo:cargo-web
  CARGO=/usr/bin/cargo
  export RUSTC=/usr/bin/rustc
  version_ge "$("$CARGO" --version | cut -d' ' -f2)" "$(msrv)" \
    || die "Debian's cargo is older than $(msrv): get a newer one from https://rustup.rs"
}

CARGO=
apt_need gcc:gcc /usr/include/stdlib.h:libc6-dev
find_cargo || use_debian_rust
say "building with $("$CARGO" --version) (some minutes the first time)"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! "$CARGO" build --release --locked --quiet >"$log" 2>&1; then
  cat "$log" >&2
  die "the build failed"
fi
BIN=${CARGO_TARGET_DIR:-target}/release/$NAME
say "built: $BIN, $(stat -c %s "$BIN") bytes"

echo
echo "== What is wrong with this host? ($NAME scan: looks only, changes nothing)"
status=0
"$BIN" scan || status=$?
case $status in
  0) ;; # it has said so
  7) ;; # findings present
  *) die "scan ended with status $status" ;;
esac

echo
echo "== A fault found, fixed and verified ($NAME demo: a service of its own in a temporary folder)"
"$BIN" demo

echo
echo "Next: sudo $BIN install   (then: systemctl start $NAME)    help: $BIN --help"
