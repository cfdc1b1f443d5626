#!/usr/bin/env bash
# The uplink's doctor on a real systemd with systemd-networkd: each stage of the way out broken once, and its own repair
# undone by itself, with a kill -9 in between and without.
#
#   tests/e2e/uplink.sh BINARY [table|undo] [SEEDS] [FIRST SEED]
#
# uplink.py says what is real and what is emulated. UPLINK_ONLY=WORD runs the faults with it in their names alone.
set -euo pipefail
NAME=autonomous-orchestrator
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BINARY=$1 PART=${2:-table} SEEDS=${3:-4} FIRST=${4:-1}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
printf '#!/bin/bash\nexec python3 /root/e2e/uplink.py %q %q %q\n' "$PART" "$SEEDS" "$FIRST" >"$WORK/inside.sh"
echo "uplink: $PART, seeds $FIRST to $((FIRST + SEEDS - 1))"
BED_ENV="UPLINK_ONLY=${UPLINK_ONLY:-}" BED_TIMEOUT=2400 "$HERE/../../scripts/bed.sh" run systemd "$WORK/inside.sh" \
  "$BINARY:/usr/local/bin/$NAME" "$HERE/uplink.py:/root/e2e/uplink.py" | tee "$WORK/out" | sed -u 's/^ROW\t//'
! grep -q 'BROKE\|	NO$' "$WORK/out"
