#!/usr/bin/env bash
# A real init system as PID 1 in its own namespaces, for one test.
#
#   scripts/bed.sh run systemd|sysv|openrc TESTSCRIPT [file:dest …]
#   scripts/bed.sh build systemd|sysv|openrc
#
# `run` boots a throw-away copy of a cached Debian root file system, copies the
# files in (mode kept), runs TESTSCRIPT inside as root and exits with its exit
# status. The bed has no network but lo. It is always torn down, also on a
# signal. Root only; no container engine and no systemd on the host needed.
#
#   BED_FAULTS=1   (default) loop devices and the kernel log are visible inside
#   BED_TIMEOUT    seconds for the test, default 600
#   BED_ENV        NAME=VALUE words for the test's environment
#   BED_TMPFS      size of the writable layer, default 2g
#   AO_CACHE       where the root file systems are kept
#   AO_MIRROR      Debian mirror, default mmdebstrap's
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ROOTFS_REV=1
SUITE=bookworm
PKGS_ALL=iproute2,procps,busybox,socat,e2fsprogs,kmod,openssl,netcat-openbsd,logrotate,python3,ca-certificates
# No clock, no modules, no raw I/O: what happens in a bed stays in it.
DROP=(setpriv "--bounding-set=-sys_time,-sys_module,-sys_rawio" --inh-caps=-all)
INNER_ENV=(env -i HOME=/root LANG=C.UTF-8 TERM=dumb
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)

log() { printf '[bed %3ds] %s\n' "$SECONDS" "$*" >&2; }

packages() {
  case $1 in
    systemd) echo "systemd,systemd-sysv,dbus,udev,$PKGS_ALL" ;;
    sysv) echo "sysvinit-core,sysv-rc,initscripts,$PKGS_ALL" ;;
    openrc) echo "sysvinit-core,openrc,initscripts,$PKGS_ALL" ;;
    *) die "unknown init $1: systemd, sysv or openrc" ;;
  esac
}

tune_systemd() {
  local unit
  for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer logrotate.timer getty.target console-getty.service \
    getty@tty1.service systemd-udevd.service systemd-udev-trigger.service systemd-logind.service; do
    ln -sf /dev/null "$1/etc/systemd/system/$unit"
  done
  : >"$1/etc/machine-id"
  mkdir -p "$1/var/log/journal"
}

# Only what init itself must do here: the boot scripts of a real machine mount
# disks and set clocks. BusyBox syslogd is what small gateways log with.
tune_sysv() {
  cat >"$1/etc/inittab" <<'TAB'
id:2:initdefault:
l2:2:wait:/etc/init.d/rc 2
sl:2345:respawn:/bin/busybox syslogd -n -O /var/log/messages
TAB
}

tune_openrc() {
  rm -f "$1"/etc/runlevels/*/*
  cat >"$1/etc/inittab" <<'TAB'
id:2:initdefault:
si::sysinit:/sbin/openrc sysinit
bo::bootwait:/sbin/openrc boot
l2:2:wait:/sbin/openrc default
sl:2345:respawn:/bin/busybox syslogd -n -O /var/log/messages
TAB
  # OpenRC asks what it runs in; here nothing but "a container" is true.
  echo 'rc_sys="lxc"' >>"$1/etc/rc.conf"
}

# build INIT: sets ROOTFS; one process builds, the others wait for it.
build() {
  local init=$1 pkgs tmp
  pkgs=$(packages "$init")
  ROOTFS=$CACHE/beds/$init-$ROOTFS_REV-$(printf %s "$pkgs" | cksum | cut -d' ' -f1)
  [ ! -e "$ROOTFS/.done" ] || return 0
  apt_need mmdebstrap:mmdebstrap flock:util-linux
  mkdir -p "$CACHE/beds"
  exec 9>"$CACHE/beds/.lock-$init"
  flock 9
  if [ ! -e "$ROOTFS/.done" ]; then
    log "building the $init root file system (once)"
    tmp=$ROOTFS.new
    rm -rf --one-file-system "$tmp"
    mmdebstrap -q --variant=minbase --components=main --include="$pkgs" --format=directory \
      "$SUITE" "$tmp" ${AO_MIRROR:+"$AO_MIRROR"} || die "mmdebstrap failed for the $init bed"
    "tune_$init" "$tmp"
    # mmdebstrap's own caches are a third of it.
    rm -rf "$tmp"/var/lib/apt/lists/* "$tmp"/var/cache/apt/*.bin "$tmp"/usr/share/doc "$tmp"/usr/share/locale
    touch "$tmp/.done"
    rm -rf --one-file-system "$ROOTFS"
    mv "$tmp" "$ROOTFS"
    log "root file system ready ($(du -sm "$ROOTFS" | cut -f1) MB)"
  fi
  exec 9>&-
}

# The cgroup folders we own: one per controller on v1 and hybrid hosts.
find_cgroups() {
  local c
  if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
    CGS=(/sys/fs/cgroup)
    return
  fi
  for c in systemd unified memory pids cpu cpuacct blkio devices freezer; do
    [ ! -d "/sys/fs/cgroup/$c" ] || CGS+=("/sys/fs/cgroup/$c")
  done
}

# Runs in the new namespaces and becomes init. Written to a file instead of a
# quoted argument so that shellcheck reads it too.
write_stage2() {
  cat >"$1" <<'STAGE'
set -euo pipefail
rootfs=$1 work=$2 name=$3 init=$4
shift 4
m=$work/m r=$work/m/r
mkdir "$m"
mount -t tmpfs -o "size=${BED_TMPFS:-2g}" tmpfs "$m"
mkdir "$m/u" "$m/w" "$r"
mount -t overlay overlay -o "lowerdir=$rootfs,upperdir=$m/u,workdir=$m/w" "$r"
mount -t proc proc "$r/proc"
# sysctls are the host's: read-only, or the boot changes them.
for p in sys sysrq-trigger; do
  [ -e "$r/proc/$p" ] || continue
  mount --bind "$r/proc/$p" "$r/proc/$p"
  mount -o remount,bind,ro "$r/proc/$p"
done
mount -t sysfs -o ro sysfs "$r/sys"
if [ "$*" = /sys/fs/cgroup ]; then
  mount -t cgroup2 cgroup2 "$r/sys/fs/cgroup"
else
  mount -t tmpfs -o mode=755 tmpfs "$r/sys/fs/cgroup"
  for c; do
    n=${c##*/}
    mkdir "$r/sys/fs/cgroup/$n"
    case $n in
      systemd) mount -t cgroup -o none,name=systemd cgroup "$r/sys/fs/cgroup/$n" ;;
      unified) mount -t cgroup2 cgroup2 "$r/sys/fs/cgroup/$n" ;;
      *) mount -t cgroup -o "$n" cgroup "$r/sys/fs/cgroup/$n" ;;
    esac
  done
  # Read-only, or systemd claims further hierarchies of the host.
  mount -o remount,ro "$r/sys/fs/cgroup"
