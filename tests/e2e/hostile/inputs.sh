#!/usr/bin/env bash
# What root is given to read: a foreign database that never ends, that is huge, or beside which links and FIFOs lie; a
# FIFO as token or certificate; a kill switch that is no file; a declared service whose program is a user's. Each
# ends in time, says why, and touches nothing of anybody's.
#
#   tests/e2e/hostile/inputs.sh BINARY  on this machine: runs the bed
#   inputs.sh                           what runs in the bed
# shellcheck disable=SC2317  # functions are handed to check and until_so by name
set -euo pipefail
NAME=autonomous-orchestrator
ETC=/etc/$NAME
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
ROUNDS=200

prepare() {
  useradd -m eve
  mkdir -p $ETC
  $NAME install >/dev/null
  echo precious >/root/victim
  chmod 600 /root/victim
  install -d -m 700 /var/lib/$NAME
}
victim_is_whole() { [ "$(cat /root/victim)" = precious ] && [ "$(stat -c %a /root/victim)" = 600 ]; }

# old KIND: makes /home/eve/KIND.db as eve
old() {
  cat >/tmp/old.py <<'PY'
import os, sqlite3, sys
kind = sys.argv[1]
path = f"/home/eve/{kind}.db"
plain = "CREATE TABLE tasks (id INTEGER PRIMARY KEY, issue_hash TEXT, issue_type TEXT, status TEXT{})"
endless = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r)"
database = sqlite3.connect(path)
if kind == "view":
    database.execute(f"CREATE VIEW tasks AS {endless}"
                     " SELECT n AS id, 'a' || n AS issue_hash, 'service_failed' AS issue_type, 'new' AS status FROM r")
elif kind == "column":
    database.execute(plain.format(", big TEXT AS (hex(zeroblob(400000000)))"))
    database.execute("INSERT INTO tasks (id, issue_hash, issue_type, status) VALUES (1, 'a', 'service_failed', 'new')")
elif kind == "history":
    database.execute(plain.format(""))
    database.execute(f"CREATE VIEW task_history AS {endless} SELECT n AS id, n AS task_id, 'x' AS action FROM r")
else:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(plain.format(""))
    database.execute("INSERT INTO tasks VALUES (1, 'a', 'service_failed', 'new')")
database.commit()
database.close()
for end in ("-wal", "-shm", "-journal"):
    try:
        os.unlink(path + end)
    except FileNotFoundError:
        pass
if kind == "huge":
    os.truncate(path, 4 << 30)
elif kind.startswith("link"):
    os.symlink("/root/victim", path + "-" + kind[4:])
elif kind.startswith("fifo"):
    os.mkfifo(path + "-" + kind[4:])
PY
  runuser -u eve -- python3 /tmp/old.py "$1"
}

# not_taken KIND WORDS: import ends within 15 s with exit code 1 and says WORDS
not_taken() {
  local code=0 said
  said=$(timeout 15 "$NAME" import "/home/eve/$1.db" 2>&1) || code=$?
  [ "$code" = 1 ] && grep -qF -- "$2" <<<"$said" && victim_is_whole && ! compgen -G "/var/lib/$NAME/*importing*"
}

raced_import() {
  old raced
  cat >/tmp/swap.py <<'PY'
import ctypes, os
libc = ctypes.CDLL(None)
os.chdir("/home/eve")
os.symlink("/root/victim", "raced.link")
open("raced.db-wal", "w").close()
while not os.path.exists("/tmp/raced.over"):
    libc.renameat2(-100, b"raced.db-wal", -100, b"raced.link", 2)
PY
  runuser -u eve -- python3 /tmp/swap.py &
  local i code bad=0
  for ((i = 0; i < ROUNDS; i++)); do
    code=0
    timeout 15 "$NAME" import /home/eve/raced.db >/dev/null 2>&1 || code=$?
    if [ "$code" -gt 1 ] || ! victim_is_whole; then bad=1; fi
  done
  touch /tmp/raced.over
  wait
  return "$bad"
}

