#!/usr/bin/env bash
# The disk of the daemon's own state is full, also where its ballast was: a human hears of it once, past the store, and
# what fails meanwhile is repaired as soon as there is room; the issue is the finding's own, and is closed with it.
#
#   tests/e2e/hostile/state-disk-full.sh BINARY  on this machine: runs the bed
#   state-disk-full.sh                           what runs in the bed
# shellcheck disable=SC2317  # functions are handed to check and until_so by name
set -euo pipefail
NAME=autonomous-orchestrator
ETC=/etc/$NAME
STATE=/var/lib/$NAME
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

prepare() {
  github_stub
  mkdir -p $STATE
  cat >$ETC/config.toml <<TOML
[daemon]
startup_grace_s = 0
[detect]
kernel_log = false
[escalation]
coalesce_s = 1
$(tracker_config)
TOML
  mount -t tmpfs -o size=6m tmpfs $STATE
  chmod 700 $STATE
  printf '[Service]\nExecStart=/usr/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/web.service
  systemctl daemon-reload
  systemctl enable -q --now web
  $NAME install >/dev/null
  start_daemon
  until_so 30 [ -e $STATE/tasks.db-wal ]
}
fill() {
  head -c 20M /dev/zero >$STATE/filler 2>/dev/null || true
}
# state_of_issues: the state of each issue about the store
state_of_issues() {
  python3 - <<'PY'
import json
with open("/root/e2e/github/state.json", encoding="utf-8") as file:
    state = json.load(file)
for issue in (issue for repo in state["repos"].values() for issue in repo["issues"]):
    if "nothing can be recorded or repaired" in issue["title"]:
        print(issue["state"], "names web.service" if "web.service" in issue["body"] else "")
PY
}
said() { journalctl -u $NAME -o cat --no-pager | grep -c 'no space left'; }

if [ $# = 1 ]; then
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  in_bed "$here/state-disk-full.sh" "$1" "$here/../github_stub.py:/root/e2e/github_stub.py" \
    "$here/../github_schema.json:/root/e2e/github_schema.json"
  exit
fi
prepare
fill
kill -9 "$(systemctl show -P MainPID web)"
check "nobody is told at once: it may pass" [ -z "$(state_of_issues)" ]
told() { state_of_issues | grep -q '^open names web.service'; }
check "a human hears of it, and of what has failed" until_so 120 told
check "status leads with it" sh -c "$NAME status | head -3 | grep -q 'no space left'"
check "its log stays small" [ "$(said)" -le 60 ]
check "once" [ "$(state_of_issues | wc -l)" = 1 ]
rm $STATE/filler
check "what failed meanwhile is started" until_so 90 systemctl is-active -q web
over() { [ "$(state_of_issues | cut -d' ' -f1)" = closed ]; }
check "its issue is closed" until_so 240 over
check "the finding had no issue of its own" [ "$(python3 -c 'import json; print(sum(len(r["issues"]) for r in json.load(open("/root/e2e/github/state.json"))["repos"].values()))')" = 1 ]
outcome