fi
mount -t tmpfs -o mode=755 tmpfs "$r/dev"
mkdir "$r/dev/pts" "$r/dev/shm"
for n in null zero full random urandom tty; do
  mknod -m 666 "$r/dev/$n" c $(stat -c '0x%t 0x%T' "/dev/$n")
done
if [ "${BED_FAULTS:-1}" = 1 ]; then
  mknod -m 600 "$r/dev/kmsg" c 1 11
  mknod -m 600 "$r/dev/loop-control" c 10 237
  for i in $(seq 0 15); do mknod -m 600 "$r/dev/loop$i" b 7 "$i"; done
fi
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$r/dev/pts"
ln -s pts/ptmx "$r/dev/ptmx"
mount -t tmpfs -o mode=1777 tmpfs "$r/dev/shm"
ln -s /proc/self/fd "$r/dev/fd"
for i in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${i%:*}" "$r/dev/${i#*:}"; done
if [ "$init" != systemd ]; then
  : >"$r/dev/console"
  mount --bind "$work/console.log" "$r/dev/console"
fi
mount -t tmpfs -o mode=755 tmpfs "$r/run"
mkdir -p "$r/run/lock"
mount -t tmpfs -o mode=1777 tmpfs "$r/tmp"
echo "127.0.0.1 localhost $name" >"$r/etc/hosts"
echo "$name" >"$r/etc/hostname"
hostname "$name"
ip link set lo up
cd "$r"
mkdir -p mnt/.old
pivot_root . mnt/.old
umount -l /mnt/.old
args=()
[ "$init" != systemd ] || args=(--show-status=0 --log-target=journal)
exec env -i container=aobed PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init "${args[@]}"
STAGE
}

in_bed() { "${DROP[@]}" nsenter -t "$LEADER" -a "${INNER_ENV[@]}" "$@"; }

# Loop devices made in the bed by hand outlive it; those whose backing file
# lies on one of the bed's own file systems are ours.
free_loops() {
  local devs name dev
  devs=" $(awk '$0 ~ / - (overlay|tmpfs) /{printf "%s ", $3}' "/proc/$LEADER/mountinfo" 2>/dev/null)"
  losetup -nO NAME,BACK-MAJ:MIN 2>/dev/null | while read -r name dev; do
    case $devs in *" $dev "*) losetup -d "$name" ;; esac
  done
}

wait_gone() { # PID TENTHS
  local i
  for ((i = 0; i < $2; i++)); do
    kill -0 "$1" 2>/dev/null || return 0
    sleep .1
  done
  return 1
}

cleanup() {
  set +e
  trap - EXIT INT TERM HUP
  [ -z "$TESTER" ] || kill "$TESTER" 2>/dev/null
  if [ -n "$LEADER" ] && kill -0 "$LEADER" 2>/dev/null; then
    free_loops
    if [ "$INIT" = systemd ]; then
      kill -s RTMIN+4 "$LEADER"
      wait_gone "$OUTER" 100
    fi
    kill -KILL "$LEADER" 2>/dev/null
  fi
  if [ -n "$OUTER" ]; then
    kill -KILL "$OUTER" 2>/dev/null
    wait "$OUTER" 2>/dev/null
  fi
  local c _
  for c in "${CGS[@]}"; do
    for _ in 1 2 3 4 5 6; do
      [ -d "$c/$BED" ] || break
      find "$c/$BED" -depth -type d -exec rmdir {} + 2>/dev/null
      [ ! -d "$c/$BED" ] || sleep .2
    done
  done
  rm -rf --one-file-system "$WORK"
}

