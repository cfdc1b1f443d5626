#!/bin/bash
# Runs INSIDE the systemd bed as root: what the program sees of units and does for them over systemd's own socket, over
# the system bus, and through systemctl with both sockets hidden from the program, each in a mount namespace of its own.
set -euo pipefail
NAME=autonomous-orchestrator
WORK=/root/bus
mkdir -p $WORK /etc/$NAME
: >$WORK/nothing

# systemctl as a host has it that hides its sockets from us alone: it runs beside us.
cat >/usr/local/sbin/systemctl <<'SH'
#!/bin/sh
echo "$*" >>/root/bus/forks
exec nsenter -t 1 -m /usr/bin/systemctl "$@"
SH
chmod +x /usr/local/sbin/systemctl

cat >/etc/systemd/system/job.service <<'UNIT'
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
UNIT
/usr/bin/systemctl daemon-reload
/usr/bin/systemctl enable -q --now job.service

# The one question that systemctl is still asked, when a unit is seen down: which run was its last, what it requires, and
# what its sandbox is (src/detectors/last_run.rs). Units, states and orders never.
LAST_RUN="show --property=$(tr -d ' \n' <<'LIST'
InvocationID, Requires, Requisite, BindsTo, ProtectSystem, ProtectHome, ReadWritePaths, ReadOnlyPaths, InaccessiblePaths,
TemporaryFileSystem, PrivateDevices, DevicePolicy, DeviceAllow, DynamicUser, StateDirectory, CacheDirectory, LogsDirectory,
RuntimeDirectory, ConfigurationDirectory, PrivateNetwork, RestrictAddressFamilies
LIST
) -- job.service"

# hide PATH…: an empty file over each for this namespace and its children.
way() {
  local name=$1
  shift
  local state=$WORK/$name
  mkdir -p "$state"
  printf '[daemon]\nstate_dir = "%s"\nstartup_grace_s = 0\n[detect]\njournal = false\n' "$state" >"$WORK/$name.toml"
  : >$WORK/forks
  unshare -m sh -c "
    for hidden in $*; do mount --bind $WORK/nothing \$hidden; done
    exec $NAME run --config $WORK/$name.toml" >"$WORK/$name.log" 2>&1 &
  local daemon=$!
  for _ in $(seq 100); do grep -q ready "$WORK/$name.log" && break; sleep 0.1; done
  sleep 3
  local before after began
  for round in 1 2 3 4 5; do
    before=$(/usr/bin/systemctl show -P MainPID job.service)
    began=$(date +%s%N)
    kill -KILL "$before"
    after=0
    for _ in $(seq 600); do
      after=$(/usr/bin/systemctl show -P MainPID job.service)
      [ "$after" != 0 ] && [ "$after" != "$before" ] && break
      after=0
      sleep 0.02
    done
    [ "$after" != 0 ] || { echo "FAIL  $name: not running again after 12 s"; tail -20 "$WORK/$name.log"; exit 1; }
    echo "$name: kill $round, running again after $((($(date +%s%N) - began) / 1000000)) ms"
    [ "$round" = 5 ] || sleep 61
    [ "${BUS_ROUNDS:-1}" -gt "$round" ] || break
  done
  echo "ok    $name: the killed service runs again; systemctl was run $(wc -l <$WORK/forks) times"
  grep -vxF -- "$LAST_RUN" $WORK/forks >$WORK/others || true
  case $name in
    systemctl) [ -s $WORK/others ] || { echo "FAIL  systemctl was not the way"; exit 1; } ;;
    *)
      [ ! -s $WORK/others ] || { echo "FAIL  systemctl was run: $(cat $WORK/others)"; exit 1; }
      [ "$(wc -l <$WORK/forks)" -le "$round" ] || { echo "FAIL  asked more than once a kill: $(cat $WORK/forks)"; exit 1; }
      ;;
  esac
  kill "$daemon"
  wait "$daemon" || true
}

way own
way bus /run/systemd/private
way systemctl /run/systemd/private /run/dbus/system_bus_socket
