#!/usr/bin/env bash
# An unprivileged user floods the journal with lines that are all new, and with forged catalogue ids: what is killed
# meanwhile and afterwards runs again as if nothing were, and the daemon lives. Table and figures: storm.py.
#
#   tests/e2e/hostile/storm.sh BINARY   on this machine: runs the bed; STORM_… of storm.py are passed on
#   storm.sh                            what runs in the bed
set -euo pipefail
NAME=autonomous-orchestrator

outside() {
  local here pass level
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  pass=$(env | grep '^STORM_' || true)
  # The kernel's lines are for its log: a serial console would take longer over each than the storm.
  read -r -a level </proc/sys/kernel/printk
  dmesg -n 1
  # shellcheck disable=SC2064  # of now
  trap "dmesg -n ${level[0]}" EXIT
  BED_TIMEOUT=${BED_TIMEOUT:-1200} BED_ENV="${BED_ENV:-} ${pass//$'\n'/ }" "$here/../../../scripts/bed.sh" run systemd "$here/storm.sh" \
    "$1:/usr/local/bin/$NAME" "$here/storm.py:/root/e2e/hostile/storm.py"
}

inside() {
  useradd -m eve
  # What journald's rate limit drops is no part of this.
  mkdir -p /etc/systemd/journald.conf.d /etc/$NAME
  printf '[Journal]\nRateLimitIntervalSec=0\nSystemMaxUse=1500M\n' >/etc/systemd/journald.conf.d/hostile.conf
  systemctl restart systemd-journald
  # More is killed here in minutes than the budgets of a day allow, and more is told; storms may have half of that.
  printf '[budget]\nhost_per_hour = 1000\nhost_per_day = 1000\n[escalation]\nper_hour = 60\nper_day = 60\n[webhook]\nurl = "http://127.0.0.1:9099/"\n' >/etc/$NAME/config.toml
  $NAME install >/dev/null
  systemctl daemon-reload
  exec python3 /root/e2e/hostile/storm.py
}

if [ $# = 1 ]; then outside "$1"; else inside; fi
