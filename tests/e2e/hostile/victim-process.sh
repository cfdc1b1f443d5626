#!/usr/bin/env bash
# Whom a compromised service, a user with a group of his own, or a writer of pid files could have ended by root: nobody.
# And what may be ended beside it: the service's own leftover.
#
#   tests/e2e/hostile/victim-process.sh BINARY  on this machine: runs the bed
#   victim-process.sh                           what runs in the bed
#
# Medium risk is allowed, so that all that is proposed is done. Exit status 1 when one is not so.
set -euo pipefail
NAME=autonomous-orchestrator
UNITS=/etc/systemd/system
FAILED=0

outside() {
  local here
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  BED_TIMEOUT=400 "$here/../../../scripts/bed.sh" run systemd "$here/victim-process.sh" "$1:/usr/local/bin/$NAME"
}

check() { # WHAT COMMAND…
  local what=$1
  shift
  if "$@" >/dev/null 2>&1; then echo "ok    $what"; else echo "FAIL  $what"; FAILED=1; fi
}

# Runs "$@" until it is true, at most 60 s.
until_so() {
  local end=$((SECONDS + 60))
  while ((SECONDS < end)); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.2
  done
  return 1
}

sql() { python3 -c 'import sqlite3,sys; [print(*row, sep="|") for row in sqlite3.connect("file:/var/lib/autonomous-orchestrator/tasks.db?mode=ro", uri=True).execute(sys.argv[1])]' "$1"; }
some() { [ -n "$(sql "$1")" ]; }
told() { some "SELECT 1 FROM tasks WHERE subject = '$1' AND status = 'escalated'"; }
works() { [ "$(systemctl is-active "$1")" = active ]; }
known() { [ "$(sql "SELECT count(*) FROM healthy, json_each(record, '\$.processes') WHERE unit = '$1'")" -ge "$2" ]; }
held() { ss -Hltn "sport = :$1" | grep -q .; }
holder() { ss -Hltnp "sport = :$1" | sed 's/.*pid=\([0-9]*\).*/\1/' | head -n 1; }

listener() { # FILE: a program that listens on its argument, and with a second one forks a worker that does
  cat >"$1" <<'PROGRAM'
#!/usr/bin/python3
import os, socket, sys, time
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    server.bind(("0.0.0.0", int(sys.argv[1])))
except OSError as why:
    sys.exit(f"bind to 0.0.0.0:{sys.argv[1]} failed: {os.strerror(why.errno)}")
server.listen()
if len(sys.argv) > 2 and os.fork() == 0:
    time.sleep(100000)
time.sleep(100000)
PROGRAM
  chmod 755 "$1"
}

unit() { # NAME LINES: enabled, not started
  printf '[Service]\n%b\n[Install]\nWantedBy=multi-user.target\n' "$2" >"$UNITS/$1.service"
  systemctl daemon-reload
  systemctl enable -q "$1.service"
}

prepare() {
  useradd -m eve
  useradd -m svc
  useradd -m bob
  $NAME install >/dev/null
  mkdir -p /opt/v /etc/$NAME
  listener /opt/v/listen
  cat >/etc/$NAME/config.toml <<'TOML'
[daemon]
startup_grace_s = 0
[mode]
medium = "auto"
[detect]
unit_sweep_s = 2
host_sweep_s = 2
stale_after_s = 2
[fix]
stability_s = 3
TOML
}

# A service that somebody took over says that it wants the port of a process that outlived its owner's login.
taken_over() {
  systemd-run -q --scope --unit=session-77 --uid=bob --slice=user.slice setsid /opt/v/listen 4444 </dev/null >/dev/null 2>&1 &
  until_so held 4444
  BOB=$(holder 4444)
  unit svc 'User=svc\nExecStart=/bin/sh -c '\''sleep 2; echo "bind to 0.0.0.0:4444 failed: Address already in use"; exit 1'\'
  systemctl start svc || true
  check "a service that only says that a port is its own is told of" until_so told svc.service
  check "and who logged out keeps what he left running" kill -0 "$BOB"
}

