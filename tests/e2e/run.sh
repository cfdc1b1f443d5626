#!/usr/bin/env bash
# The end-to-end run: the static binary on a real systemd with journald, real
# faults one after another, and a table of what became of them.
#
#   tests/e2e/run.sh [BINARY]
#
# BINARY defaults to dist/autonomous-orchestrator-x86_64-unknown-linux-musl,
# built when missing. Needs root (namespaces). Exit status is that of the run.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
E2E=$ROOT/tests/e2e

case $(uname -m) in
  x86_64) TARGET=x86_64-unknown-linux-musl ;;
  aarch64) TARGET=aarch64-unknown-linux-musl ;;
  *) die "no static target for $(uname -m)" ;;
esac
BINARY=${1:-$ROOT/dist/$NAME-$TARGET}
[ -x "$BINARY" ] || "$ROOT/scripts/build.sh" "$TARGET"

# The longest part waits for the courier's second look, minutes after an answer
# that left open whether the issue was created.
export BED_TIMEOUT=${BED_TIMEOUT:-1500}
exec "$ROOT/scripts/bed.sh" run systemd "$E2E/faults.sh" \
  "$BINARY:/usr/local/bin/$NAME" \
  "$E2E/faults.py:/root/e2e/faults.py" \
  "$E2E/daemon.py:/root/e2e/daemon.py" \
  "$E2E/github_stub.py:/root/e2e/github_stub.py" \
  "$E2E/github_schema.json:/root/e2e/github_schema.json"
