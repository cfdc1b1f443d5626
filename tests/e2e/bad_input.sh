#!/usr/bin/env bash
# Bad input and a bad environment: each with its message and exit status, as a
# Markdown table (docs/ has a copy). Needs root, for a read-only mount.
#   tests/e2e/bad_input.sh BINARY
# Exit status 1 when a status is not the documented one, a message is empty, or
# the program panicked.
set -euo pipefail
BIN=$(readlink -f "${1:?which binary?}")
if [ "${AO_INNER:-}" != 1 ]; then
  [ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 77; }
  # Mounts made here end with this script.
  exec env AO_INNER=1 unshare --mount --propagation private bash "$0" "$BIN"
fi
WORK=$(mktemp -d)
DAEMON=
# shellcheck disable=SC2317  # run by the trap
cleanup() {
  [ -z "$DAEMON" ] || kill "$DAEMON" 2>/dev/null || true
  umount "$WORK/ro" 2>/dev/null || true
  rm -rf "$WORK"
}
trap cleanup EXIT
FAILED=0

config() { # EXTRA_TOML: a configuration whose paths are all in $WORK
  mkdir -p "$WORK/state" "$WORK/run"
  chmod 700 "$WORK/state"
  cat >"$WORK/config.toml" <<TOML
[daemon]
state_dir = "${STATE:-$WORK/state}"
runtime_dir = "$WORK/run"
[mode]
limit = "observe"
${1:-}
TOML
}

# row CASE WANTED_STATUS ARGUMENT…: the last error line is the message.
row() {
  local what=$1 wanted=$2 status=0 message
  shift 2
  timeout 20 "$BIN" --config "$WORK/config.toml" "$@" >"$WORK/out" 2>"$WORK/err" || status=$?
  message=$(grep -v '^$' "$WORK/err" | grep -iE "${PATTERN:-.}" | tail -n 1 || true)
  [ -n "$message" ] || message=$(grep -iE "${PATTERN:-.}" "$WORK/out" | tail -n 1 || true)
  message=${message//$WORK/…}
  # shellcheck disable=SC2016  # Markdown, not a substitution
  printf '| %s | `%s` | %s | %s |\n' "$what" "$*" "$status" "${message//|/\\|}"
  case ,$wanted, in *,$status,*) ;; *) FAILED=1; echo "FAILED: status $status instead of $wanted" >&2 ;; esac
  if [ -z "$message" ]; then FAILED=1; echo "FAILED: no message" >&2; cat "$WORK/err" "$WORK/out" >&2; fi
  if grep -q 'panicked' "$WORK/err"; then FAILED=1; echo "FAILED: panic" >&2; fi
}

echo "| case | command | exit status | message |"
echo "|---|---|---|---|"

config $'[detect]\ndisk_hihg_percent = 95'
row "unknown configuration key" 3 config check
config $'[detect\ndisk_high_percent = 95'
row "broken TOML" 3 config check
config
row "unknown command" 2 frobnicate

rm -rf "$WORK/state"
mkdir -p "$WORK/run"
PATTERN='state' row "missing state directory" 1,4 status
config
mkdir -p "$WORK/ro"
mount -t tmpfs -o ro tmpfs "$WORK/ro"
STATE=$WORK/ro config
row "read-only state directory" 4 run --once
umount "$WORK/ro"

config
"$BIN" --config "$WORK/config.toml" run --once >/dev/null 2>&1 || true
head -c 8192 /dev/urandom >"$WORK/state/tasks.db"
rm -f "$WORK/state/tasks.db-wal" "$WORK/state/tasks.db-shm"
PATTERN='corrupt|quarantin|malformed|not a database' row "corrupt database" 0,4,7 run --once
ls "$WORK/state" >&2

rm -rf "$WORK/state"
config
"$BIN" --config "$WORK/config.toml" run >/dev/null 2>&1 &
DAEMON=$!
for _ in $(seq 100); do [ ! -e "$WORK/state/tasks.db" ] || break; sleep .1; done
sleep 1
row "second instance" 5 run
kill "$DAEMON"
wait "$DAEMON" || true
DAEMON=

(umask 077 && echo secret >"$WORK/token")
config "[escalation.github]
repository = \"acme/gateways\"
token_file = \"$WORK/token\"
api_url = \"https://127.0.0.1:9\"
timeout_s = 2"
PATTERN='127.0.0.1|github|unreach|refused' row "unreachable GitHub" 0,1 doctor
chmod 644 "$WORK/token"
PATTERN='token' row "world-readable token file" 1,3,6 doctor
exit $FAILED