boot() {
  local c state=up i
  find_cgroups
  for c in "${CGS[@]}"; do mkdir -p "$c/$BED"; done
  : >"$WORK/console.log"
  write_stage2 "$WORK/stage2"
  # setsid and pdeathsig: if this script is killed, the bed goes with it.
  # shellcheck disable=SC2016  # expanded by the inner shell
  setpriv --pdeathsig KILL setsid bash -c '
    bed=$1; shift
    while [ "$1" != -- ]; do echo $$ >"$1/$bed/cgroup.procs"; shift; done
    shift; exec "$@"' enter "$BED" "${CGS[@]}" -- \
    unshare --mount --pid --ipc --uts --net --cgroup --fork --kill-child=KILL --propagation private \
    "${DROP[@]}" bash "$WORK/stage2" "$ROOTFS" "$WORK" "$BED" "$INIT" "${CGS[@]}" \
    </dev/null >>"$WORK/console.log" 2>&1 &
  OUTER=$!
  local comm=init
  [ "$INIT" != systemd ] || comm=systemd
  for ((i = 0; i < 200; i++)); do
    LEADER=$(pgrep -P "$OUTER" -x "$comm") && break
    kill -0 "$OUTER" 2>/dev/null || { cat "$WORK/console.log" >&2; die "the $INIT bed did not start"; }
    sleep .05
  done
  [ -n "$LEADER" ] || { cat "$WORK/console.log" >&2; die "no init after 10 s"; }
  for ((i = 0; i < 600; i++)); do
    if [ "$INIT" = systemd ]; then
      state=$(in_bed systemctl is-system-running 2>/dev/null) || true
      case $state in running | degraded) break ;; esac
    else
      # Both inits start syslogd last, when the runlevel is complete.
      in_bed pidof syslogd busybox >/dev/null 2>&1 && break
    fi
    sleep .1
  done
  log "$INIT bed up: $state"
  if [ "$state" = degraded ]; then in_bed systemctl --failed --no-pager >&2 || true; fi
}

copy_in() { # SRC DEST
  # shellcheck disable=SC2016,SC2094  # expanded inside; the paths are of two file systems
  in_bed sh -c 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"' \
    sh "$2" "$(stat -Lc %a "$1")" <"$1"
}

run() {
  local test pair rc=0
  test=$(readlink -f "$1")
  [ -f "$test" ] || die "no test script $1"
  shift
  [ "$(id -u)" = 0 ] || die "needs root (namespaces, mounts)"
  build "$INIT"
  BED=aobed$$
  WORK=$(mktemp -d "${TMPDIR:-/tmp}/aobed.XXXXXX")
  trap cleanup EXIT
  trap 'exit 130' INT TERM HUP
  boot
  for pair; do copy_in "${pair%%:*}" "${pair#*:}"; done
  copy_in "$test" /root/test.sh
  local vars
  read -ra vars <<<"${BED_ENV:-}"
  INNER_ENV+=("${vars[@]}")
  # Under systemd through systemd-run: it gives the test the bed's own
  # capabilities and cgroup. In the background, because a trap cannot run
  # while a foreground command does.
  if [ "$INIT" = systemd ]; then
    timeout "${BED_TIMEOUT:-600}" "${DROP[@]}" nsenter -t "$LEADER" -a "${INNER_ENV[@]}" \
      systemd-run -q --pipe --wait -p KillMode=control-group -p "Environment=HOME=/root LANG=C.UTF-8 ${BED_ENV:-}" \
      /bin/bash /root/test.sh &
  else
    timeout "${BED_TIMEOUT:-600}" "${DROP[@]}" nsenter -t "$LEADER" -a "${INNER_ENV[@]}" \
      /bin/bash /root/test.sh &
  fi
  TESTER=$!
  wait "$TESTER" || rc=$?
  TESTER=
  log "test exit status $rc"
  if [ "$rc" != 0 ]; then
    if [ "$INIT" = systemd ]; then
      in_bed systemctl --failed --no-pager >&2 || true
      in_bed journalctl -n 40 --no-pager >&2 || true
    else
      tail -n 40 "$WORK/console.log" >&2
      in_bed tail -n 40 /var/log/messages >&2 || true
    fi
  fi
  exit "$rc"
}

ROOTFS='' BED='' WORK='' OUTER='' LEADER='' TESTER='' INIT=''
CGS=()
[ $# -ge 2 ] || { sed -n '2,18s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
command=$1 INIT=$2
shift 2
packages "$INIT" >/dev/null
case $command in
  build) [ "$(id -u)" = 0 ] || die "needs root"; build "$INIT"; echo "$ROOTFS" ;;
  run) [ $# -ge 1 ] || die "run: which test script?"; run "$@" ;;
  *) die "unknown command $command: run or build" ;;
esac
