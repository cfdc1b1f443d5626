#!/bin/bash
# Runs INSIDE the systemd bed as root: what the daemon costs when nothing
# happens. Printed, not asserted, but for a leak-sized surprise. Goals: at most
# 5 MB resident, 0.2 % of a core, 1 MB written per hour.
#   FOOTPRINT_SECONDS   default 300
set -euo pipefail
NAME=autonomous-orchestrator
WINDOW=${FOOTPRINT_SECONDS:-300}
$NAME install >/dev/null
systemctl daemon-reload
systemctl start $NAME
# The first sweeps of everything are not idleness.
sleep 30
PID=$(systemctl show -P MainPID $NAME)

ticks() { awk '{sub(/.*\) /, ""); print $12 + $13 + $14 + $15}' "/proc/$PID/stat"; }
written() { awk '/^write_bytes/{print $2}' "/proc/$PID/io"; }
status_kb() { awk -v f="$1:" '$1 == f {print $2}' "/proc/$PID/status"; }

t0=$(ticks) w0=$(written)
sleep "$WINDOW"
t1=$(ticks) w1=$(written)
[ "$(systemctl show -P MainPID $NAME)" = "$PID" ] || { echo "FAIL  it was restarted"; exit 1; }
awk -v ticks=$((t1 - t0)) -v hz="$(getconf CLK_TCK)" -v s="$WINDOW" -v w=$((w1 - w0)) \
  -v rss="$(status_kb VmRSS)" -v anon="$(status_kb RssAnon)" -v peak="$(status_kb VmHWM)" \
  -v threads="$(status_kb Threads)" -v files="$(find "/proc/$PID/fd" -mindepth 1 | wc -l)" \
  -v size="$(stat -c %s "$(command -v $NAME)")" 'BEGIN {
    printf "resident memory      %.2f MB (anonymous %.2f, peak %.2f)   goal <= 5\n", rss/1024, anon/1024, peak/1024
    printf "CPU over %4d s      %.3f %% of a core                      goal < 0.2\n", s, 100*ticks/hz/s
    printf "threads              %d\n", threads
    printf "open files           %d\n", files
    printf "written to disk      %.2f MB/h                             goal <= 1\n", w/1048576*3600/s
    printf "binary               %.2f MB                               goal <= 4\n", size/1048576
    exit !(rss < 16384)
  }'