imports() {
  local kind
  for kind in view column history huge linkwal linkjournal fifowal plain; do old $kind; done
  as eve 'mkfifo -m 666 /home/eve/fifo.db; ln -s /root/victim /home/eve/link.db'
  check "import: tasks that never end" not_taken view "tasks computes"
  check "import: a column that grows without end" not_taken column "tasks computes"
  check "import: a history that never ends" not_taken history "task_history computes"
  check "import: 4 GiB" not_taken huge "larger than"
  check "import: a link beside it" not_taken linkwal "a link"
  check "import: a link as its journal" not_taken linkjournal "a link"
  check "import: a FIFO beside it" not_taken fifowal "not a regular file"
  check "import: a FIFO" not_taken fifo "not a regular file"
  check "import: a link" not_taken link "a link"
  check "import: eve swaps what lies beside it, $ROUNDS times" raced_import
  check "import: one that is as it should be" $NAME import /home/eve/plain.db
}

kill_switches() {
  local how
  for how in 'ln -s /nonexistent' mkdir touch mkfifo; do
    $how $ETC/disable
    check "kill switch by $how: on" sh -c "timeout 10 $NAME status | grep -q 'PAUSED: kill switch is on'"
    rm -rf $ETC/disable
  done
  check "no kill switch: off" not sh -c "$NAME status | grep -q 'PAUSED: kill'"
}

configure_fifos() {
  mkfifo $ETC/token $ETC/ca.pem
  chmod 600 $ETC/token
  install -d -o eve /var/log/eve
  as eve 'mkfifo /var/log/eve/app.log /var/log/eve/daemon.pid'
  # shellcheck disable=SC2016
  as eve 'mkdir -p /home/eve/bin; printf "#!/bin/sh\nid -un >>/tmp/eves.ran\n" >/home/eve/bin/eves; chmod 755 /home/eve/bin/eves'
  cat >$ETC/config.toml <<TOML
[daemon]
startup_grace_s = 0
[detect]
unit_sweep_s = 2
kernel_log = false
[escalation.github]
repository = "acme/gateways"
token_file = "$ETC/token"
api_url = "https://localhost:8443"
ca_file = "$ETC/ca.pem"
[webhook]
url = "https://localhost:8443/services/T0PSECRET"
token_file = "$ETC/token"
[ping]
url = "https://localhost:8443/ping/T0PSECRET"
every_s = 5
[[log_file]]
path = "/var/log/eve/app.log"
[[service]]
name = "eves"
start = ["/home/eve/bin/eves"]
pid_file = "/run/eves.pid"
TOML
  # It ran once and died: for the daemon a service to start again.
  echo 1999999 >/run/eves.pid
}

# A FIFO where a token, a certificate or a log file was: the daemon comes up, does its work and stops at once.
fifos() {
  local from
  configure_fifos
  printf '[Service]\nExecStart=/usr/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/web.service
  start_daemon
  systemctl enable -q --now web
  sleep 3
  kill -9 "$(systemctl show -P MainPID web)"
  check "a killed service runs again beside FIFOs everywhere" until_so 120 systemctl is-active -q web
  check "a FIFO as log file is told" until_so 120 some "SELECT 1 FROM tasks WHERE issue_message LIKE '%is a FIFO%'"
  check "doctor waits for none" sh -c "timeout 30 $NAME doctor --offline >/dev/null 2>&1; [ \$? -le 1 ]"
  check "a service whose program is a user's is a finding" until_so 120 some "SELECT 1 FROM tasks WHERE subject = 'eves'"
  check "why it is not started is told" until_so 120 some "SELECT 1 FROM task_history WHERE details LIKE '%/home/eve/bin/eves%'"
  check "it is not started for root" not test -e /tmp/eves.ran
  from=$SECONDS
  systemctl stop $NAME
  check "the stop is not delayed" [ $((SECONDS - from)) -le 6 ]
}

# The path of a webhook or ping opens it to whoever knows it.
secret_addresses() {
  local command
  for command in "config show" "config show --json" "config check" doctor status outbox escalations "tasks --all --json" history; do
    check "$command: no secret address" not sh -c "timeout 60 $NAME $command 2>&1 | grep T0PSECRET"
  done
  check "the log has no secret address" not sh -c "journalctl -u $NAME --no-pager | grep T0PSECRET"
  chmod 644 $ETC/config.toml
  check "a readable configuration with one is warned of" sh -c "$NAME config check | grep -q 'warning: .*webhook or a ping'"
  chmod 600 $ETC/config.toml
  check "a private one is not" not sh -c "$NAME config check | grep -q 'webhook or a ping'"
}

if [ $# = 1 ]; then
  in_bed "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/inputs.sh" "$1"
  exit
fi
prepare
imports
kill_switches
fifos
secret_addresses
outcome
