#!/usr/bin/env bash
# Everybody without rights writes hundreds of new emergencies at once: into the journal, into the system log's socket,
# on standard output, into a followed file. What is broken meanwhile gets its issue at once, and what those lines look
# like in titles and texts of issues is inert.
#
#   tests/e2e/hostile/tracker.sh BINARY  on this machine: runs the bed
#   tracker.sh                           what runs in the bed
# shellcheck disable=SC2317  # functions are handed to check and until_so by name
set -euo pipefail
NAME=autonomous-orchestrator
ETC=/etc/$NAME
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
LINES_EACH=${TRACKER_LINES:-300}

prepare() {
  local user
  for user in eve bob svc; do useradd -m "$user"; done
  github_stub
  mkdir -p /var/log/svc
  install -o svc -m 644 /dev/null /var/log/svc/app.log
  cat >$ETC/config.toml <<TOML
[daemon]
startup_grace_s = 0
[mode]
low = "suggest"
[detect]
unit_sweep_s = 2
path_sweep_s = 2
kernel_log = false
[fix]
log_escalate_after_s = 1
[escalation]
coalesce_s = 1
$(tracker_config)
replies_from = ["ann"]
replies_every_s = 5
[[log_file]]
path = "/var/log/svc/app.log"
TOML
  # What journald's own limit drops is no part of this.
  mkdir -p /etc/systemd/journald.conf.d
  printf '[Journal]\nRateLimitIntervalSec=0\nReadKMsg=no\n' >/etc/systemd/journald.conf.d/hostile.conf
  systemctl restart systemd-journald
  $NAME install >/dev/null
  start_daemon
}

writers() {
  cat >/tmp/write.py <<'PY'
import random, socket, string, sys, time
how, count = sys.argv[1], int(sys.argv[2])
def word(): return "".join(random.choice(string.ascii_lowercase) for _ in range(12))
text = lambda: f"part {word()} of {word()} is broken @everyone **bold** <script>alert(1)</script>"
if how == "journal":
    to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    to.connect("/run/systemd/journal/socket")
    for _ in range(count):
        to.send(f"MESSAGE={text()}\nPRIORITY=0\nSYSLOG_IDENTIFIER=app{word()}\nUNIT=real.service\n".encode())
elif how == "names":
    # A subject that breaks lines and is longer than a title may be: again and again, so that it is told.
    to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    to.connect("/run/systemd/journal/socket")
    name = b"x\nclosed: all is well\x1b[2J @everyone <script>" + b"long-name-" * 25
    for _ in range(count):
        to.send(b"MESSAGE=connection refused by backend\nPRIORITY=0\nSYSLOG_IDENTIFIER\n" + len(name).to_bytes(8, "little") + name + b"\n")
        time.sleep(1)
elif how == "syslog":
    to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    to.connect("/dev/log")
    for _ in range(count):
        to.send(f"<0>real.service[1]: {text()}".encode())
elif how == "output":
    for _ in range(count):
        print(f"<0>CRITICAL {text()}", flush=True)
else:
    with open("/var/log/svc/app.log", "a") as file:
        for _ in range(count):
            file.write(f"Nov 28 12:00:00 gw real.service: CRITICAL {text()}\n")
PY
  # First, and told before the storm: its writer's share of issues is the storm's then.
  runuser -u eve -- python3 /tmp/write.py names 300 &
  NAMES=$!
  check "the line whose name is long and breaks lines is told" until_so 120 told_of 'all is well'
  kill "$NAMES" || true
  STORM=()
  runuser -u eve -- python3 /tmp/write.py journal "$LINES_EACH" & STORM+=($!)
  runuser -u bob -- python3 /tmp/write.py syslog "$LINES_EACH" & STORM+=($!)
  systemd-run -q --wait --uid=eve python3 /tmp/write.py output "$LINES_EACH" & STORM+=($!)
  runuser -u svc -- python3 /tmp/write.py file "$LINES_EACH" & STORM+=($!)
}

break_something() {
  printf '[Service]\nExecStart=/usr/local/bin/really-missing\n[Install]\nWantedBy=multi-user.target\n' \
    >/etc/systemd/system/real.service
  systemctl daemon-reload
  systemctl enable -q real
  systemctl start real 2>/dev/null || true
}

