#!/usr/bin/env bash
# The end-to-end run: the static binary on a real systemd with journald. A dozen
# and a half faults of the catalogue, one or more of each sort, and beside them
# the proof that lost answers and kills of the daemon leave exactly one issue.
#
#   tests/e2e/run.sh [BINARY]
#
# BINARY defaults to dist/autonomous-orchestrator-<native>-unknown-linux-musl,
# built when missing. Needs root (namespaces). Exit status 1 when anything was
# not as declared.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
E2E=$ROOT/tests/e2e
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

LOG=$(mktemp) ISSUES=
trap 'rm -f "$LOG"; [ -z "$ISSUES" ] || kill "$ISSUES" 2>/dev/null || true' EXIT
# Its longest part waits for the courier's second look, minutes after an answer
# that left open whether the issue was created.
BED_TIMEOUT=900 "$ROOT/scripts/bed.sh" run systemd "$E2E/exactly_once.sh" \
  "$BINARY:/usr/local/bin/$NAME" \
  "$E2E/exactly_once.py:/root/e2e/exactly_once.py" \
  "$E2E/github_stub.py:/root/e2e/github_stub.py" \
  "$E2E/github_schema.json:/root/e2e/github_schema.json" >"$LOG" 2>&1 &
ISSUES=$!
status=0
"$ROOT/scripts/catalogue.sh" --beds 5 "$BINARY" "${FAULTS[@]}" || status=1
echo "-- exactly one issue"
wait "$ISSUES" || status=1
ISSUES=
cat "$LOG"
exit $status
