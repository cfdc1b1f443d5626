#!/usr/bin/env bash
# Each finding class: where its fixture comes from, and whether it is detected
# and cleared on systemd, on OpenRC and SysV with BusyBox tools, and in a bare
# container without any init.
#
#   scripts/class-table.sh [BINARY] [systemd|openrc|sysv|bare …]
#
# BINARY defaults to dist/autonomous-orchestrator-<native>-unknown-linux-musl,
# built when missing. Root only (namespaces). Exit status 1 when a class that
# exists in a place was not detected or not cleared there.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
E2E=$ROOT/tests/e2e
BINARY=$ROOT/dist/$NAME-$(uname -m)-unknown-linux-musl
if [ $# -gt 0 ] && [ -f "$1" ]; then BINARY=$(readlink -f "$1"); shift; fi
[ -x "$BINARY" ] || "$ROOT/scripts/build.sh" "$(uname -m)-unknown-linux-musl"
PLACES=("$@")
[ ${#PLACES[@]} -gt 0 ] || PLACES=(systemd openrc sysv bare)

FILES=("$BINARY:/usr/local/bin/$NAME" "$E2E/classes.py:/root/e2e/classes.py")
for file in "$ROOT"/tests/fixtures/classes/*; do
  FILES+=("$file:/root/e2e/fixtures/$(basename "$file")")
done
OUT=$(mktemp -d)
trap 'rm -rf "$OUT"' EXIT

# No init at all: a throw-away copy of the same root file system, the test as
# PID 1's child, nothing else running.
run_bare() {
  local rootfs
  rootfs=$("$ROOT/scripts/bed.sh" build sysv 2>/dev/null | tail -n 1)
  # shellcheck disable=SC2016  # expanded inside
  timeout 600 unshare --mount --pid --ipc --uts --net --fork --kill-child=KILL --propagation private \
    bash -euc '
      m=$1 rootfs=$2 fixtures=$3
      shift 3
      mount -t tmpfs -o size=512m tmpfs "$m"
      mkdir "$m/u" "$m/w" "$m/r"
      mount -t overlay overlay -o "lowerdir=$rootfs,upperdir=$m/u,workdir=$m/w" "$m/r"
      r=$m/r
      mount -t proc proc "$r/proc"
      mount -t sysfs sysfs "$r/sys"
      mount -t tmpfs tmpfs "$r/run"
      mount -t tmpfs tmpfs "$r/tmp"
      mount -t tmpfs -o mode=755 tmpfs "$r/dev"
      for n in null:3 zero:5 random:8 urandom:9; do mknod -m 666 "$r/dev/${n%:*}" c 1 "${n#*:}"; done
      mknod -m 600 "$r/dev/loop-control" c 10 237
      for i in $(seq 0 15); do mknod -m 600 "$r/dev/loop$i" b 7 "$i"; done
      ip link set lo up
      for pair; do mkdir -p "$(dirname "$r${pair#*:}")"; cp "${pair%%:*}" "$r${pair#*:}"; done
      exec env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        chroot "$r" /usr/bin/python3 /root/e2e/classes.py bare' bare "$OUT" "$rootfs" "$ROOT/tests/fixtures/classes" "${FILES[@]}"
}

status=0
RESULTS=$(mktemp -d)
for place in "${PLACES[@]}"; do
  echo "-- $place" >&2
  if [ "$place" = bare ]; then
    run_bare >"$RESULTS/$place" || status=1
  else
    printf '#!/bin/bash\nexec python3 /root/e2e/classes.py %s\n' "$place" >"$OUT/test.sh"
    BED_TIMEOUT=600 "$ROOT/scripts/bed.sh" run "$place" "$OUT/test.sh" "${FILES[@]}" >"$RESULTS/$place" || status=1
  fi
  grep -v '^ROW' "$RESULTS/$place" >&2 || true
done

# One row a class, one column a place.
python3 - "$RESULTS" "${PLACES[@]}" <<'PY'
import sys
folder, places = sys.argv[1], sys.argv[2:]
rows, origins = {}, {}
for place in places:
    for line in open(f"{folder}/{place}", encoding="utf-8"):
        if line.startswith("ROW\t"):
            _, name, origin, detected, cleared = line.rstrip("\n").split("\t")
            rows.setdefault(name, {})[place] = f"{detected} / {cleared}" if cleared else detected
            origins[name] = origin
print("| class | fixture | " + " | ".join(places) + " |")
print("|---|---|" + "---|" * len(places))
for name, cells in rows.items():
    print(f"| {name} | {origins[name]} | " + " | ".join(cells.get(p, "") for p in places) + " |")
PY
rm -rf "$RESULTS"
exit $status