# A group that a user was given, named like the service, holds the service's port.
squatted() { # plain|hide
  local squat=/opt/v/squat-$1
  cat >"$squat" <<PROGRAM
#!/usr/bin/python3
import os, socket, time
group = [line for line in open("/proc/self/cgroup") if line.startswith("0::")]
if "$1" == "hide" and group:
    for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        try:
            folder = root + group[0].strip()[3:] + "/web.service"
            os.mkdir(folder)
            open(folder + "/cgroup.procs", "w").write(str(os.getpid()))
        except OSError:
            pass
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("0.0.0.0", 8088))
server.listen()
time.sleep(100000)
PROGRAM
  chmod 755 "$squat"
  systemctl stop web
  systemd-run -q --unit=evebox -p User=eve -p Delegate=yes "$squat"
  until_so held 8088
  local pid
  pid=$(holder 8088)
  systemctl start web || true
  check "the port is taken by a user's process ($1): told with its port" until_so some \
    "SELECT 1 FROM tasks WHERE subject = 'web.service' AND issue_type = 'port_conflict' AND status <> 'closed'"
  sleep 8
  check "the user's process ($1) lives on" kill -0 "$pid"
  systemctl stop evebox
  systemctl reset-failed evebox web 2>/dev/null || true
  systemctl restart web
  until_so works web
  sleep 12
}

# A pid file of the service names a process of nobody; root wrote it, once.
named() {
  setsid sleep 100000 </dev/null >/dev/null 2>&1 &
  local pid=$!
  cat >/opt/v/pidded <<'PROGRAM'
#!/bin/sh
if [ -e /run/pidded.pid ] && kill -0 "$(cat /run/pidded.pid)"; then exit 1; fi
exec sleep 100001
PROGRAM
  chmod 755 /opt/v/pidded
  unit pidded ExecStart=/opt/v/pidded
  systemctl start pidded
  sleep 3
  echo "$pid" >/run/pidded.pid
  sleep 1
  kill -KILL "$(systemctl show -P MainPID pidded)"
  # Longer than the patience with a process that outlived its service.
  sleep 15
  check "the stranger that a pid file names lives on" kill -0 "$pid"
  kill "$pid"
  rm -f /run/pidded.pid
}

# The service's own worker is what may be ended.
own() {
  unit own 'ExecStart=/opt/v/listen 8089 forks\nKillMode=process'
  systemctl start own
  check "the service and its worker are known" until_so known own.service 2
  local main
  main=$(systemctl show -P MainPID own)
  kill -KILL "$main"
  check "a worker of the service's own is ended for it, and the service works" until_so is_anew own "$main" 8089
  check "and that was done by us" some "SELECT 1 FROM attempts WHERE action_kind = 'terminate_process' AND outcome IN ('acted', 'verified')"
}
# A process that runs may not have asked for its port yet: one that has it does.
is_anew() { # UNIT FORMER-PID PORT
  local now
  now=$(systemctl show -P MainPID "$1")
  works "$1" && [ "$now" -gt 1 ] && [ "$now" != "$2" ] && ss -Hltnp "sport = :$3" | grep -q "pid=$now,"
}

inside() {
  prepare
  unit web 'ExecStart=/opt/v/listen 8088'
  systemctl start web
  systemctl start $NAME
  until_so known web.service 1
  taken_over
  squatted plain
  squatted hide
  named
  check "until here nobody was ended" test -z "$(sql "SELECT 1 FROM attempts WHERE action_kind = 'terminate_process' AND outcome <> 'refused'")"
  own
  check "the history verifies" $NAME audit verify
  return $FAILED
}

if [ $# = 1 ]; then outside "$(readlink -f "$1")"; else inside; fi
