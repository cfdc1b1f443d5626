#!/usr/bin/env bash
# A zig that links executables a second time, by its own lld, with what zig's
# driver refuses to pass on. build.sh gives it to cargo-zigbuild as "zig".
#
#   ZIG_REAL   the zig to run (required)
#
# Measured on x86_64 (stripped): unwind tables 0.30 MB, packed relative
# relocations 0.20 MB, functions of the same code 0.03 MB (nothing here asks
# whether two of those are one: Rust gives them no identity, and of the three
# that SQLite compares each has code of its own). When the second link cannot be made, the first stands:
# larger, but the same program.
set -euo pipefail

zig=${ZIG_REAL:?the path of the zig to run}
out='' link=yes
if [ "${1:-}" = cc ]; then
  previous=
  for arg in "$@"; do
    [ "$previous" != -o ] || out=$arg
    case $arg in -c | -S | -E | -shared) link=no ;; esac
    previous=$arg
  done
fi
# Build scripts and proc macros are linked by the host's cc and never come here.
if [ -z "$out" ] || [ "$link" = no ]; then
  exec "$zig" "$@"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ZIG_VERBOSE_LINK=1 "$zig" "$@" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
grep -v '^ld\.lld ' "$work/log" >&2 || true
# Zig prints the arguments unquoted: a blank in a path makes the second link
# fail, which leaves the first.
read -ra lld < <(grep '^ld\.lld ' "$work/log" | tail -n1) || true
if [ ${#lld[@]} -eq 0 ]; then
  echo "zig-link: zig did not tell its link line: $out stays as it is" >&2
  exit 0
fi
args=()
for arg in "${lld[@]:1}"; do
  case $arg in
    --eh-frame-hdr) ;;
    *) args+=("$arg") ;;
  esac
done
# A panic aborts: nothing reads the tables, also those of std and of C code.
printf 'SECTIONS { /DISCARD/ : { *(.eh_frame) *(.gcc_except_table*) } } INSERT AFTER .text;\n' >"$work/discard.ld"
cp "$out" "$work/first"
if ! "$zig" ld.lld "${args[@]}" --no-eh-frame-hdr --pack-dyn-relocs=relr --icf=all \
  "$work/discard.ld" 2>"$work/log"; then
  cat "$work/log" >&2
  echo "zig-link: the second link failed: $out stays as it is" >&2
  cp "$work/first" "$out"
fi
