#!/usr/bin/env bash
# CPU and commands of one sweep at 50, 150 and 600 units, on a real systemd.
#
#   scripts/bench-sweep.sh     SWEEP_SECONDS: measured per row (60)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"
target=$(uname -m)-unknown-linux-musl
scripts/build.sh "$target" >&2
BED_ENV="SWEEP_SECONDS=${SWEEP_SECONDS:-60}" BED_TIMEOUT=900 scripts/bed.sh run systemd scripts/e2e/sweep.sh \
  "dist/$NAME-$target:/usr/local/bin/$NAME"
