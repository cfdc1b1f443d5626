#!/bin/bash
# A real Podman and the real daemon on a real systemd, in a bed: containers that fail in each way, one of which a human
# stopped, a job that is done, and a project of three with one root. Prints a table; see containers.py.
#
#   tests/e2e/containers.sh BINARY [proven]
set -euo pipefail
NAME=autonomous-orchestrator

# The engine of this machine, with its libraries: the bed has no network to fetch one from.
pack() {
  local program
  for program in podman runc conmon busybox; do
    program=$(command -v $program)
    echo "$program"
    ldd "$program" 2>/dev/null | awk '{ for (i = 1; i <= NF; i++) if ($i ~ /^\//) print $i }' || true
  done
  dpkg -L podman golang-github-containers-common golang-github-containers-image 2>/dev/null \
    | grep -E '^/(etc|usr/share)/containers/' || true
}

outside() {
  local binary=$1 what=${2:-} here
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  WORK=$(mktemp -d)
  trap 'rm -rf "$WORK"' EXIT
  pack | sort -u >"$WORK/list"
  tar -chf "$WORK/engine.tar" --no-recursion -T "$WORK/list" 2>/dev/null
  BED_ENV="CONTAINERS_WHAT=$what" BED_TIMEOUT=1000 "$here/../../scripts/bed.sh" run systemd "$here/containers.sh" \
    "$binary:/usr/local/bin/$NAME" "$WORK/engine.tar:/root/engine.tar" "$here/containers.py:/root/containers.py"
}

inside() {
  tar -C / -xf /root/engine.tar
  mkdir -p /var/lib/containers
  mount -t tmpfs -o size=1500m tmpfs /var/lib/containers
  exec python3 -B /root/containers.py "/usr/local/bin/$NAME" ${CONTAINERS_WHAT:+"--$CONTAINERS_WHAT"}
}

if [ $# -gt 0 ]; then outside "$@"; else inside; fi
