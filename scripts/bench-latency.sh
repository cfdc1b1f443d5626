#!/usr/bin/env bash
# How long a journal line takes until its task is committed, on a real systemd
# with journald, idle and under a storm of 5,000 lines/s; and when Monit, at its
# fastest sensible cycle, notices the same fault in the same run. All limits as shipped.
#
#   scripts/bench-latency.sh [BINARY]
#
# BINARY defaults to dist/autonomous-orchestrator-<native>-unknown-linux-musl,
# built when missing. Prints one table. Exit status 1 when the goal (p99 idle
# below 250 ms) was missed. Needs root (namespaces) and Debian's monit package,
# which is downloaded into the bed alone.
#   LATENCY_EVENTS   events of each measurement, default 500
#   MONIT_EVENTS     faults that Monit is given as well, default 25
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
E2E=$ROOT/tests/e2e
TARGET=$(uname -m)-unknown-linux-musl
BINARY=${1:-$ROOT/dist/$NAME-$TARGET}
[ -x "$BINARY" ] || "$ROOT/scripts/build.sh" "$TARGET"

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
(cd "$WORK" && apt-get download -qq monit) || die "cannot download Debian's monit: run apt-get update"
export BED_TIMEOUT=${BED_TIMEOUT:-2400}
export BED_ENV="LATENCY_EVENTS=${LATENCY_EVENTS:-500} MONIT_EVENTS=${MONIT_EVENTS:-25}"
"$ROOT/scripts/bed.sh" run systemd "$E2E/latency.sh" \
  "$BINARY:/usr/local/bin/$NAME" \
  "$E2E/latency.py:/root/e2e/latency.py" \
  "$(echo "$WORK"/monit_*.deb):/root/monit.deb"
