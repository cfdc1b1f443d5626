#!/bin/bash
# Runs INSIDE the systemd bed as root: what a sweep costs with 50, 150 and 600
# units of one process each. CPU is the daemon's with that of the commands it
# ran; a wrapper counts those.
#   SWEEP_SECONDS   measured per row, default 60
set -euo pipefail
NAME=autonomous-orchestrator
WINDOW=${SWEEP_SECONDS:-60}
EVERY=5
COUNT=/run/forks

for tool in systemctl journalctl; do
  printf '#!/bin/sh\necho %s >>%s\nexec /usr/bin/%s "$@"\n' $tool $COUNT $tool >/usr/local/bin/$tool
  chmod 755 /usr/local/bin/$tool
done
cat >/etc/systemd/system/load@.service <<'UNIT'
[Service]
ExecStart=/bin/sleep infinity
UNIT
mkdir -p /etc/$NAME /etc/systemd/system/$NAME.service.d
printf '[detect]\nunit_sweep_s = %d\n' $EVERY >/etc/$NAME/config.toml
$NAME install >/dev/null
# The wrapper writes its count below /run, which the unit's sandbox keeps from it.
printf '[Service]\nReadWritePaths=/run\nEnvironment=PATH=/usr/local/bin:/usr/bin:/bin\n' \
  >/etc/systemd/system/$NAME.service.d/bench.conf
/usr/bin/systemctl daemon-reload

ticks() { awk '{sub(/.*\) /, ""); print $12 + $13 + $14 + $15}' "/proc/$PID/stat"; }
have=0
echo "units  processes  CPU ms a sweep of units  commands a sweep  CPU of a core with a sweep each 60 s"
for wanted in 50 150 600; do
  for ((; have < wanted; have++)); do /usr/bin/systemctl start --no-block "load@$have.service"; done
  until [ "$(pgrep -xc sleep)" -ge "$wanted" ]; do read -rt 0.2 <> <(:) || true; done
  /usr/bin/systemctl restart $NAME
  PID=$(/usr/bin/systemctl show -P MainPID $NAME)
  sleep 20
  : >$COUNT
  t0=$(ticks)
  sleep "$WINDOW"
  t1=$(ticks)
  awk -v u="$wanted" -v p="$(find /proc -maxdepth 1 -name '[0-9]*' | wc -l)" -v t=$((t1 - t0)) -v hz="$(getconf CLK_TCK)" \
    -v n=$((WINDOW / EVERY)) -v f="$(wc -l <$COUNT)" 'BEGIN {
      ms = 1000 * t / hz / n
      printf "%5d  %9d  %23.0f  %16.1f  %.2f %%\n", u, p, ms, f / n, ms / 600
    }'
done
