#!/usr/bin/env bash
# Applies the deliberate breaks of tests/mutants/breaks.toml, one at a time, to
# a copy of this tree and runs the library's tests, which must turn red.
#
#   scripts/check-mutants.sh
#
# The table says for each break whether a test noticed and which one was the
# first. Status 1 when one stays green, no longer applies or does not compile,
# or when the tests fail without any.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

LIST=tests/mutants/breaks.toml
breaks() { python3 -B tests/tools/breaks.py "$1" "$LIST" "${@:2}"; }

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
export CARGO_TARGET_DIR=$copy/target CARGO_INCREMENTAL=1 CARGO_TERM_COLOR=never
mkdir "$copy/tree"
# As they are now, committed or not.
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy/tree"

library_tests() { (cd "$copy/tree" && cargo test --locked --lib -q "$@") >"$copy/log" 2>&1; }
row() { printf '%-52s  %-15s  %s\n' "$@"; }
first_failing() { sed -n 's/^---- \(.*\) stdout ----$/\1/p;T;q' "$copy/log"; }

say "building the copy"
library_tests || { tail -30 "$copy/log" >&2; die "the tests fail without any break"; }

status=0
row break verdict 'first failing test'
for ((n = 0; n < $(breaks count); n++)); do
  if ! breaks apply $n "$copy/tree" 2>"$copy/log"; then
    verdict='does not apply' test=$(sed "s|$copy/tree/||" "$copy/log")
  else
    if ! library_tests --no-run; then
      verdict='does not build' test=$(grep -m1 '^error' "$copy/log" || true)
    # Most are noticed by the core's own tests, in seconds.
    elif ! library_tests core::; then
      verdict=red test=$(first_failing)
    elif library_tests; then
      verdict=GREEN test=-
    else
      verdict=red test=$(first_failing)
    fi
    breaks mend $n "$copy/tree"
  fi
  [ "$verdict" = red ] || status=1
  row "$(breaks name $n)" "$verdict" "$test"
done
exit $status
