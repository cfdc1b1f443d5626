#!/bin/bash
# A real Podman and the real daemon, in a mount namespace of their own: containers that fail in each way, one of which a
# human stopped, a job that is done, and a project of three with one root. Prints a table; see containers.py.
#
#   tests/e2e/containers.sh BINARY [--proven]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# /run/podman and the sockets of other engines are this run's own: nothing of the host's is listed or touched.
exec unshare --mount --propagation private bash -c '
  mount -t tmpfs tmpfs /run
  exec /usr/bin/python3 -B "$@"' containers "$here/containers.py" "$@"
