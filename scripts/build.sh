#!/usr/bin/env bash
# Fully static release binaries, one per target, into dist/.
#
#   scripts/build.sh [--cross] [TARGET…]
#       default: x86_64-unknown-linux-musl aarch64-unknown-linux-musl
#   scripts/build.sh --tests TARGET
#       the integration tests as one static program for another machine; prints its path
#   scripts/build.sh --debug TARGET
#       the program with its debug assertions and AO_KILL_AT; prints its path
#   scripts/build.sh --symbols TARGET
#       the release binary with its symbols, in target/symbols; prints its path
#
# Where the musl standard library comes from (MUSL_STD):
#   auto    (default) debian where its packages can be had, else rustup
#   debian  built once for size from Debian's rust-web-src with Debian's own
#           rustc; CI sets this, so that its result never depends on which host answers
#   rustup  the prebuilt one (`rustup target add`): 0.49 MB larger
#   cross   `cross build` with ./cross.toml (same as --cross; needs a container
#           engine)
# In all but `cross`, zig (from PyPI) is C compiler, musl libc and linker.
#
# Other knobs: AO_CACHE (zig, sysroots), BUDGET_BYTES (default 5 MiB),
# PROFILE (default release). Exit status 1 when an artefact is not static or
# is over its budget: everything is still copied to dist/ to look at.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Do not raise zig: from 0.16 on its musl has another malloc, which never gives
# small blocks back to the kernel and touches every calloc'd page (measured:
# 75.8 MB stayed resident after 50 MB were freed).
ZIG=0.15.2
ZIGBUILD=0.24.0
# Part of the sysroot's path, because cargo does not notice a std that changed
# behind an unchanged path. Raise it with any change in build_std.
STD_REV=2
# The binary stays below 5 MiB. A prebuilt standard library, which nobody can
# build for size, is allowed what it adds (491,840 bytes, measured on x86_64).
BUDGET_BYTES=${BUDGET_BYTES:-5242880}
PREBUILT_BYTES=524288
PROFILE=${PROFILE:-release}
MODE=${MUSL_STD:-auto}
# Apart from target/, so that a different compiler here and in daily work do
# not throw each other's build scripts away.
TARGET_DIR=${AO_STATIC_TARGET_DIR:-$ROOT/target/static}
VENV=$CACHE/zig-$ZIG-zigbuild-$ZIGBUILD
SYSROOT=

usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }

install_zig() {
  if [ ! -e "$VENV/.ok" ]; then
    python3 -c "import ensurepip, venv" 2>/dev/null || apt_need /nonexistent:python3-venv
    say "installing zig $ZIG and cargo-zigbuild $ZIGBUILD from PyPI"
    rm -rf "$VENV"
    mkdir -p "$CACHE"
    python3 -m venv "$VENV" || die "python3 -m venv failed: Debian needs python3-venv"
    "$VENV/bin/pip" install -q --disable-pip-version-check \
      "ziglang==$ZIG" "cargo-zigbuild==$ZIGBUILD"
    touch "$VENV/.ok"
  fi
  CARGO_ZIGBUILD_ZIG_PATH=$("$VENV/bin/python" -c \
    'import os, ziglang; print(os.path.join(os.path.dirname(ziglang.__file__), "zig"))')
  # Through a script that links once more, smaller.
  export ZIG_REAL=$CARGO_ZIGBUILD_ZIG_PATH
  export CARGO_ZIGBUILD_ZIG_PATH=$ROOT/scripts/zig-link.sh
}

try_rustup() {
  command -v rustup >/dev/null || return 1
  local target
  for target in "${TARGETS[@]}"; do
    rustup target list --installed 2>/dev/null | grep -qx "$target" && continue
    timeout 120 rustup target add "$target" >/dev/null 2>&1 \
      || { say "rustup cannot add $target here"; return 1; }
  done
}

# Debian's packages are here, or can be installed without asking anybody.
try_debian() {
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || [ -e /usr/lib/rustlib/src/rust/library/std/Cargo.toml ] || return 1
  command -v apt-get >/dev/null && (debian_rust)
}

debian_rust() {
  apt_need /usr/bin/rustc:rustc-web /usr/bin/cargo:cargo-web gcc:gcc \
    /usr/lib/rustlib/src/rust/library/std/Cargo.toml:rust-web-src \
    /usr/include/stdlib.h:libc6-dev
  local have
  have=$(/usr/bin/rustc -V | cut -d' ' -f2)
  version_ge "$have" "$(msrv)" || die "Debian's rustc $have is older than $(msrv)"
}

upper() { printf %s "$1" | tr 'a-z-' 'A-Z_'; }

