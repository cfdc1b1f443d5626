#!/usr/bin/env bash
# What the installed unit gave up is really gone; who holds a port is found whatever control group he hides in; and what
# was done to the history is found.
#
#   tests/e2e/hostile/sandbox.sh BINARY  on this machine: runs the bed
#   sandbox.sh                           what runs in the bed
# shellcheck disable=SC2317  # functions are handed to check and until_so by name
set -euo pipefail
NAME=autonomous-orchestrator
ETC=/etc/$NAME
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
UNIT=/etc/systemd/system/$NAME.service
DATABASE=/var/lib/$NAME/tasks.db

prepare() {
  local port
  useradd -m eve
  mkdir -p $ETC
  printf '[daemon]\nstartup_grace_s = 0\n[detect]\nunit_sweep_s = 2\nkernel_log = false\n' >$ETC/config.toml
  for port in 8081 8082 8083; do shop "shop$port" "$port"; done
  $NAME install >/dev/null
  start_daemon
}

# as_the_unit COMMAND…: with the rights that the installed unit has
as_the_unit() {
  local line args=()
  while read -r line; do args+=(-p "$line"); done < <(
    grep -E '^(CapabilityBoundingSet|NoNewPrivileges|ProtectSystem|ReadWritePaths|Protect[A-Za-z]*|Private[A-Za-z]*|LockPersonality|Restrict[A-Za-z]*|SystemCall[A-Za-z]*|DeviceAllow|UMask)=' "$UNIT")
  systemd-run -q --wait --pipe "${args[@]}" "$@"
}
refused() { not as_the_unit "$@"; }

given_up() {
  cat >/tmp/try.py <<'PY'
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
tried = {
    "mount": lambda: libc.mount(b"tmpfs", b"/mnt", b"tmpfs", 0, None),
    "module": lambda: libc.syscall(175, 0, 0, b""),
    "clock": lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()),
    "device": lambda: os.mknod("/run/disk", 0o60600, os.makedev(8, 0)),
    "raw_disk": lambda: os.open("/dev/sda", os.O_RDWR),
    "setuid_file": lambda: (open("/run/shell", "w").close(), os.chmod("/run/shell", 0o4755)),
    "other_user": lambda: os.setuid(1000),
    "namespace": lambda: libc.unshare(0x10000000),
    "personality": lambda: libc.personality(8),
    "reboot": lambda: libc.reboot(0),
    "kexec": lambda: libc.syscall(246, -1, -1, 0, None, 0),
}
try:
    done = tried[sys.argv[1]]()
except OSError as why:
    print(why)
    sys.exit(1)
sys.exit(1 if done == -1 else 0)
PY
  local what
  for what in mount module device setuid_file other_user namespace personality reboot kexec; do
    check "the unit cannot: $what" refused python3 /tmp/try.py $what
  done
  check "the unit cannot write /etc" refused touch /etc/direct
  check "the unit cannot write /usr" refused touch /usr/direct
  check "the unit sees who it is" as_the_unit true
  # Of the running daemon itself, not of a copy of its unit.
  local status
  status=/proc/$(daemon_pid)/status
  check "the daemon gains no rights" grep -qE '^NoNewPrivs:\s*1$' "$status"
  check "its system calls are filtered" grep -qE '^Seccomp:\s*2$' "$status"
  check "it has five capabilities" [ "$(python3 -c "print(bin(int(open('$status').read().split('CapBnd:')[1].split()[0], 16)).count('1'))")" = 5 ]
  check "it leaves no core" grep -qE '^Max core file size +0 +0 ' "/proc/$(daemon_pid)/limits"
  check "its state is for root alone" [ "$(stat -c %a /var/lib/$NAME)" = 700 ]
  check "eve cannot read its state" not as eve "cat $DATABASE"
}

# A process of eve's on the port of a unit, in a control group that is called like that unit.
squat() { # PORT HOW
  cat >/tmp/squat.py <<'PY'
import os, socket, sys, time
port, how = int(sys.argv[1]), sys.argv[2]
name = f"shop{port}.service"
places = {"plain": "", "named": name, "deep": f"a.slice/user@0.service/{name}"}
if places[how]:
    own = {line.split(":", 2)[1]: line.strip().split(":", 2)[2] for line in open("/proc/self/cgroup")}
    for controller, mount in (("name=systemd", "/sys/fs/cgroup/systemd"), ("", "/sys/fs/cgroup/unified"), ("", "/sys/fs/cgroup")):
        try:
            place = f"{mount}{own[controller]}/{places[how]}"
            os.makedirs(place, exist_ok=True)
            with open(place + "/cgroup.procs", "w") as procs:
                procs.write(str(os.getpid()))
        except (OSError, KeyError):
            pass
held = socket.socket()
held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
held.bind(("0.0.0.0", port))
held.listen()
time.sleep(1000)
PY
  systemd-run -q --unit="box$1" -p User=eve -p Delegate=yes -p Slice=user.slice python3 /tmp/squat.py "$1" "$2"
  until_so 120 sh -c "ss -ltn | grep -q ':$1 '"
  systemctl enable -q "shop$1"
  systemctl start "shop$1" || true
}

squats() {
  squat 8081 plain
  squat 8082 named
  squat 8083 deep
  local port
  for port in 8081 8082 8083; do
    check "the squat on $port is seen, and whose it is" until_so 120 some "SELECT 1 FROM tasks WHERE issue_type = 'port_conflict'
      AND subject = 'shop$port.service' AND json_extract(evidence, '\$.holder_unit') = 'box$port.service'"
    check "another unit's process on $port is not ended" systemctl is-active -q "box$port"
  done
}

tamper() { # SQL on a copy; then audit verify
  rm -rf /root/copy
  cp -a /var/lib/$NAME /root/copy
  python3 - "$1" <<'PY'
import sqlite3, sys
database = sqlite3.connect("/root/copy/tasks.db")
for (name,) in list(database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")):
    database.execute(f'DROP TRIGGER "{name}"')
database.execute(sys.argv[1])
database.commit()
PY
  $NAME --state-dir /root/copy audit verify
}
head_of() { awk '/^head /{print $2}'; }

history_holds() {
  local head event
  check "the head of the history stands in the log" until_so 120 sh -c "journalctl -u $NAME --no-pager -o cat | grep -q '^audit head'"
  systemctl stop $NAME
  head=$($NAME audit verify | head_of)
  event="(SELECT max(id) - 2 FROM task_history)"
  check "the history holds" [ -n "$head" ]
  check "changed words are found" not tamper "UPDATE task_history SET details = 'nothing' WHERE id = $event"
  check "a changed time is found" not tamper "UPDATE task_history SET timestamp = '2020-01-01 00:00:00.000' WHERE id = $event"
  check "one taken out is found" not tamper "DELETE FROM task_history WHERE id = $event"
  # A cut tail is a whole chain: only its head tells, which was said elsewhere.
  check "a cut tail has another head than was told" \
    [ "$(tamper 'DELETE FROM task_history WHERE id > (SELECT max(id) - 5 FROM task_history)' | head_of)" != "$head" ]
}

if [ $# = 1 ]; then
  in_bed "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/sandbox.sh" "$1"
  exit
fi
prepare
given_up
squats
history_holds
outcome
