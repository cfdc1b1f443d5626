#!/usr/bin/env bash
# What the x86_64 release binary is made of, in bytes of each part, against its budget.
#
#   scripts/bench-size.sh [WITH_SYMBOLS]      default: built here, its std from Debian's sources
#
# The shipped size is that of the same binary, stripped.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"
apt_need c++filt:binutils strip:binutils python3:python3
binary=${1:-}
[ -n "$binary" ] || binary=$(MUSL_STD=debian scripts/build.sh --symbols x86_64-unknown-linux-musl)
stripped=$(mktemp)
trap 'rm -f "$stripped"' EXIT
strip -o "$stripped" "$binary"
# The limit stands in one place only.
budget=$(sed -n 's/^BUDGET_BYTES=.*:-\([0-9]*\)}$/\1/p' scripts/build.sh)
python3 tests/tools/size_table.py "$binary" "$(stat -c %s "$stripped")" "$budget"
