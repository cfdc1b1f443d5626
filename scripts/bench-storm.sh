#!/usr/bin/env bash
# How long a killed service stays down while an unprivileged user floods the journal of a real systemd, and after: 60 s
# of 500 new lines a second of 2 KB at each priority, then 3,000 lines with forged catalogue ids, then 30,000 of the
# kernel's own, which the user has it print by mounts in a namespace of her own; and with no storm in the same run. All
# limits as shipped, but for the budget of repairs and the number of messages an hour. The kernel is the host's: its log is
# flooded too, so nothing else is to run meanwhile. Where users may have no namespaces that row is left out, and it says so.
#
#   scripts/bench-storm.sh [BINARY]
#
# BINARY defaults to dist/autonomous-orchestrator-<native>-unknown-linux-musl, built when missing. Prints the binary's
# version and one table a run. Exit status 1 when the goal was missed in one of them: median below 1 s, none down, no
# restart of ours. Needs root (namespaces).
#   BENCH_RUNS   how often, default 2
#   STORM_…      see tests/e2e/hostile/storm.py
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
TARGET=$(uname -m)-unknown-linux-musl
BINARY=${1:-$ROOT/dist/$NAME-$TARGET}
[ -x "$BINARY" ] || "$ROOT/scripts/build.sh" "$TARGET"

export STORM_SECONDS=${STORM_SECONDS:-60} STORM_RATE=${STORM_RATE:-500} STORM_LENGTH=${STORM_LENGTH:-2000}
export STORM_KERNEL=${STORM_KERNEL:-30000}
export STORM_KILLS=${STORM_KILLS:-10} STORM_FORGED=${STORM_FORGED:-3000} STORM_PRIORITIES=${STORM_PRIORITIES:-0,1,2,3,4,5,6,7}
export BED_TIMEOUT=${BED_TIMEOUT:-2400} BED_TMPFS=${BED_TMPFS:-4g}
"$BINARY" --version
failed=0
for ((run = 1; run <= ${BENCH_RUNS:-2}; run++)); do
  say "run $run"
  "$ROOT/tests/e2e/hostile/storm.sh" "$BINARY" || failed=1
done
exit $failed
