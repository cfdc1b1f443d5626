#!/usr/bin/env bash
# The fault catalogue (tests/catalogue, one file a fault) on real init systems:
# each fault on a fresh database, with the service that `install` wrote, judged
# by the host and by what its file declared beforehand.
#
#   scripts/catalogue.sh [--dir DIR | --suite NAME] [--with monit] [--with restart] [--init openrc|sysv]
#                        [--beds N] [--repeat N] [--no-bus] [--kill] [--json FILE] [BINARY] [FAULT…]
#
# BINARY defaults to dist/autonomous-orchestrator-<native>-unknown-linux-musl,
# built when missing. Without FAULT all of them. --dir: the faults of another folder
# (DIR/*.toml and the files they use; the words of steps.sh are the catalogue's). --suite:
# the same for tests/NAME (third-party: kinds of other people's fault lists). --with
# runs the same faults for Monit (Debian's package, at its fastest cycle) and for
# Restart=on-failure, and prints them side by side. --beds: how many at a time (default
# 4: they mostly wait), each in a bed of its own. --repeat: each fault so often. --no-bus:
# systemd's sockets are hidden from the daemon, systemctl is its way. --kill: each fault
# once for each step of an attempt, at which the daemon gets SIGKILL; without FAULT one for
# each kind of action; BINARY is then what `build.sh --debug` made. Exit status 1 when
# something was not as declared. Root only (namespaces).
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
E2E=$ROOT/tests/e2e
CATALOGUE=$ROOT/tests/catalogue
# One for each kind of action that a fault of the catalogue leads to.
KILL_FAULTS=(killed ends-cleanly watchdog exec-moved port-own-leftover
  disk-full-rotated journal-fills-its-disk readonly interface-down)
# In the order in which an attempt goes through them (src/daemon/attempt.rs).
KILL_STEPS=(undo_recorded booked acted noted green)

with=(ours) init=systemd beds=4 repeat=1 kill='' json='' dir='' binary='' names=() faults=()
while [ $# -gt 0 ]; do
  case $1 in
    --with) with+=("$2"); shift ;;
    --init) init=$2; shift ;;
    --beds) beds=$2; shift ;;
    --repeat) repeat=$2; shift ;;
    --no-bus) export BED_ENV="${BED_ENV:-} HIDE_BUS=1" ;;
    --kill) kill=1 ;;
    --json) json=$2; shift ;;
    --suite) dir=$ROOT/tests/$2; [ -d "$dir" ] || die "no suite $2"; shift ;;
    --dir) dir=$(cd "$2" && pwd) || die "no folder $2"; shift ;;
    -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    -*) die "unknown option $1" ;;
    *) names+=("$1") ;;
  esac
  shift
done
for name in "${names[@]}"; do
  if [ -f "${dir:-$CATALOGUE}/$name.toml" ]; then faults+=("$name")
  elif [ -f "$name" ] && [ -x "$name" ] && [ -z "$binary" ]; then binary=$(readlink -f "$name")
  else die "neither a fault nor a program: $name"; fi
done
if [ -n "$kill" ]; then
  if [ "$init" != systemd ] || [ ${#with[@]} != 1 ]; then die "--kill: on systemd, without --with"; fi
  if [ -n "$dir" ] && [ ${#faults[@]} = 0 ]; then die "--kill --dir: name the faults"; fi
  binary=${binary:-$("$ROOT/scripts/build.sh" --debug "$(uname -m)-unknown-linux-musl")}
  [ ${#faults[@]} -gt 0 ] || faults=("${KILL_FAULTS[@]}")
  # Step by step, so that two beds do not share out the slow faults unevenly.
  cells=()
  for step in "${KILL_STEPS[@]}"; do cells+=("${faults[@]/%/@$step}"); done
  faults=("${cells[@]}")
fi
binary=${binary:-$ROOT/dist/$NAME-$(uname -m)-unknown-linux-musl}
[ -x "$binary" ] || "$ROOT/scripts/build.sh" "$(uname -m)-unknown-linux-musl"
if [ ${#faults[@]} = 0 ]; then
  for file in "${dir:-$CATALOGUE}"/*.toml; do
    [ ! -f "$file" ] || faults+=("$(basename "$file" .toml)")
  done
  [ ${#faults[@]} -gt 0 ] || die "no fault in $dir"
fi

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
FILES=("$binary:/usr/local/bin/$NAME")
# Of two files of one name the later one stays; the words of the steps are ours.
for file in "$CATALOGUE"/* ${dir:+"$dir"/*} "$CATALOGUE/steps.sh"; do
  [ ! -f "$file" ] || FILES+=("$file:/root/catalogue/$(basename "$file")")
done
for file in catalogue.py judge.py contender.py; do FILES+=("$E2E/$file:/root/e2e/$file"); done
if [[ " ${with[*]} " == *" monit "* ]]; then
  (cd "$WORK" && apt-get download -qq monit) || die "cannot download Debian's monit: run apt-get update"
  FILES+=("$(echo "$WORK"/monit_*.deb):/root/monit.deb")
fi
"$ROOT/scripts/bed.sh" build "$init" >/dev/null

# Dealt out like cards, so that the slow ones do not all lie in one bed.
jobs=()
for who in "${with[@]}"; do
  for ((bed = 0; bed < beds; bed++)); do
    mine=()
    for ((at = bed; at < ${#faults[@]} * repeat; at += beds)); do mine+=("${faults[at % ${#faults[@]}]}"); done
    [ ${#mine[@]} -gt 0 ] || continue
    printf '#!/bin/bash\ncd /root/e2e && exec python3 catalogue.py %s\n' "$who ${mine[*]}" >"$WORK/$who-$bed.sh"
    jobs+=("$who-$bed")
  done
done
export BED_TIMEOUT=${BED_TIMEOUT:-7200}
status=0
# shellcheck disable=SC2016  # expanded by the inner shell
printf '%s\n' "${jobs[@]}" | xargs -P "$beds" -I{} bash -c '
  "$1/scripts/bed.sh" run "$2" "$3/$4.sh" "${@:5}" >"$3/$4.out" ||
    { grep -v "^ROW " "$3/$4.out" | tail -n 20; exit 1; } >&2' _ "$ROOT" "$init" "$WORK" {} "${FILES[@]}" || status=1
cat "$WORK"/*.out | sed -n 's/^ROW //p' >"$WORK/rows"
[ -z "$json" ] || cp "$WORK/rows" "$json"
python3 -B "$E2E/catalogue_table.py" "$WORK/rows" $((${#faults[@]} * repeat)) "$init" || status=1
exit $status
