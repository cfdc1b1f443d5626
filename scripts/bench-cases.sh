#!/usr/bin/env bash
# Storms of one root: 16 and 50 services that fail of a full disk, of the resolver, of
# their database, of a device, or are killed all at once, and three seconds later one is
# killed that has nothing to do with them. On a real systemd, as the catalogue is run.
#
#   scripts/bench-cases.sh [BINARY]
#
# Prints one row a storm: tasks told to a human, attempts, who was started first, seconds
# until all work, and until the unrelated one works again. Times are as shipped.
#
#   BENCH_SIZES   how many services, default "16 50"
#   BENCH_ROOTS   default "disk resolver database device killed"
#   BENCH_TIMES   "short": the times that the catalogue shortens (a fifteenth)
#   BENCH_ROWS    file that gets the rows as JSON
#
# The short variant: BENCH_SIZES=16 BENCH_TIMES=short. Root only (namespaces).
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
case ${1-} in
  -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
esac
BENCH_SIZES=${BENCH_SIZES:-16 50}
BENCH_ROOTS=${BENCH_ROOTS:-disk resolver database device killed}
watch=120 times='config = { fix = { stability_s = 60, quick_deadline_s = 30, research_deadline_s = 300, spacing_s = [0, 10, 60, 300, 900, 1800], tell_after_s = 120 } }'
if [ "${BENCH_TIMES-}" = short ]; then watch=60 times=''; fi
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
mkdir "$WORK/storms"

# needs FILE WORDS: each service needs the file at its start and says why it ends without.
needs() { printf "[ -e %s ] || { echo '%s' >&2; exit 1; }" "$1" "$2"; }

# storm SIZE ROOT: one fault file.
storm() {
  local size=$1 root=$2 behaviour='' unit='' before='' inject='' again='' all units quoted
  local names=()
  mapfile -t names < <(seq -f 'cat-s%g' "$size")
  all=${names[*]}
  case $root in
    disk)
      before='small_fs 8'
      # shellcheck disable=SC2016  # expanded when the service starts
      behaviour='head -c 20000 /dev/zero >/srv/cat/small/data/$name || { echo "cannot write state: No space left on device" >&2; exit 1; }'
      # shellcheck disable=SC2016  # expanded in the bed
      inject='rm -f $SMALL/data/*; for n in 1 2 3 4 5 6 7 8 9; do fill $SMALL/log/app.log.$n 860; done'
      ;;
    resolver)
      before='touch /run/cat/root'
      behaviour=$(needs /run/cat/root 'broker.example.com: Temporary failure in name resolution')
      inject="rm /run/cat/root; orphan bash -c 'sleep 20; touch /run/cat/root'"
      ;;
    device)
      before='ln -sf /dev/null /dev/cat-tty0; at_end "rm -f /dev/cat-tty0"'
      behaviour=$(needs /dev/cat-tty0 'cannot open /dev/cat-tty0: No such file or directory')
      inject="rm /dev/cat-tty0; orphan bash -c 'sleep 20; ln -sf /dev/null /dev/cat-tty0'"
      ;;
    database)
      before='svc cat-db'
      unit='U:BindsTo=cat-db.service U:After=cat-db.service'
      # shellcheck disable=SC2016  # expanded in the bed
      inject='kill -KILL $(pid_of cat-db)'
      names+=(cat-db)
      ;;
    killed)
      inject="kill -KILL \$(for n in $all; do pid_of \$n; done)"
      ;;
    *) die "no such root: $root" ;;
  esac
  case $root in
    disk | resolver | device) again="for n in $all; do systemctl restart --no-block \$n.service; done" ;;
  esac
  units=$(printf '%s.service ' "${names[@]}")
  quoted=$(printf '"%s", ' "${names[@]}")
  cat <<TOML
what = "storm: $size services, root $root"
kind = "fixable"
services = [$quoted"cat-other"]
setup = '''
$before
for n in $all; do
  behave \$n <<'B'
$behaviour
B
  svc_file \$n $unit
done
systemctl daemon-reload
systemctl enable -q $units
systemctl start $units
svc cat-other
'''
inject = '''
other=\$(pid_of cat-other)
mark
date +%s.%N >/run/cat/began
$inject
$again
sleep 3
date +%s.%N >/run/cat/other.killed
kill -KILL "\$other"
'''
good = '''
cd /run/cat
for f in *.starts; do echo "\$(tail -n 1 "\$f" | cut -d' ' -f1) \${f%.starts}"; done | sort -n |
  awk -v began="\$(cat began 2>/dev/null || echo 0)" -v killed="\$(cat other.killed 2>/dev/null || echo 0)" '
    \$1 > began && \$2 != "cat-other" && first == "" { first = \$2 }
    \$2 == "cat-other" && \$1 > killed { other = \$1 - killed }
    END { printf "BENCH $root $size %s %s\n", first == "" ? "-" : first, other == "" ? "-" : sprintf("%.2f", other) }' >&2
! systemctl is-active $units cat-other.service | grep -qvx active
'''
watch_s = $watch
escalations = 0
actions = ["free_disk", "reset_failed_start", "start_unit"]
$times
TOML
}

for size in $BENCH_SIZES; do
  for root in $BENCH_ROOTS; do storm "$size" "$root" >"$WORK/storms/storm-$root-$size.toml"; done
done
# What is not as declared stands in the table too.
"$ROOT/scripts/catalogue.sh" --dir "$WORK/storms" --beds 2 --json "$WORK/rows" "$@" >"$WORK/out" 2>"$WORK/log" || true
[ -s "$WORK/rows" ] || { tail -n 40 "$WORK/log" >&2; die "no storm was run"; }
[ -z "${BENCH_ROWS-}" ] || cp "$WORK/rows" "$BENCH_ROWS"
python3 -B - "$WORK/rows" "$WORK/log" <<'PYTHON'
import json
import sys

seen = {}
with open(sys.argv[2], encoding="utf-8", errors="replace") as log:
    for line in log:
        if line.startswith("BENCH "):
            _, root, size, first, other = line.split()
            seen[f"storm-{root}-{size}"] = (first, other)
print("| storm | told | attempts | first started | all work after s | the unrelated one after s | as declared |")
print("|" + "---|" * 7)
with open(sys.argv[1], encoding="utf-8") as rows:
    for row in sorted(map(json.loads, rows), key=lambda row: row["fault"]):
        first, other = seen.get(row["fault"], ("-", "-"))
        works = row.get("works_s")
        print(f"| {row['fault'].removeprefix('storm-')} | {row.get('escalations', '-')} | {row.get('attempts', '-')} | {first} "
              f"| {'-' if works is None else f'{works:.1f}'} | {other} | {'; '.join(row['complaints']) or 'yes'} |")
PYTHON
