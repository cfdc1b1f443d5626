#!/usr/bin/env bash
# The storms of storm.py on an emulated arm64 machine with 256 MB, which does the work of ten: the same table.
#
#   tests/e2e/hostile/storm-arm64.sh            boots the machine and runs itself there; STORM_… of storm.py are passed on
#   VM_MEM   MB of memory, default 256
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/lib.sh"
export VM_MEM=${VM_MEM:-256}
BINARY=$ROOT/dist/$NAME-aarch64-unknown-linux-musl

if [ -z "${VM_TARGET:-}" ]; then
  [ -x "$BINARY" ] || "$ROOT/scripts/build.sh" aarch64-unknown-linux-musl
  "$ROOT/scripts/vm-bed.sh" build >/dev/null
  exec "$ROOT/scripts/vm-bed.sh" run "$0"
fi

read -ra opts <<<"$VM_SSH_OPTS"
# shellcheck disable=SC2029  # arguments are meant to be expanded here
gateway() { ssh "${opts[@]}" "$VM_TARGET" "$@"; }
copy() { gateway "mkdir -p '$(dirname "$2")' && cat >'$2' && chmod 755 '$2'" <"$1"; }

copy "$BINARY" "/usr/local/bin/$NAME"
copy "$ROOT/tests/e2e/hostile/storm.sh" /root/storm.sh
copy "$ROOT/tests/e2e/hostile/storm.py" /root/e2e/hostile/storm.py
pass=$(env | grep '^STORM_' || true)
gateway "free -m | sed -n 2p; ${pass//$'\n'/ } /root/storm.sh"
