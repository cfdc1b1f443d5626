#!/usr/bin/env bash
# A platform moved from insa-crm-platform/ to platforms/insa-crm/; its unit still
# names the old path. The bundle knows of the move from a CLAUDE.md and from the
# git history. Found before the unit fails, the move cited, the drop-in proposed
# (mode suggest), applied and verified (after approval; and in mode auto), taken
# back and not done again unasked. Then the unit is silenced, and fails meanwhile.
#
#   tests/e2e/story.sh BINARY     on this machine: builds the bundle, runs the bed
#   story.sh inside                 what runs in the bed
set -euo pipefail
NAME=autonomous-orchestrator
UNIT=insa-crm.service
OLD=/opt/w/insa-crm-platform/core/run.sh
NEW=/opt/w/platforms/insa-crm/core/run.sh

outside() {
  local binary=$1 here work
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  work=$(mktemp -d)
  WORK=$work
  trap 'rm -rf "$WORK"' EXIT
  mkdir -p "$work/w/insa-crm-platform/core"
  printf '#!/bin/sh\nexec sleep infinity\n' >"$work/w/insa-crm-platform/core/run.sh"
  printf '# Platform\n\nOne folder a customer system.\n' >"$work/w/CLAUDE.md"
  (
    cd "$work/w"
    export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
    git init -q . && git add . && git commit -qm "Begin the CRM platform"
    mkdir platforms && git mv insa-crm-platform platforms/insa-crm
    cat >>CLAUDE.md <<'TEXT'

The CRM moved: `insa-crm-platform/` -> `platforms/insa-crm/`.
Units may still name the old path.
TEXT
    git add . && git commit -qm "Move the CRM below platforms/"
  )
  "$binary" bundle build "$work/w/CLAUDE.md" --repository "$work/w" -o "$work/knowledge.bundle"
  BED_TIMEOUT=180 "$here/../../scripts/bed.sh" run systemd "$here/story.sh" \
    "$binary:/usr/local/bin/$NAME" "$work/knowledge.bundle:/root/knowledge.bundle"
}