# The stub crate whose only product is the standard library it depends on.
write_std_stub() {
  mkdir -p "$1/src"
  echo '#![no_std]' >"$1/src/lib.rs"
  # panic_abort must itself be compiled with panic=abort to be linkable.
  cat >"$1/Cargo.toml" <<'TOML'
cargo-features = ["profile-rustflags"]
[package]
name = "stdstub"
version = "0.0.0"
edition = "2021"
[workspace]
[profile.release]
codegen-units = 1
opt-level = "z"
[profile.release.package.panic_abort]
rustflags = ["-Cpanic=abort"]
TOML
}

# build_std TARGET: sets SYSROOT to a sysroot that holds only TARGET's std.
# RUSTC_BOOTSTRAP is set here and nowhere else: our own code is compiled as on
# stable. No "backtrace" feature: a stripped binary has nothing to symbolise.
build_std() {
  local target=$1 key tmp
  key=$(/usr/bin/rustc -vV | awk '/^release:/{r=$2} /^commit-hash:/{h=substr($2,1,9)} END{print r "-" h}')
  SYSROOT=$CACHE/sysroot-$key-r$STD_REV
  [ ! -e "$SYSROOT/$target.ok" ] || return 0
  say "building std $key for $target (once, some minutes)"
  tmp=$(mktemp -d "$CACHE/std.XXXXXX")
  write_std_stub "$tmp"
  (
    cd "$tmp"
    unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET
    env RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$tmp/target" \
      "CARGO_TARGET_$(upper "$target")_RUSTFLAGS=-Cembed-bitcode=yes -Ctarget-feature=+crt-static -Zforce-unstable-if-unmarked" \
      /usr/bin/cargo build -q --release --target "$target" \
      -Zbuild-std=std,panic_abort,test \
      -Zbuild-std-features=optimize_for_size,panic-unwind \
      --message-format=json >"$tmp/messages.json"
  ) || { rm -rf "$tmp"; die "std for $target did not build"; }
  mkdir -p "$SYSROOT/lib/rustlib/$target/lib"
  rm -f "$SYSROOT/lib/rustlib/$target/lib"/*
  # Only the artefacts of this run: leftovers of another would give rustc two
  # candidates of one crate.
  python3 - "$tmp/messages.json" "$SYSROOT/lib/rustlib/$target/lib" <<'PY'
import json, shutil, sys
for line in open(sys.argv[1]):
    message = json.loads(line)
    if message.get("reason") != "compiler-artifact" or message["target"]["name"] == "stdstub":
        continue
    for name in message["filenames"]:
        if name.endswith(".rlib"):
            shutil.copy(name, sys.argv[2])
PY
  rm -rf "$tmp"
  touch "$SYSROOT/$target.ok"
}

# build_zig COMMAND…: all of TARGETS in one run, so that the last, single-threaded
# part of one (linking everything into one unit) fills the time of the other.
build_zig() {
  local target flags all=()
  for target in "${TARGETS[@]}"; do
    # With panic=abort nothing ever unwinds: the tables would be a tenth of the binary.
    flags="-Clink-self-contained=no -Ctarget-feature=+crt-static -Cforce-unwind-tables=no"
    # Position independent, so that addresses are random; with the packed
    # relocations of zig-link.sh that costs 0.02 MB. Tried on these two only.
    case $target in x86_64-* | aarch64-*) flags="$flags -Clink-arg=-pie" ;; esac
    if [ "$MODE" = debian ]; then
      build_std "$target"
      flags="--sysroot=$SYSROOT $flags"
    fi
    # These names tell for which type a generic function was made.
    [ -z "$SYMBOLS" ] || flags="$flags -Csymbol-mangling-version=v0"
    all+=(--target "$target")
    export "CARGO_TARGET_$(upper "$target")_RUSTFLAGS=$flags"
  done
  [ "$MODE" != debian ] || export RUSTC=/usr/bin/rustc CARGO=/usr/bin/cargo
  # The bundle has an index of its own; FTS5 (0.1 MB) is only what benchmarks compare it with, and alone reads blobs in pieces.
  env CARGO_TARGET_DIR="$TARGET_DIR" \
    LIBSQLITE3_FLAGS="$(sed -n 's/^LIBSQLITE3_FLAGS = "\(.*\)"$/\1/p' .cargo/config.toml) -USQLITE_ENABLE_FTS5 -DSQLITE_OMIT_INCRBLOB" \
    CFLAGS="-fno-asynchronous-unwind-tables -fno-unwind-tables -mllvm=-enable-machine-outliner=always" \
    "$VENV/bin/cargo-zigbuild" "${@:-zigbuild}" -q --locked --profile "$PROFILE" "${all[@]}"
}

build_cross() {
  command -v cross >/dev/null || die "cross not found: cargo install cross --version 0.2.5"
  # cross looks for Cross.toml; ours is lower case, so it must be told.
  CROSS_CONFIG=$ROOT/cross.toml CARGO_TARGET_DIR=$TARGET_DIR \
    cross build --locked --profile "$PROFILE" --target "$1"
}

# What `--version` tells beside the number.
AO_BUILT_OF=${AO_BUILT_OF:-$(git -C "$ROOT" describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null || echo 'no commit')}
export AO_BUILT_OF

# check TARGET FILE: static, right machine, within budget. Prints one line.
check() {
  local target=$1 file=$2 size machine verdict=ok kind=static
  size=$(stat -c %s "$file")
  machine=$(readelf -hW "$file" | sed -n 's/^ *Machine: *//p')
  readelf -hW "$file" | grep -q 'Type: *DYN' && kind=static-pie
  # A static-pie carries a DYNAMIC segment for its own relocations; what may
  # not be there is an interpreter or a needed library.
  if readelf -lW "$file" | grep -q ' INTERP ' || readelf -dW "$file" | grep -q '(NEEDED)'; then
    verdict='NOT STATIC'
  elif [ "$size" -gt "$BUDGET_BYTES" ]; then
    verdict='OVER BUDGET'
  fi
  case $target:$machine in
    x86_64*:*X86-64* | aarch64*:*AArch64* | arm*:ARM* | riscv64*:RISC-V*) ;;
    *) verdict="WRONG MACHINE" ;;
  esac
  printf '%-32s %-24s %-10s %9d of %d bytes (%d %%)  %s\n' \
    "$target" "$machine" "$kind" "$size" "$BUDGET_BYTES" $((size * 100 / BUDGET_BYTES)) "$verdict"
  [ "$verdict" = ok ]
}

