#!/usr/bin/env bash
# The writer of the power cut test in an emulated machine whose second disk has a volatile write cache; run by
# scripts/vm-bed.sh, which run by the test itself. Prints the emulator's PID, then what the writer says.
#   tests/e2e/power-cut.sh GENERATION
set -euo pipefail
read -ra opts <<<"$VM_SSH_OPTS"
echo "machine $VM_PID"
# shellcheck disable=SC2029  # arguments are meant to be expanded here
exec ssh "${opts[@]}" "$VM_TARGET" "
  for i in \$(seq 100); do [ -b /dev/vdb ] && break; sleep .1; done
  mkdir -p /disk && mount -o errors=remount-ro /dev/vdb /disk &&
  AO_CRASH_CHILD=/disk/tasks.db AO_CRASH_GENERATION=$1 exec /disk/tests --exact store_crash::crash_child --nocapture -q"
