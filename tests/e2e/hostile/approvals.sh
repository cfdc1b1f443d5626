#!/usr/bin/env bash
# What an approval of a user's own program is worth when that user swaps the program after it was approved: as shipped
# (a medium risk is suggested), with a command that runs as the user.
#
#   tests/e2e/hostile/approvals.sh BINARY   on this machine: runs the bed
#   approvals.sh                            what runs in the bed
#
# HELD rounds swap while the kill switch holds the act back: another program never runs. RACES swap at a random moment
# until the act is over: nothing runs twice or with more rights than the user's, each round comes to an end, and how
# often the swap came between the proof and the execution is counted. Exit status 1 when one is not so.
set -euo pipefail
NAME=autonomous-orchestrator
ETC=/etc/$NAME
HELD=5
RACES=50
FAILED=0

outside() {
  local here
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  BED_TIMEOUT=300 "$here/../../../scripts/bed.sh" run systemd "$here/approvals.sh" "$1:/usr/local/bin/$NAME"
}

bad() {
  echo "FAIL  $*"
  FAILED=1
}

# until_so SECONDS COMMAND…
until_so() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep .1
  done
}

# ---- what is there before the daemon starts

program() { # PATH WORD MARK: says which of two of the same size it is, and who ran it
  runuser -u gw -- sh -c "printf '#!/bin/sh\necho $2 \$(id -un) >>/var/mark/$3\n' >$1; chmod 755 $1"
}

round() { # NAME: a unit that fails, and the command that is to repair it
  printf '[Service]\nExecStart=/bin/false\n[Install]\nWantedBy=multi-user.target\n' >"/etc/systemd/system/$1.service"
  program "/home/gw/bin/$1" good "$1"
  program "/home/gw/bin/$1.new" evil "$1"
  cat >>$ETC/config.toml <<TOML
[[command]]
name = "$1"
argv = ["/home/gw/bin/$1"]
user = "gw"
risk = "medium"
TOML
  cat >>$ETC/runbooks.d/own.toml <<TOML
[[runbook]]
id = "own-$1"
class = ["service_failed"]
subject = ["$1.service"]
[[runbook.step]]
action = "run_declared"
command = "$1"
phase = 1
verify = "detector"
TOML
}

prepare() {
  local i
  useradd -m gw
  install -d -m 1777 /var/mark
  install -d -o gw /home/gw/bin
  $NAME install >/dev/null
  mkdir -p $ETC/runbooks.d
  cat >$ETC/config.toml <<'TOML'
[daemon]
startup_grace_s = 0
[mode]
low = "observe"
[detect]
unit_sweep_s = 2
[fix]
quick_deadline_s = 1
[budget]
host_per_hour = 1000
host_per_day = 1000
TOML
  for ((i = 1; i <= HELD; i++)); do NAMES+=("held$i"); done
  for ((i = 1; i <= RACES; i++)); do NAMES+=("race$i"); done
  NAMES+=(calm)
  for i in "${NAMES[@]}"; do round "$i"; done
  $NAME config check
  systemctl daemon-reload
  systemctl enable -q "${NAMES[@]}"
  systemctl start "${NAMES[@]}" 2>/dev/null || true
  systemctl start $NAME
}

# ---- what the store says

tasks() { $NAME tasks --limit 500 --json; }
# SUBJECT ID STATUS of each open task about a unit of ours
listed() {
  tasks | python3 -c '
import json, sys
told = json.load(sys.stdin)
for task in told if isinstance(told, list) else told["tasks"]:
    print(task["subject"], task["id"], task["status"])'
}
all_asked() { [ "$(listed | grep -c ' escalated$')" -ge ${#NAMES[@]} ]; }
id_of() { awk -v unit="$1.service" '$1 == unit { print $2 }' /tmp/ids; }
# events ID: its history as text
events() { $NAME tasks show "$1" --json; }
# Since it was approved an attempt ended, or a human was asked again.
settled() {
  events "$1" | python3 -c '
import json, sys
history = sorted(json.load(sys.stdin)["history"], key=lambda event: event["id"])
told = [event["action"] for event in history]
since = told[told.index("approved"):]
sys.exit(0 if {"escalated", "fix_failed", "closed"} & set(since) else 1)'
}
tells_of_both() { events "$1" | grep -qE 'program sha256 [0-9a-f]{64} -> [0-9a-f]{64}'; }

# ---- the rounds

approve() { $NAME approve "$(id_of "$1")" --yes >/dev/null; }
swap() { runuser -u gw -- mv "/home/gw/bin/$1.new" "/home/gw/bin/$1"; }
runs() { cat "/var/mark/$1" 2>/dev/null || true; }

calm() { # how long from the approval to the act, in ms
  local from
  from=$(date +%s%3N)
  approve calm
  until_so 30 test -s /var/mark/calm || bad "the calm round: nothing was run"
  LATENCY=$(($(date +%s%3N) - from))
  until_so 30 settled "$(id_of calm)" || bad "the calm round does not end"
}

held() {
  local i name
  for ((i = 1; i <= HELD; i++)); do
    name=held$i
    echo 'people at work' >$ETC/disable
    approve "$name"
    swap "$name"
    rm $ETC/disable
    until_so 60 settled "$(id_of "$name")" || bad "$name does not end"
    [ -z "$(runs "$name")" ] || bad "$name: $(runs "$name")"
    tells_of_both "$(id_of "$name")" || bad "$name: not told with both values"
  done
}

race() { # NAME
  local wait=$((RANDOM % (LATENCY + LATENCY / 2 + 1)))
  (sleep "$((wait / 1000)).$(printf %03d $((wait % 1000)))" && swap "$1") &
  approve "$1"
  wait $!
  until_so 60 settled "$(id_of "$1")" || bad "$1 does not end"
  case $(runs "$1") in
    'good gw') GOOD=$((GOOD + 1)) ;;
    'evil gw') EVIL=$((EVIL + 1)) ;;
    '') if tells_of_both "$(id_of "$1")"; then NONE=$((NONE + 1)); else bad "$1: nothing was run, and nothing told"; fi ;;
    *) bad "$1: $(runs "$1")" ;;
  esac
}

inside() {
  local i
  NAMES=() GOOD=0 EVIL=0 NONE=0 LATENCY=0
  prepare
  until_so 90 all_asked || bad "not all are asked for: $(listed | sort | uniq -c | head -5)"
  listed >/tmp/ids
  calm
  held
  for ((i = 1; i <= RACES; i++)); do race "race$i"; done
  echo "act ${LATENCY} ms after the approval; held $HELD; races $RACES: approved one run $GOOD, refused $NONE, swapped between proof and execution $EVIL"
  grep -q '^ok *audit' <($NAME doctor --offline) || bad 'the audit chain is broken'
  if [ $FAILED != 0 ]; then
    listed | head
    events "$(id_of held1)" | tail -60
    journalctl -u $NAME -n 30 --no-pager -o cat
  fi
  exit $FAILED
}

if [ $# = 1 ]; then outside "$1"; else inside; fi
