#!/usr/bin/env bash
# The daemon is given a database full of open tasks, as a storm left it with version 0.1.0, and is ended hard again and
# again: it starts within its memory limit, repairs at once, holds its streams back, and works the tasks off.
#
#   tests/e2e/hostile/full-store.sh BINARY  on this machine: runs the bed; FULL_TASKS (default 5000) is passed on
#   full-store.sh                           what runs in the bed
set -euo pipefail
NAME=autonomous-orchestrator
TASKS=${FULL_TASKS:-5000}
FAILED=0

outside() {
  local here
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  BED_ENV="${BED_ENV:-} FULL_TASKS=$TASKS" "$here/../../../scripts/bed.sh" run systemd "$here/full-store.sh" \
    "$1:/usr/local/bin/$NAME"
}

check() { # WHAT COMMAND…
  local what=$1
  shift
  if "$@" >/dev/null 2>&1; then echo "ok    $what"; else echo "FAIL  $what"; FAILED=1; fi
}

# Runs "$@" until it is true, at most $WITHIN seconds.
until_so() {
  local end=$((SECONDS + ${WITHIN:-40}))
  while ((SECONDS < end)); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.2
  done
  return 1
}

pid() { systemctl show -P MainPID "$1"; }
is_up() { [ "$(systemctl is-active "$1")" = active ]; }
is_anew() { # UNIT PID-BEFORE: it runs, and as another process.
  local now
  now=$(pid "$1")
  is_up "$1" && [ "$now" -gt 1 ] && [ "$now" != "$2" ]
}
open_tasks() { python3 -c 'import sqlite3; print(sqlite3.connect("file:/var/lib/autonomous-orchestrator/tasks.db?mode=ro", uri=True).execute("SELECT count(*) FROM tasks WHERE status <> '"'closed'"' AND said_by = '"'journal'"'").fetchone()[0])'; }
fewer_than() { [ "$(open_tasks)" -lt "$1" ]; }
peak() { awk '/VmHWM/{print $2}' "/proc/$(pid $NAME)/status"; }

fill() {
  python3 - "$TASKS" <<'PY'
import hashlib, sqlite3, sys, time
database = sqlite3.connect("/var/lib/autonomous-orchestrator/tasks.db")
old = time.strftime("%Y-%m-%d %H:%M:%S.000", time.gmtime(time.time() - 7200))
for at in range(int(sys.argv[1])):
    key = hashlib.sha256(str(at).encode()).hexdigest()
    database.execute(
        "INSERT INTO tasks (issue_hash, issue_type, subject, severity, issue_source, issue_message, detected_at,"
        " last_seen_at, delivery_key, said_by) VALUES (?, 'log_error', ?, 'critical', 'journal', ?, ?, ?, ?, 'journal')",
        (key, f"app{at}", f"part {at} broke " + "x" * 4000, old, old, key))
database.commit()
PY
}

# Ends service $1 and says how long it was down.
repaired() {
  local before from
  before=$(pid web)
  from=$(date +%s%N)
  kill -9 "$before"
  check "$1" until_so is_anew web "$before"
  echo "      after $((($(date +%s%N) - from) / 1000000)) ms, peak $(peak) kB, $(open_tasks) tasks open"
}

inside() {
  printf '[Service]\nExecStart=/usr/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/web.service
  $NAME install >/dev/null
  systemctl daemon-reload
  systemctl enable -q --now web
  systemctl start $NAME
  sleep 6
  systemctl stop $NAME
  fill
  systemctl start $NAME
  sleep 6
  repaired "repairs with $TASKS open tasks"
  WITHIN=400 check "the tasks are worked off" until_so fewer_than 50
  check "its memory stayed below 40 MB" [ "$(peak)" -lt 40960 ]
  check "it was never ended" [ "$(systemctl show -P NRestarts $NAME)" = 0 ]

  local round before
  for round in 1 2 3; do
    before=$(pid $NAME)
    kill -9 "$before"
    until_so is_anew $NAME "$before"
    echo "      killed $round times"
  done
  sleep 8
  check "status tells of the safe start" sh -c "$NAME status | grep -q '^start .*3 unclean ends'"
  check "so does the log" sh -c "journalctl -u $NAME -o cat --no-pager | grep -q 'stream journal: held back for'"
  check "so does a finding" sh -c "$NAME tasks list | grep -q 'safe start'"
  repaired "repairs in a safe start"
  systemctl restart $NAME
  sleep 2
  check "a clean end is the end of it" sh -c "! $NAME status | grep -q '^start '"
  exit $FAILED
}

if [ $# = 1 ]; then outside "$1"; else inside; fi
