#!/usr/bin/env bash
# What an approval of a program is worth when its owner swaps the program after it was approved: as shipped (a medium risk
# is suggested), with a command that runs as a user whose program it is, and with one of root's that an update replaces.
#
#   tests/e2e/hostile/approvals.sh BINARY   on this machine: runs the bed
#   approvals.sh                            what runs in the bed
#
# Held rounds swap while the kill switch holds the act back: another program never runs. The other rounds swap at a random
# moment until the act is over: nothing runs twice or with other rights than declared, each round comes to an end, what ran
# beside a swap is never told as done, and how often the swap came between the proof and the execution is counted. Exit
# status 1 when one is not so.
#   APPROVALS_HELD    held rounds of each owner, default 5
#   APPROVALS_RACES   rounds of the user's own program, default 50
#   APPROVALS_OWNED   rounds of root's, default 200
set -euo pipefail
NAME=autonomous-orchestrator
ETC=/etc/$NAME
HELD=${APPROVALS_HELD:-5}
RACES=${APPROVALS_RACES:-50}
OWNED=${APPROVALS_OWNED:-200}
FAILED=0

outside() {
  local here
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  BED_ENV="${BED_ENV:-} APPROVALS_HELD=$HELD APPROVALS_RACES=$RACES APPROVALS_OWNED=$OWNED" \
    BED_TIMEOUT=${BED_TIMEOUT:-1800} "$here/../../../scripts/bed.sh" run systemd "$here/approvals.sh" "$1:/usr/local/bin/$NAME"
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

# Whose a round is, by its name, and where its program lies.
owner() { case $1 in own*) echo root ;; *) echo gw ;; esac }
place() { case $1 in own*) echo "/usr/local/libexec/$1" ;; *) echo "/home/gw/bin/$1" ;; esac }

program() { # OWNER PATH WORD MARK: says which of two of the same size it is, and who ran it
  runuser -u "$1" -- sh -c "printf '#!/bin/sh\necho $3 \$(id -un) >>/var/mark/$4\n' >$2; chmod 755 $2"
}

round() { # NAME: a unit that fails, and the command that is to repair it
  local owner place
  owner=$(owner "$1") place=$(place "$1")
  printf '[Service]\nExecStart=/bin/false\n[Install]\nWantedBy=multi-user.target\n' >"/etc/systemd/system/$1.service"
  program "$owner" "$place" good "$1"
  program "$owner" "$place.new" evil "$1"
  cat >>$ETC/config.toml <<TOML
[[command]]
name = "$1"
argv = ["$place"]
user = "$owner"
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
  install -d /usr/local/libexec
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
approvals_per_hour = 1000
TOML
  for ((i = 1; i <= HELD; i++)); do NAMES+=("held$i" "ownheld$i"); done
  for ((i = 1; i <= RACES; i++)); do NAMES+=("race$i"); done
  for ((i = 1; i <= OWNED; i++)); do NAMES+=("own$i"); done
  NAMES+=(calm)
  for i in "${NAMES[@]}"; do round "$i"; done
  $NAME config check
  systemctl daemon-reload
  systemctl enable -q "${NAMES[@]}"
  systemctl start "${NAMES[@]}" 2>/dev/null || true
  systemctl start $NAME
}

# ---- what the store says

tasks() { $NAME tasks --limit 1000 --json; }
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
swap() {
  local owner place
  owner=$(owner "$1") place=$(place "$1")
  runuser -u "$owner" -- mv "$place.new" "$place"
}
runs() { cat "/var/mark/$1" 2>/dev/null || true; }

calm() { # how long from the approval to the act, in ms
  local from
  from=$(date +%s%3N)
  approve calm
  until_so 30 test -s /var/mark/calm || bad "the calm round: nothing was run"
  LATENCY=$(($(date +%s%3N) - from))
  until_so 30 settled "$(id_of calm)" || bad "the calm round does not end"
}

held() { # PREFIX
  local i name
  for ((i = 1; i <= HELD; i++)); do
    name=$1$i
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
  local owner wait
  owner=$(owner "$1")
  wait=$((RANDOM % (LATENCY + LATENCY / 2 + 1)))
  (sleep "$((wait / 1000)).$(printf %03d $((wait % 1000)))" && swap "$1") &
  approve "$1"
  wait $!
  until_so 60 settled "$(id_of "$1")" || bad "$1 does not end"
  case $(runs "$1") in
    "good $owner") GOOD=$((GOOD + 1)) ;;
    "evil $owner")
      EVIL=$((EVIL + 1))
      tells_of_both "$(id_of "$1")" || bad "$1: another program ran, and nothing is told"
      ;;
    '') if tells_of_both "$(id_of "$1")"; then NONE=$((NONE + 1)); else bad "$1: nothing was run, and nothing told"; fi ;;
    *) bad "$1: $(runs "$1")" ;;
  esac
}

races() { # WHOSE PREFIX COUNT
  local i
  GOOD=0 EVIL=0 NONE=0
  for ((i = 1; i <= $3; i++)); do race "$2$i"; done
  echo "$1 program, $3 races: approved one run $GOOD, refused $NONE, swapped between proof and execution $EVIL"
}

inside() {
  local i
  NAMES=() LATENCY=0
  prepare
  until_so 300 all_asked || bad "not all are asked for: $(listed | sort | uniq -c | head -5)"
  listed >/tmp/ids
  calm
  held held
  held ownheld
  echo "act ${LATENCY} ms after the approval; held $HELD of each"
  races "the user's own" race "$RACES"
  races "root's" own "$OWNED"
  grep -q '^ok *audit' <($NAME doctor --offline) || bad 'the audit chain is broken'
  if [ $FAILED != 0 ]; then
    listed | head
    events "$(id_of held1)" | tail -60
    journalctl -u $NAME -n 30 --no-pager -o cat
  fi
  exit $FAILED
}

if [ $# = 1 ]; then outside "$1"; else inside; fi
