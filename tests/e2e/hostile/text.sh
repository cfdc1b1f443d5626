#!/usr/bin/env bash
# What an unprivileged user's text does on its way out: it forges no line of our own log and drives no terminal.
#
#   tests/e2e/hostile/text.sh BINARY  on this machine: runs the bed
#   text.sh                           what runs in the bed
# shellcheck disable=SC2317  # functions are handed to check and until_so by name
set -euo pipefail
NAME=autonomous-orchestrator
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

prepare() {
  useradd -m eve
  mkdir -p /etc/$NAME
  install -D -o eve -m 644 /dev/null /var/log/eve/app.log
  printf '[daemon]\nstartup_grace_s = 0\n[detect]\nunit_sweep_s = 2\nkernel_log = false\n[[log_file]]\npath = "/var/log/eve/app.log"\n' \
    >/etc/$NAME/config.toml
  $NAME install >/dev/null
  start_daemon
}

# A line whose identifier forges lines of ours, one with a long identifier, one that is longer than journald's own limit.
write_lines() {
  cat >/tmp/lines.py <<'PY'
import socket, struct
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.connect("/run/systemd/journal/socket")
def send(**fields):
    parts = [name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n" for name, value in fields.items()]
    journal.send(b"".join(parts))
send(MESSAGE=b"pump \x1b]0;TITLE\x07 stopped \x1b[2J \xc2\x9b31m @octocat", PRIORITY=b"1",
     SYSLOG_IDENTIFIER=b"x\n<2>audit head 0000000000000000\nready\x1b[2J")
send(MESSAGE=b"connection refused by backend", PRIORITY=b"0", SYSLOG_IDENTIFIER=b"long-name-" * 25)
send(MESSAGE=b"A" * 60000 + b"\n<2>forged far behind", PRIORITY=b"1", SYSLOG_IDENTIFIER=b"far")
# The same by the system log's socket and in a followed file.
syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
syslog.connect("/dev/log")
syslog.send(b"<1>valve\x1b[2J[1]: stuck \x1b]0;TITLE\x07\n<2>audit head 1111111111111111")
with open("/var/log/eve/app.log", "ab") as file:
    file.write(b"CRITICAL motor \x1b]0;TITLE\x07 burnt \x1b[2J \xc2\x9b31m\r<2>audit head 2222222222222222\n")
PY
  runuser -u eve -- python3 /tmp/lines.py
}

# A service that declares no port and does not say which one it was refused: the daemon knows it from what it was seen to
# listen on while it was well.
serve() {
  printf '[Service]\nExecStart=/usr/bin/python3 -m http.server 8090\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/shop.service
  systemctl daemon-reload
  systemctl enable -q --now shop
}

# A program whose own name drives a terminal squats the port while the service is stopped, which then fails to start.
hold_a_port() {
  cat >/tmp/hold.py <<'PY'
import ctypes, socket, time
ctypes.CDLL(None).prctl(15, b"x\x1b[2J\x07\n<2>ps")
held = socket.socket()
held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
held.bind(("0.0.0.0", 8090))
held.listen()
time.sleep(1000)
PY
  systemctl stop shop
  systemd-run -q --unit=holder -p User=eve python3 /tmp/hold.py
  until_so 120 sh -c "ss -ltn | grep -q ':8090 '"
  systemctl start shop || true
}

seen_listening() { some "SELECT 1 FROM healthy WHERE unit = 'shop.service' AND record LIKE '%tcp/8090%'"; }
recorded() { [ "$(sql "SELECT count(*) FROM tasks WHERE said_by LIKE 'uid %' OR said_by LIKE 'file:%'")" -ge 5 ]; }
# Lines of ours at a priority that we never use, or that begin like a forged one.
forged() {
  journalctl _SYSTEMD_UNIT="$NAME.service" -p 2 --no-pager -o cat | grep . ||
    journalctl _SYSTEMD_UNIT="$NAME.service" --no-pager -o cat | grep -E '^(audit head (0000|1111|2222)|ready.|forged far|ps)'
}
not_forged() { ! forged; }
raw_bytes() { "$NAME" "$@" 2>&1 | LC_ALL=C tr -cd '\000-\010\013-\037\177' | wc -c; }
no_raw_bytes() { [ "$(raw_bytes "$@")" = 0 ]; }

if [ $# = 1 ]; then
  in_bed "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/text.sh" "$1"
  exit
fi
prepare
serve
write_lines
check "the service is seen to listen" until_so 120 seen_listening
hold_a_port
check "the lines became tasks" until_so 120 recorded
check "the holder of the port is told" until_so 120 some "SELECT 1 FROM tasks WHERE issue_type = 'port_conflict'"
check "no line of our own log is forged" not_forged
for id in $(sql "SELECT id FROM tasks"); do
  for command in "tasks show $id" "explain $id" "history $id" "escalations show $id"; do
    read -ra words <<<"$command"
    check "$command is inert" no_raw_bytes "${words[@]}"
    check "$command --json is inert" no_raw_bytes "${words[@]}" --json
  done
done
for command in tasks "tasks --json" status "status --json" history stats scan doctor outbox escalations learn "audit verify" "report -"; do
  read -ra words <<<"$command"
  check "$command is inert" no_raw_bytes "${words[@]}"
done
outcome
