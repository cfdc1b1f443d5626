#!/usr/bin/env bash
# What an unprivileged user's text does on its way out: it forges no line of our own log and drives no terminal.
#
#   tests/e2e/hostile/text.sh BINARY  on this machine: runs the bed
#   text.sh                           what runs in the bed
# shellcheck disable=SC2317  # functions are handed to check and until_so by name
set -euo pipefail
NAME=autonomous-orchestrator
FAILED=0

outside() {
  local here
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  "$here/../../../scripts/bed.sh" run systemd "$here/text.sh" "$1:/usr/local/bin/$NAME"
}

check() { # WHAT COMMAND…
  local what=$1
  shift
  if "$@" >/dev/null 2>&1; then echo "ok    $what"; else echo "FAIL  $what"; FAILED=1; fi
}

# Runs "$@" until it is true, at most 60 s.
until_so() {
  local i
  for ((i = 0; i < 300; i++)); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.2
  done
  return 1
}

prepare() {
  useradd -m eve
  $NAME install >/dev/null
  systemctl daemon-reload
  systemctl start $NAME
  until_so systemctl is-active -q $NAME
  sleep 5
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
PY
  runuser -u eve -- python3 /tmp/lines.py
}

recorded() { [ "$($NAME tasks --all --json | grep -c '"fingerprint"')" -ge 3 ]; }
# Lines of ours at a priority that we never use, or that begin like a forged one.
forged() {
  journalctl _SYSTEMD_UNIT="$NAME.service" -p 2 --no-pager -o cat | grep . ||
    journalctl _SYSTEMD_UNIT="$NAME.service" --no-pager -o cat | grep -E '^(audit head 0000|ready.|forged far)'
}
not_forged() { ! forged; }
raw_bytes() { "$NAME" "$@" 2>&1 | LC_ALL=C tr -cd '\000-\010\013-\037\177' | wc -c; }
no_raw_bytes() { [ "$(raw_bytes "$@")" = 0 ]; }

if [ $# -gt 0 ]; then
  outside "$1"
  exit
fi
prepare
write_lines
check "the lines became tasks" until_so recorded
check "no line of our own log is forged" not_forged
for id in 1 2 3; do
  for command in "tasks show $id" "explain $id" "history $id"; do
    read -ra words <<<"$command"
    check "$command is inert" no_raw_bytes "${words[@]}"
    check "$command --json is inert" no_raw_bytes "${words[@]}" --json
  done
done
for command in tasks status history stats doctor outbox escalations learn "report -"; do
  read -ra words <<<"$command"
  check "$command is inert" no_raw_bytes "${words[@]}"
done
exit $FAILED