TARGETS=() TESTS='' DEBUG='' SYMBOLS=''
for arg in "$@"; do
  case $arg in
    -h | --help) usage; exit 0 ;;
    --cross) MODE=cross ;;
    --tests) TESTS=1 PROFILE=dev ;;
    --debug) DEBUG=1 PROFILE=dev ;;
    --symbols) SYMBOLS=1 PROFILE=release TARGET_DIR=$ROOT/target/symbols ;;
    -*) die "unknown option $arg (see --help)" ;;
    *) TARGETS+=("$arg") ;;
  esac
done
[ ${#TARGETS[@]} -gt 0 ] || TARGETS=(x86_64-unknown-linux-musl aarch64-unknown-linux-musl)

apt_need readelf:binutils python3:python3
case $MODE in
  auto)
    if try_debian; then MODE=debian
    elif try_rustup; then MODE=rustup
    else die "no musl standard library: neither Debian's rust-web-src nor rustup's target can be had here"; fi
    ;;
  rustup) try_rustup || die "rustup target add failed: MUSL_STD=debian builds std from Debian's sources" ;;
  debian | cross) ;;
  *) die "MUSL_STD=$MODE: must be auto, rustup, debian or cross" ;;
esac
say "musl std from: $MODE"
case $MODE in rustup | cross) BUDGET_BYTES=$((BUDGET_BYTES + PREBUILT_BYTES)) ;; esac
[ "$MODE" = cross ] || install_zig
[ "$MODE" != debian ] || debian_rust

cd "$ROOT"
if [ -n "$TESTS" ]; then
  [ "$MODE" != cross ] || die "--tests: not with cross"
  CARGO_PROFILE_DEV_STRIP=symbols build_zig test --no-run --message-format=json --test integration |
    sed -n 's/.*"name":"integration".*"executable":"\([^"]*\)".*/\1/p'
  exit
fi
if [ -n "$DEBUG" ]; then
  [ "$MODE" != cross ] || die "--debug: not with cross"
  CARGO_PROFILE_DEV_STRIP=symbols build_zig
  echo "$TARGET_DIR/${TARGETS[0]}/debug/$NAME"
  exit
fi
if [ -n "$SYMBOLS" ]; then
  [ "$MODE" != cross ] || die "--symbols: not with cross"
  CARGO_PROFILE_RELEASE_STRIP=none build_zig
  echo "$TARGET_DIR/${TARGETS[0]}/release/$NAME"
  exit
fi
mkdir -p dist
status=0
[ "$MODE" = cross ] || build_zig
for target in "${TARGETS[@]}"; do
  [ "$MODE" != cross ] || build_cross "$target"
  built=$TARGET_DIR/$target/$([ "$PROFILE" = dev ] && echo debug || echo "$PROFILE")/$NAME
  [ -f "$built" ] || die "no binary at $built"
  # By rename: a running copy of the old one must not see "text file busy".
  install -m 755 "$built" "dist/.$NAME-$target.new"
  mv "dist/.$NAME-$target.new" "dist/$NAME-$target"
  check "$target" "dist/$NAME-$target" || status=1
done
# Sums of everything in dist/, so that building one target keeps the others'.
(cd dist && sha256sum "$NAME"-* >.sums && mv .sums SHA256SUMS && cat SHA256SUMS)
exit $status