say() { printf 'ok    %s\n' "$*"; }
fail() {
  printf 'FAIL  %s\n' "$*"
  $NAME tasks --all || true
  # What the last one waits for, and since when.
  [ -z "${ID:-}" ] || $NAME tasks show "$ID" || true
  journalctl -u $NAME -n 40 --no-pager || true
  exit 1
}
# until WHAT COMMAND…
until_so() {
  local what=$1 n
  shift
  for n in {1..150}; do
    if "$@" >/dev/null 2>&1; then say "$what"; return; fi
    sleep 0.2
  done
  fail "not in time ($n looks): $what"
}
task() { $NAME tasks --all --json | python3 -c '
import json, sys
rows = json.load(sys.stdin)
print(next(row["id"] for row in rows if row["class"] == sys.argv[2] and row["subject"] == sys.argv[1]))' $UNIT "${1:-invalid_unit_path}"; }
status_is() { $NAME tasks show "$ID" --json | grep -q "\"status\": \"$1\""; }
dropped_in() { systemctl show -P ExecStart $UNIT | grep -q "path=$NEW "; }

configure() {
  printf '[daemon]\nstartup_grace_s = 0\n[mode]\nmedium = "%s"\n[detect]\npath_sweep_s = 2\n[fix]\nstability_s = 3\n' "$1" \
    >/etc/$NAME/config.toml
}

# The unit runs from before the move: it has not failed, and would at its next start.
prepare() {
  rm -rf /etc/systemd/system/$UNIT.d /opt/w
  mkdir -p "$(dirname $OLD)"
  printf '#!/bin/sh\nexec sleep infinity\n' >$OLD
  chmod 755 $OLD
  printf '[Service]\nExecStart=%s\n[Install]\nWantedBy=multi-user.target\n' $OLD >/etc/systemd/system/$UNIT
  systemctl daemon-reload
  systemctl enable -q $UNIT
  systemctl restart $UNIT
  mkdir -p /opt/w/platforms
  mv /opt/w/insa-crm-platform /opt/w/platforms/insa-crm
}

inside() {
  mkdir -p /etc/$NAME /var/lib/$NAME
  install -m 600 /root/knowledge.bundle /var/lib/$NAME/knowledge.bundle
  echo "-- mode suggest"
  configure suggest
  prepare
  $NAME install --start >/dev/null
  until_so "found" task
  ID=$(task)
  systemctl is-active -q $UNIT || fail "the unit failed before it was found"
  say "found while the unit still runs"
  until_so "put before a human" status_is escalated
  $NAME explain "$ID" >/root/explained
  grep -q "$NEW" /root/explained || fail "explain does not name the new path: $(cat /root/explained)"
  grep -Eq 'CLAUDE.md:[0-9]+|git@[0-9a-f]+' /root/explained || fail "explain does not cite the move: $(cat /root/explained)"
  say "the move is cited: $(grep -Eo '[^ ]*(CLAUDE.md:[0-9]+|git@[0-9a-f]+)' /root/explained | head -n 1)"
  ! dropped_in || fail "touched without approval"
  say "nothing touched before approval"
  $NAME approve "$ID" --yes >/dev/null
  until_so "the drop-in names the new path" dropped_in
  until_so "closed as fixed" status_is closed
  systemctl restart $UNIT || fail "the unit does not start from the new path"
  say "the unit starts from the new path"
  grep -q "$OLD" /etc/systemd/system/$UNIT || fail "the unit file itself was changed"
  say "the unit file itself is as it was"

  echo "-- mode auto"
  systemctl stop $NAME
  rm -rf /var/lib/$NAME/tasks.db*
  configure auto
  prepare
  systemctl start $NAME
  until_so "found" task
  ID=$(task)
  until_so "the drop-in names the new path" dropped_in
  until_so "closed as fixed" status_is closed
  systemctl restart $UNIT || fail "the unit does not start from the new path"
  say "the unit starts from the new path"

  echo "-- taken back"
  $NAME undo "$ID" --yes || fail "undo"
  ! dropped_in || fail "the drop-in is still there"
  say "the drop-in is gone"
  before=$ID
  found_again() { [ "$(task)" != "$before" ]; }
  until_so "found again" found_again
  ID=$(task)
  until_so "put before a human" status_is escalated
  ! dropped_in || fail "done again unasked"
  $NAME explain "$ID" >/root/explained
  grep -q "a human took it back here" /root/explained || fail "explain does not say why: $(cat /root/explained)"
  say "proposed, not done, and explained"
  $NAME approve "$ID" --yes >/dev/null
  until_so "the drop-in names the new path" dropped_in
  until_so "closed as fixed" status_is closed

  echo "-- silenced"
  systemctl restart $UNIT
  $NAME silence $UNIT 5m "new cable" || fail "silence"
  $NAME status | grep -q "new cable" || fail "status does not show the silence"
  # One of before, which is over: the unit failed while nobody looked, too.
  local before
  before=$(task service_failed 2>/dev/null || true)
  failed_anew() { [ "$(task service_failed)" != "$before" ]; }
  # Not by the manager, who would know that somebody wanted it.
  kill -KILL "$(systemctl show -P MainPID $UNIT)"
  until_so "its failure is recorded" failed_anew
  ID=$(task service_failed)
  waits() { $NAME tasks show "$ID" | grep -q "silence: silenced until"; }
  until_so "and waits" waits
  ! systemctl is-active -q $UNIT || fail "repaired though silenced"
  say "nothing is repaired"
  $NAME silence end $UNIT || fail "silence end"
  until_so "repaired at its end" systemctl is-active -q $UNIT
  for event in undo undone silenced silence_over; do
    $NAME events --limit 500 --json | grep -q "\"action\":\"$event\"" || fail "no event $event"
  done
  say "all of it is in the audit"
  $NAME audit verify >/dev/null || fail "audit"
  say "audit verify"
}

if [ $# = 1 ]; then outside "$1"; else inside; fi
