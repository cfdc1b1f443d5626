#!/usr/bin/env bash
# Retrieval from a bundle of at least 18,000 passages, beside SQLite FTS5 over
# the same passages in one process.
#
#   scripts/bench-bundle.sh [--arm64] SET…
#       SET       a directory with docs.jsonl.gz ({"id","title","text"} a line) and
#                 queries.jsonl ({"id","text"} a line); more of the passages come
#                 from this machine's man pages (MAN_SECTIONS, default "1 5 7 8")
#       --arm64   count the instructions of a query under emulation as well
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"
ARM64=no
[ "${1:-}" != --arm64 ] || { ARM64=yes; shift; }
[ $# -gt 0 ] || die "name at least one set (see the head of this script)"
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

for set in "$@"; do
  zcat "$set/docs.jsonl.gz" >>"$WORK/docs.jsonl"
  cat "$set/queries.jsonl" >>"$WORK/queries.jsonl"
done
python3 - "$WORK" <<'PY'
import json, sys
with open(f"{sys.argv[1]}/queries.tsv", "w", encoding="utf-8") as out:
    for line in open(f"{sys.argv[1]}/queries.jsonl", encoding="utf-8"):
        row = json.loads(line)
        out.write(f"{row['id']}\t{' '.join(row['text'].split())}\n")
PY
pages=()
for section in ${MAN_SECTIONS:-1 5 7 8}; do
  [ ! -d /usr/share/man/man"$section" ] || pages+=("/usr/share/man/man$section")
done
cargo build --release --locked -q
BENCH=$(cargo bench --locked --no-run --bench bundle --message-format=json 2>/dev/null |
  sed -n 's/.*"name":"bundle".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
"${CARGO_TARGET_DIR:-target}/release/$NAME" bundle build "${pages[@]}" --snippets "$WORK/docs.jsonl" \
  -o "$WORK/big.bundle" 2>/dev/null | tail -n 2 | head -n 1
"$BENCH" "$WORK/big.bundle" "$WORK/queries.tsv"
[ "$ARM64" = yes ] || exit 0

# Instructions do not depend on what else the machine does. Opening and verifying is in both counts.
apt_need qemu-aarch64:qemu-user gcc:gcc
binary=dist/$NAME-aarch64-unknown-linux-musl
[ -x "$binary" ] || scripts/build.sh aarch64-unknown-linux-musl >&2
gcc -O2 -shared -fPIC -o "$WORK/count.so" scripts/count-instructions.c
count() {
  qemu-aarch64 -plugin "$WORK/count.so" "$binary" bundle query --bundle "$WORK/big.bundle" --batch \
    <"$1" 2>&1 >/dev/null | sed -n 's/^instructions: //p'
}
head -n 1 "$WORK/queries.tsv" >"$WORK/one.tsv"
awk 'NR == 1 || NR % 8 == 0' "$WORK/queries.tsv" >"$WORK/some.tsv"
one=$(count "$WORK/one.tsv")
some=$(count "$WORK/some.tsv")
queries=$(($(wc -l <"$WORK/some.tsv") - 1))
echo "aarch64: $(((some - one) / queries / 1000)) thousand instructions a query (mean of $queries);" \
  "$((one / 1000000)) million to start, open and verify"
