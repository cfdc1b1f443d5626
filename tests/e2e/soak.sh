#!/bin/bash
# Runs INSIDE the systemd bed as root: a long time with a fault every 10 s.
# Memory, threads and files must not grow, every fault must be fixed.
#   SOAK_SECONDS   default 1800
set -euo pipefail
NAME=autonomous-orchestrator
WINDOW=${SOAK_SECONDS:-1800}
cat >/etc/systemd/system/soak.service <<'UNIT'
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
UNIT
mkdir -p /etc/$NAME
cat >/etc/$NAME/config.toml <<'TOML'
[budget]
fingerprint_per_hour = 10000
fingerprint_per_day = 10000
unit_per_hour = 10000
host_per_hour = 10000
host_per_day = 10000
[fix]
stability_s = 2
TOML
$NAME install >/dev/null
systemctl daemon-reload
systemctl enable -q --now soak
systemctl start $NAME
sample() {
  local pid
  pid=$(systemctl show -P MainPID $NAME)
  echo "$(awk '/^VmRSS/{print $2}' "/proc/$pid/status") $(find "/proc/$pid/fd" -mindepth 1 | wc -l) $(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l)"
}
end=$((SECONDS + WINDOW)) rounds=0 healed=0 early=
while [ $SECONDS -lt $end ]; do
  # By number: what an administrator's `systemctl kill` ends is his business.
  pid=$(systemctl show -P MainPID soak)
  if [ "$pid" -gt 1 ]; then kill -KILL "$pid" 2>/dev/null || true; fi
  rounds=$((rounds + 1))
  for _ in $(seq 100); do
    sleep .1
    [ "$(systemctl show -P ActiveState soak)" = active ] || continue
    healed=$((healed + 1))
    break
  done
  logger -p daemon.err "soak round $rounds of a long run"
  sleep 5
  [ $rounds != 12 ] || early=$(sample)
done
late=$(sample)
echo "rounds $rounds, healed within 10 s $healed"
echo "resident kB, files, threads: early $early, late $late"
$NAME audit verify
[ "$(systemctl show -P NRestarts $NAME)" = 0 ] || { echo "FAIL  it was restarted"; exit 1; }
read -r early_kb early_files early_threads <<<"$early"
read -r late_kb late_files late_threads <<<"$late"
if [ "$late_kb" -gt $((early_kb + 2048)) ] || [ "$late_files" -gt $((early_files + 4)) ] \
  || [ "$late_threads" -gt "$early_threads" ]; then
  echo "FAIL  it grows"
  exit 1
fi
