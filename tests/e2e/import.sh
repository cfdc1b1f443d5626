#!/usr/bin/env bash
# `import` of a database as the Python daemon left it, twice: nothing is lost,
# the second time changes nothing.
#   tests/e2e/import.sh BINARY
set -euo pipefail
BIN=$(readlink -f "${1:?which binary?}")
HERE=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

python3 -B "$HERE/seed_db.py" make "$WORK/old.db"
mkdir -m 700 "$WORK/state" "$WORK/run"
cat >"$WORK/config.toml" <<TOML
[daemon]
state_dir = "$WORK/state"
runtime_dir = "$WORK/run"
TOML
ao() { "$BIN" --config "$WORK/config.toml" "$@"; }

ao import "$WORK/old.db"
python3 -B "$HERE/seed_db.py" compare "$WORK/old.db" "$WORK/state/tasks.db"
python3 -B "$HERE/seed_db.py" dump "$WORK/state/tasks.db" >"$WORK/first"
ao import "$WORK/old.db"
python3 -B "$HERE/seed_db.py" dump "$WORK/state/tasks.db" >"$WORK/second"
cmp "$WORK/first" "$WORK/second"
ao audit verify
echo "imported twice: nothing lost, nothing doubled"
