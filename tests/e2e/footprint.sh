#!/bin/bash
# Runs INSIDE the systemd bed as root: what the service costs when nothing
# happens. Its state lies on an ext4 of its own, because writes to the bed's
# memory file system are none.
#   FOOTPRINT_SECONDS   default 300, of each of the two windows
set -euo pipefail
NAME=autonomous-orchestrator
truncate -s 64M /root/state.img
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /root/state.img
mkdir -p /var/lib/$NAME
mount -o loop,noatime /root/state.img /var/lib/$NAME
chmod 700 /var/lib/$NAME
$NAME install >/dev/null
systemctl daemon-reload
exec python3 /root/e2e/footprint.py "${FOOTPRINT_SECONDS:-300}"
