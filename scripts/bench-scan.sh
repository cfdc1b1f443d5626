#!/usr/bin/env bash
# What a full scan and an idle daemon cost at 50, 150 and 600 services, on a real
# systemd in namespaces (root only).
#
#   scripts/bench-scan.sh [BINARY]      default: the static one, built here
#
# Columns: services added (two processes each); units that a sweep asks systemd
# for (the bed's own among them); processes. CPU time of one full `scan` with
# what it runs (median of 5); a systemctl asking the same by itself;
# processes and threads started; CPU that this costs systemd. Then the daemon
# over SCAN_SECONDS (default 60) with nothing happening, and one of its own sweeps
# (what it takes more when it sweeps each second).
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"
binary=${1:-}
if [ -z "$binary" ]; then
  target=$(uname -m)-unknown-linux-musl
  scripts/build.sh "$target" >&2
  binary=dist/$NAME-$target
fi
BED_ENV="SCAN_SECONDS=${SCAN_SECONDS:-60}" BED_TIMEOUT=900 \
  scripts/bed.sh run systemd tests/e2e/scan.sh "$binary:/usr/local/bin/$NAME"
