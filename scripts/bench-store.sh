#!/usr/bin/env bash
# The store against its rivals and its limit, in one run, at full durability.
#
#   scripts/bench-store.sh [--long] [DIR]     DIR: where the databases go (default: a temporary directory)
#
#   (a) the Python daemon's pattern: lock, new connection for each operation, timeout 30 s
#   (b) rusqlite, one connection a thread, BEGIN IMMEDIATE for each operation
#   (c) this program's store, each operation waited for; then with the findings handed in by 16, as a reader does
#   (d) the limit: one connection, the same rows, 256 operations a transaction
#
# Then the cost of growth: claim, dedupe and list in files of 10^3 and 10^5 tasks (--long: 10^6), with the
# peak of memory, and what an idle store writes. AO_BENCH_SECONDS sets the time of each measurement (5).
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LONG='' IDLE=65
[ "${1:-}" != --long ] || { LONG=1; IDLE=600; shift; }
SECONDS_EACH=${AO_BENCH_SECONDS:-5}
WORK=$(mktemp -d ${1:+-p "$1"})
trap 'rm -rf "$WORK"' EXIT
export AO_BENCH_DIR=$WORK

cd "$ROOT"
BENCH=$(cargo bench --locked --no-run --bench store --message-format=json 2>/dev/null |
  sed -n 's/.*"name":"store".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -x "$BENCH" ] || { echo "cannot run: the bench was not built: run cargo bench --no-run" >&2; exit 1; }

field() { sed -n "s/.*\b$1=\([0-9.]*\).*/\1/p"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.1f", a / b; else print "-" }'; }
line() { printf '  %-46s %10s /s   p50 %8s us   p99 %8s us   lock errors %s\n' "$1" \
  "$(field per_second <<<"$2")" "$(field p50_us <<<"$2")" "$(field p99_us <<<"$2")" "$(field errors <<<"$2")"; }

echo "$(nproc) cores, $(df --output=fstype,source "$WORK" | tail -n 1 | xargs), load $(cut -d' ' -f1-3 /proc/loadavg)"
RAW=$("$BENCH" fsync "$SECONDS_EACH")
echo "raw fdatasync: $(field per_second <<<"$RAW") /s, p50 $(field p50_us <<<"$RAW") us, p99 $(field p99_us <<<"$RAW") us"

echo
echo "life cycles of a task (create, fix attempt, close, each with history)"
for threads in 4 12; do
  A=$(python3 -B "$ROOT/benches/seed_pattern.py" "$WORK" $threads "$SECONDS_EACH")
  B=$("$BENCH" life thread $threads "$SECONDS_EACH")
  C=$("$BENCH" life own $threads "$SECONDS_EACH" 2>"$WORK/note")
  line "(a) $threads threads, the Python daemon's pattern" "$A"
  line "(b) $threads threads, a connection each" "$B"
  line "(c) $threads threads, this store" "$C"
  echo "      $(cat "$WORK/note"); $(field bytes_each <<<"$C") bytes written a life, (b): $(field bytes_each <<<"$B")"
  echo "      write amplification (bytes written over bytes that the database grew) $(ratio "$(field bytes_each <<<"$C")" "$(field grown_each <<<"$C")"), (b): $(ratio "$(field bytes_each <<<"$B")" "$(field grown_each <<<"$B")")"
  c=$(field per_second <<<"$C")
  echo "      (c)/(a) $(ratio "$c" "$(field per_second <<<"$A")")   (c)/(b) $(ratio "$c" "$(field per_second <<<"$B")")   p99 in raw fdatasyncs: $(ratio "$(field p99_us <<<"$C")" "$(field p50_us <<<"$RAW")") of the median, $(ratio "$(field p99_us <<<"$C")" "$(field p99_us <<<"$RAW")") of the p99"
  C=$("$BENCH" life batch $threads "$SECONDS_EACH")
  line "    findings handed in by 16" "$C"
  c=$(field per_second <<<"$C")
  echo "      (c)/(a) $(ratio "$c" "$(field per_second <<<"$A")")   (c)/(b) $(ratio "$c" "$(field per_second <<<"$B")")"
done

echo
echo "intake of new findings; (c) by 16 a batch, (d) by 256"
D=$("$BENCH" intake limit 1 "$SECONDS_EACH")
echo "  (d) the limit: $(field per_second <<<"$D") /s, $(field bytes_each <<<"$D") bytes written each"
for threads in 4 12; do
  C=$("$BENCH" intake own $threads "$SECONDS_EACH" 2>/dev/null)
  c=$(field per_second <<<"$C")
  echo "  (c) $threads readers: $c /s, $(field bytes_each <<<"$C") bytes written each; (c)/(d) $(ratio "$(awk -v c="$c" 'BEGIN { print c * 100 }')" "$(field per_second <<<"$D")") %"
done

echo
echo "cost of growth (medians; create and claim hold an fdatasync)"
for tasks in 1000 100000 ${LONG:+1000000}; do "$BENCH" growth "$tasks" | sed 's/^/  /'; done

echo
echo "idle: a cursor moves every second"
"$BENCH" idle $IDLE | sed 's/^/  /'
