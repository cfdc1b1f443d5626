#!/usr/bin/env bash
# Puts the static binary on a gateway and proves that it runs there.
#
#   scripts/deploy.sh USER@GATEWAY [--binary FILE] [--wait SECONDS] [--ssh-opts "…"]
#
# Copies, checks the sum, keeps what was there, `install`, `doctor`, starts,
# waits until it is up. If it does not come up within SECONDS (default 60) the
# previous binary and service file are put back and started, that is said, and
# the exit status is 1. Without --binary the one for the gateway's machine is
# taken from dist/, built when missing. A user other than root needs sudo
# without a password. The work on the gateway goes on when the line drops.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

TARGET='' BINARY='' WAIT_S=60 SSH_OPTS=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    --binary) BINARY=${2:?--binary needs a file}; shift ;;
    --wait) WAIT_S=${2:?--wait needs seconds}; shift ;;
    --ssh-opts) read -ra SSH_OPTS <<<"${2?--ssh-opts needs a string}"; shift ;;
    -*) die "unknown option $1 (see --help)" ;;
    *) [ -z "$TARGET" ] || die "one gateway at a time"; TARGET=$1 ;;
  esac
  shift
done
[ -n "$TARGET" ] || die "which gateway? scripts/deploy.sh USER@GATEWAY"
case $WAIT_S in '' | *[!0-9]*) die "--wait $WAIT_S: must be whole seconds" ;; esac

CONTROL=$(mktemp -d)
close() {
  ssh -o ControlPath="$CONTROL/s" -O exit "$TARGET" 2>/dev/null || true
  rm -rf "$CONTROL"
}
trap close EXIT
# One connection for everything: one password prompt, one handshake.
SSH_OPTS+=(-o "ControlMaster=auto" -o "ControlPath=$CONTROL/s" -o "ControlPersist=120" -o "ConnectTimeout=20")
# shellcheck disable=SC2029  # arguments are meant to be expanded here
on_gateway() { ssh "${SSH_OPTS[@]}" "$TARGET" "$@"; }

choose_binary() {
  local machine=$1 triple
  case $machine in
    x86_64) triple=x86_64-unknown-linux-musl ;;
    aarch64 | arm64) triple=aarch64-unknown-linux-musl ;;
    armv7*) triple=armv7-unknown-linux-musleabihf ;;
    riscv64) triple=riscv64gc-unknown-linux-musl ;;
    *) die "$TARGET is a $machine: no binary is built for it" ;;
  esac
  BINARY=$ROOT/dist/$NAME-$triple
  [ -f "$BINARY" ] || "$ROOT/scripts/build.sh" "$triple"
}

put() { # LOCAL REMOTE: by scp, or through the shell where no file server is installed
  scp -q "${SSH_OPTS[@]}" "$1" "$TARGET:$2" 2>/dev/null || on_gateway "cat >'$2'" <"$1"
}

facts=$(on_gateway 'uname -m; id -u; mktemp -d /tmp/ao-deploy.XXXXXX') || die "$TARGET cannot be reached"
{ read -r machine; read -r uid; read -r folder; } <<<"$facts"
[ -n "$folder" ] || die "no temporary folder on $TARGET"
[ -n "$BINARY" ] || choose_binary "$machine"
[ -f "$BINARY" ] || die "no file $BINARY"
as=
[ "$uid" = 0 ] || as='sudo -n'

say "copying $(basename "$BINARY") ($(stat -c %s "$BINARY") bytes) to $TARGET ($machine)"
put "$BINARY" "$folder/new"
put "$ROOT/scripts/deploy-gateway.sh" "$folder/deploy.sh"
sum=$(sha256sum "$BINARY" | cut -d' ' -f1)
status=0
on_gateway "$as sh '$folder/deploy.sh' '$folder/new' $sum $WAIT_S" || status=$?
case $status in
  0) say "deployed to $TARGET" ;;
  1) say "NOT deployed to $TARGET: see above" ;;
  *) say "the connection ended with status $status; $TARGET goes on by itself: look again with ssh" ;;
esac
[ $status = 0 ] || exit 1