# issues WHAT: titles, or what of the texts stands in no code, as a JSON string a line
issues() {
  python3 - "$1" <<'PY'
import json, re, sys
with open("/root/e2e/github/state.json", encoding="utf-8") as file:
    state = json.load(file)
for issue in (issue for repo in state["repos"].values() for issue in repo["issues"]):
    if sys.argv[1] == "titles":
        print(json.dumps(issue["title"]))
    else:
        print(json.dumps(re.sub(r"```.*?```|`[^`\n]*`", "", issue["body"], flags=re.S)))
PY
}
number_of() {
  python3 - "$1" <<'PY'
import json, sys
with open("/root/e2e/github/state.json", encoding="utf-8") as file:
    state = json.load(file)
print(next(one["number"] for repo in state["repos"].values() for one in repo["issues"] if sys.argv[1] in one["title"]))
PY
}
# labelled NUMBER ID LOGIN TIME: what happened on the issue, and nothing else
labelled() {
  printf '{"%s": [{"id": %s, "event": "labeled", "created_at": "%s", "actor": {"login": "%s"}, "label": {"name": "orchestrator:approve"}}]}' \
    "$1" "$2" "$4" "$3" >$STUB/events.new
  mv $STUB/events.new $STUB/events.json
}
ignored() { some "SELECT 1 FROM task_history WHERE action = 'reply_ignored' AND actor = 'github:$1'"; }
# A start that waits for a human's leave, and labels that give none.
approvals() {
  local number
  printf '[Service]\nExecStart=/usr/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/asked.service
  systemctl daemon-reload
  systemctl enable -q --now asked
  kill -9 "$(systemctl show -P MainPID asked)"
  check "a human is asked for a start" until_so 60 told_of asked.service
  check "the issue is known here as well" until_so 60 some "SELECT 1 FROM tasks WHERE subject = 'asked.service' AND github_issue_number IS NOT NULL"
  number=$(number_of asked.service)
  labelled "$number" 7 ann 2020-01-01T00:00:00Z
  check "a label of 2020 counts for nothing" until_so 30 ignored ann
  labelled "$number" 8 eve "$(date -u +%FT%TZ)"
  check "nor does one of somebody who is not listed" until_so 30 ignored eve
  check "and nothing was started" not systemctl is-active -q asked
  labelled "$number" 9 ann "$(date -u +%FT%TZ)"
  check "one of now by who is listed does" until_so 30 systemctl is-active -q asked
}
told_of() { issues titles | grep -F -- "$1"; }
titles_are_inert() {
  issues titles >/tmp/titles
  [ -s /tmp/titles ] && ! grep -E '\\n|\\r|\\u00[01]|\\u009|\\u202[a-e]' /tmp/titles &&
    awk 'length > 260 { bad = 1 } END { exit bad }' /tmp/titles
}
texts_are_inert() { ! issues texts | grep -E '<script>|@everyone|javascript:'; }

if [ $# = 1 ]; then
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  in_bed "$here/tracker.sh" "$1" "$here/../github_stub.py:/root/e2e/github_stub.py" \
    "$here/../github_schema.json:/root/e2e/github_schema.json"
  exit
fi
prepare
writers
FROM=$SECONDS
break_something
check "what is broken has its issue within 60 s" until_so 60 told_of real.service
echo "      after $((SECONDS - FROM)) s"
wait "${STORM[@]}"
check "no line of a user's is worse than error" none \
  "SELECT 1 FROM tasks WHERE severity = 'critical' AND said_by LIKE 'uid %'"
check "no line of a user's names a unit" none \
  "SELECT 1 FROM tasks WHERE said_by LIKE 'uid %' AND (subject LIKE '%.service' OR json_extract(evidence, '\$.unit') IS NOT NULL)"
check "the lines made at most 60 tasks" [ "$(sql "SELECT count(*) FROM tasks WHERE said_by IS NOT NULL")" -le 60 ]
check "one writer made at most three quarters of them" none \
  "SELECT said_by FROM tasks WHERE said_by IS NOT NULL GROUP BY said_by HAVING count(*) > 40"
check "what was not let in is counted" some "SELECT 1 FROM tasks WHERE issue_type = 'log_error' AND subject LIKE '%new kinds%'
  OR issue_message LIKE '%new kinds%' OR issue_type = 'self_gap'"
approvals
# Where a line is told of at all: titles in one line, of a length that the tracker takes.
check "titles are in one line and not too long" titles_are_inert
check "texts are inert" texts_are_inert
check "it was never ended" [ "$(systemctl show -P NRestarts $NAME)" = 0 ]
$NAME report /tmp/report.html >/dev/null
check "the report has no markup of theirs" not grep -E '<script>alert|<img src=x' /tmp/report.html
issues titles | head -5
outcome
