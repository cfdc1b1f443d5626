#!/usr/bin/env bash
# Ordinary lines of services at work, and what of them is a finding.
#
#   tests/tools/ordinary.sh make OUT            runs a dozen services in a throw-away Debian and keeps their logs in OUT
#   tests/tools/ordinary.sh score OUT [BINARY]  findings and told per 1,000 lines, a grep of eight words beside them
#
# Nothing in OUT is wrong: each service starts, serves ordinary clients, is asked to reload, and ends. The lines are made
# anew by each run and kept nowhere. Root only; the root file system is cached below AO_CACHE.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
HERE=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
CACHE=${AO_CACHE:-$HOME/.cache/$NAME}/ordinary-1
PACKAGES=nginx-light,mosquitto,mosquitto-clients,redis-server,postgresql,dnsmasq,haproxy,unbound,lighttpd,openssh-server,rsyslog,network-manager,avahi-daemon,dbus,chrony,memcached,curl,procps,iproute2,cron,openssh-client,bind9-dnsutils,logrotate,vsftpd,tinyproxy,ntpsec-ntpdate
usage() { sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

root_fs() {
  [ -e "$CACHE/done" ] && return
  rm -rf "$CACHE"; mkdir -p "$CACHE"
  mmdebstrap --variant=apt --include="$PACKAGES" bookworm "$CACHE/root" ${AO_MIRROR:+"$AO_MIRROR"} >"$CACHE/install.log" 2>&1
  : >"$CACHE/done"
}

make() {
  local out=$1 work
  [ "$(id -u)" = 0 ] || die "root only: it makes namespaces"
  mkdir -p "$out"
  root_fs
  work=$(mktemp -d)
  mkdir "$work/upper" "$work/work" "$work/root"
  mount -t overlay overlay -o "lowerdir=$CACHE/root,upperdir=$work/upper,workdir=$work/work" "$work/root"
  # shellcheck disable=SC2064
  trap "umount '$work/root'; rm -rf '$work'" EXIT
  install -m 755 "$HERE/ordinary_services.sh" "$work/root/services.sh"
  mkdir "$work/root/out"
  unshare --mount --pid --net --uts --ipc --fork --kill-child --mount-proc="$work/root/proc" \
    chroot "$work/root" /services.sh "${ROUNDS:-40}"
  cp "$work/root/out"/*.log "$out/"
  cp "$CACHE/root/var/log/dpkg.log" "$CACHE/install.log" "$out/" 2>/dev/null || true
  wc -l "$out"/*.log | tail -1
}

case ${1:-} in
  make) [ $# -eq 2 ] || usage; make "$2" ;;
  score) [ $# -ge 2 ] || usage; exec python3 "$HERE/ordinary_score.py" "$2" "${3:-$ROOT/target/release/$NAME}" ;;
  *) usage ;;
esac
