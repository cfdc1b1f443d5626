#!/usr/bin/env bash
# Every channel of `[[notify]]` at once, by the real daemon: what is told, what waits while all peers are away and comes
# when they are back, what kill -9 at each step of a delivery does, whether a secret is left anywhere, how many bytes a
# message costs; and how one channel that works fares beside a dozen that misbehave.
#
#   scripts/bench-channels.sh [BINARY] [--only everyday|crash|hostile]
#
# BINARY is a debug build (its kill points are in no other), built when none is named. Exim, Mosquitto and Alertmanager
# are Debian's; the others are simulated after what their vendors publish. Prints the tables of docs/NOTIFY.md; with
# UPDATE_DOCS=1 writes the first one there. Exit status 1 when something was lost, came twice where it should not, or leaked.
set -euo pipefail
case ${1-} in
  -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
esac
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"
apt_need python3:python3 openssl:openssl curl:curl mosquitto:mosquitto mosquitto_sub:mosquitto-clients \
  prometheus-alertmanager:prometheus-alertmanager
# Another mail server that is here would have to go for it.
[ -e /usr/sbin/exim4 ] || { [ ! -e /usr/sbin/sendmail ] && apt_need /usr/sbin/exim4:exim4-daemon-light; } || die "needs Exim"
binary=''
if [ $# -gt 0 ] && [ -f "$1" ]; then binary=$1; shift; fi
if [ -z "$binary" ]; then
  cargo build --locked -q
  binary=${CARGO_TARGET_DIR:-target}/debug/$NAME
fi
exec python3 -B tests/e2e/channels.py "$binary" "$@"
