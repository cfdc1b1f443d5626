#!/bin/bash
# Runs INSIDE the systemd bed as root (see scripts/bench-latency.sh): the daemon as
# `install` sets it up, Monit beside it, then the measurement.
set -euo pipefail
NAME=autonomous-orchestrator
dpkg -i --force-depends /root/monit.deb >/dev/null 2>&1 || true
command -v monit >/dev/null || { echo "monit could not be installed"; exit 1; }

# journald's rate limit would drop the storm; that it drops is no part of this measurement.
mkdir -p /etc/systemd/journald.conf.d /etc/$NAME
printf '[Journal]\nRateLimitIntervalSec=0\nSystemMaxUse=1500M\n' >/etc/systemd/journald.conf.d/bench.conf
systemctl restart systemd-journald
cat >/etc/$NAME/config.toml <<'TOML'
[mode]
limit = "observe"
TOML
$NAME install >/dev/null
systemctl daemon-reload
systemctl start $NAME

# 5 s is the shortest cycle that Monit's own manual uses in an example; its default is 30 s.
# Monit reads files, so it gets the same line in a log file.
systemctl stop monit 2>/dev/null || true
: >/var/log/bench.log
cat >/etc/monit/monitrc <<'MONIT'
set daemon 5
set log /var/log/monit.log
set httpd unixsocket /run/monit.sock allow localhost
check file bench with path /var/log/bench.log
  if match "cannot read sensor" then exec "/bin/true"
MONIT
chmod 600 /etc/monit/monitrc
systemd-run -q --unit=bench-monit monit -I -c /etc/monit/monitrc
sleep 10
exec python3 /root/e2e/latency.py
