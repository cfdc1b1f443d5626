#!/usr/bin/env bash
# How long a killed service stays down on a real systemd: with this program, with Monit at its fastest cycle (1 s), and
# with Restart=always as systemd ships it; one after the other in the same bed, the same kills.
#
#   scripts/bench-kill.sh [--long] [BINARY]
#
# BINARY defaults to dist/autonomous-orchestrator-<native>-unknown-linux-musl, built when missing. Prints one table, and how
# many times as long the others take. Exit status 1 when this program left a service down. All limits as shipped, but for
# the budget of repairs. Needs root (namespaces) and Debian's monit package, which is
# installed in the bed alone. 20 kills of each take two minutes; --long makes 200.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
kills=20 binary=''
for word; do
  case $word in
    --long) kills=200 ;;
    -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    -*) die "unknown option $word" ;;
    *) binary=$word ;;
  esac
done
TARGET=$(uname -m)-unknown-linux-musl
binary=${binary:-$ROOT/dist/$NAME-$TARGET}
[ -x "$binary" ] || "$ROOT/scripts/build.sh" "$TARGET"

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
(cd "$WORK" && apt-get download -qq monit) || die "cannot download Debian's monit: run apt-get update"
export BED_TIMEOUT=${BED_TIMEOUT:-2400} BED_ENV="KILLS=$kills"
printf '#!/bin/bash\nexec python3 /root/kill_bench.py\n' >"$WORK/kills.sh"
"$ROOT/scripts/bed.sh" run systemd "$WORK/kills.sh" \
  "$binary:/usr/local/bin/$NAME" \
  "$ROOT/tests/e2e/kill_bench.py:/root/kill_bench.py" \
  "$(echo "$WORK"/monit_*.deb):/root/monit.deb"
