#!/usr/bin/env bash
# deploy.sh against an emulated arm64 gateway: installed, running and finding
# within a minute; then a binary that does not come up: rolled back, said so.
#   tests/e2e/deploy-arm64.sh            boots the machine and runs itself there
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

if [ -z "${VM_TARGET:-}" ]; then
  [ -x "$ROOT/dist/$NAME-aarch64-unknown-linux-musl" ] || "$ROOT/scripts/build.sh" aarch64-unknown-linux-musl
  "$ROOT/scripts/vm-bed.sh" build >/dev/null
  exec "$ROOT/scripts/vm-bed.sh" run "$0"
fi

read -ra opts <<<"$VM_SSH_OPTS"
# shellcheck disable=SC2029  # arguments are meant to be expanded here
gateway() { ssh "${opts[@]}" "$VM_TARGET" "$@"; }
deploy() { "$ROOT/scripts/deploy.sh" "$VM_TARGET" --ssh-opts "$VM_SSH_OPTS" "$@"; }
ok() { echo "ok    $*"; }
fail() { echo "FAIL  $*"; exit 1; }

gateway 'cat >/etc/systemd/system/meter.service && systemctl daemon-reload && systemctl enable -q --now meter' <<'UNIT'
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
UNIT

began=$SECONDS
deploy || fail "first deployment"
took=$((SECONDS - began))
# Past the start-up grace, then a fault that it must find and fix.
# shellcheck disable=SC2016  # Asked there, not here.
gateway 'sleep 6; kill -KILL "$(systemctl show -P MainPID meter)"'
found=no
while [ $((SECONDS - began)) -lt 120 ]; do
  if gateway "$NAME tasks --all --json" | grep -q 'meter.service'; then found=yes; break; fi
  sleep 1
done
[ $found = yes ] || fail "nothing found within 120 s"
ok "deployed in $took s, first finding $((SECONDS - began)) s after the start of the deployment"
healed=no
for _ in $(seq 60); do
  if gateway 'systemctl is-active -q meter'; then healed=yes; break; fi
  sleep 1
done
[ $healed = yes ] || fail "the service was not started again"
ok "fixed"

# Answers everything, migrates the database and never comes up, as a bad release would.
bad=$(mktemp)
trap 'rm -f "$bad"' EXIT
cat >"$bad" <<BAD
#!/bin/sh
case \$1 in
  --version) echo "$NAME 9.9.9-bad" ;;
  run) cd /var/lib/$NAME && cp tasks.db tasks.db.schema-1; exit 1 ;;
esac
exit 0
BAD
before=$(gateway "sha256sum /usr/local/bin/$NAME")
status=0
said=$(deploy --binary "$bad" --wait 15 2>&1) || status=$?
printf '%s\n' "$said"
[ $status = 1 ] || fail "a broken binary: status $status instead of 1"
grep -q 'ROLLED BACK' <<<"$said" || fail "the roll-back was not said"
[ "$(gateway "sha256sum /usr/local/bin/$NAME")" = "$before" ] || fail "the old binary is not back"
gateway "systemctl is-active -q $NAME" || fail "the old binary does not run"
gateway "ls /var/lib/$NAME/tasks.db.damaged-*" >/dev/null || fail "the migrated database is not set aside"
gateway "$NAME tasks --all --json" | grep -q 'meter.service' || fail "the database of before is not back"
ok "broken binary rolled back, with the database that it had migrated"
