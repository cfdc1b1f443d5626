#!/usr/bin/env bash
# The end-to-end run: the static binary on a real systemd with journald, and a dozen
# and a half faults of the catalogue, one or more of each sort.
#
#   tests/e2e/run.sh [BINARY]
#
# BINARY defaults to dist/autonomous-orchestrator-<native>-unknown-linux-musl,
# built when missing. Needs root (namespaces). Exit status 1 when anything was
# not as declared.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
FAULTS=(
  # repaired
  killed-again exits-once exec-moved workdir-moved port-stale-holder disk-full-rotated ends-cleanly
  # told, or left to end by itself
  two-services-one-port flapping-that-ends error-storm
  # no fault
  stopped-by-admin masked oneshot-done socket-activated timer-started condition-false
)
TARGET=$(uname -m)-unknown-linux-musl
BINARY=${1:-$ROOT/dist/$NAME-$TARGET}
[ -x "$BINARY" ] || "$ROOT/scripts/build.sh" "$TARGET"

exec "$ROOT/scripts/catalogue.sh" --beds 5 "$BINARY" "${FAULTS[@]}"
