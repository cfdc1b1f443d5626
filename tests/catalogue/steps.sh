# shellcheck shell=bash
# Words for the steps of the faults; sourced before each of them, inside the bed.
# Everything a fault makes is named cat-*, or lies below /srv/cat, /opt/cat, /run/cat.
set -eu
UNITS=/etc/systemd/system
SMALL=/srv/cat/small
if [ -d /run/systemd/system ]; then INIT=systemd
elif [ -x /sbin/openrc-run ]; then INIT=openrc
else INIT=sysv; fi

# A command that is run when the fault is over, last one first.
at_end() { printf '%s\n' "$*" >>/run/cat/at-end; }

# put FILE [MODE]: standard input, folders made. What says so already is left as it is: a shell may still be reading it.
put() {
  mkdir -p "$(dirname "$1")"
  cat >/run/cat/put
  cmp -s /run/cat/put "$1" || cat /run/cat/put >"$1"
  chmod "${2:-644}" "$1"
}

# What every fixture service runs unless it says otherwise: notes its start, does
# what /srv/cat/NAME.do says, then waits. Its command line is `cat-svc-NAME infinity`.
# shellcheck disable=SC2119,SC2120  # called without arguments it is the usual one
program() {
  put "${1:-/opt/cat/bin/svc}" 755 <<'PROGRAM'
#!/bin/bash
name=$1
echo "$EPOCHREALTIME $$" >>"/run/cat/$name.starts"
if [ -e "/srv/cat/$name.do" ]; then . "/srv/cat/$name.do"; fi
exec -a "cat-svc-$name" sleep infinity
PROGRAM
}

# behave NAME: shell text that the service runs at each start, before it waits.
behave() { put "/srv/cat/$1.do"; }

# svc_file NAME [LINE of [Service] | U:LINE of [Unit]]…: the file alone.
svc_file() {
  local name=$1 line section='' service='' exec='' wanted=WantedBy=multi-user.target
  shift
  program
  for line; do
    case $line in
      U:*) section+="${line#U:}"$'\n' ;;
      I:*) wanted=${line#I:} ;;
      ExecStart=*) exec=$line ;;
      *) service+="$line"$'\n' ;;
    esac
  done
  put "$UNITS/$name.service" <<UNIT
[Unit]
Description=Catalogue fixture
$section
[Service]
${exec:-ExecStart=/opt/cat/bin/svc $name}
$service
[Install]
$wanted
UNIT
  systemctl daemon-reload
}

# svc NAME […]: a service of this host's init, enabled and running.
svc() {
  local name=$1
  case $INIT in
    systemd)
      svc_file "$@"
      systemctl enable -q "$name.service"
      systemctl start "$name.service" || true
      ;;
    openrc)
      program
      put "/etc/init.d/$name" 755 <<SCRIPT
#!/sbin/openrc-run
command=/opt/cat/bin/svc
command_args=$name
command_background=yes
pidfile=/run/$name.pid
SCRIPT
      rc-update -q add "$name" default
      # The cache of dependencies, by which rc-status goes, is not renewed within the same second.
      rc-update -q -u >/dev/null 2>&1 || true
      # A service of this name that an earlier fault left crashed counts as started.
      rc-service -q "$name" zap || true
      rc-service -q "$name" start || true
      ;;
    sysv)
      program
      put "/etc/init.d/$name" 755 <<SCRIPT
#!/bin/sh
### BEGIN INIT INFO
# Provides: $name
# Required-Start:
# Required-Stop:
# Default-Start: 2
# Default-Stop: 0 1 6
# Short-Description: Catalogue fixture
### END INIT INFO
alive() { [ -e /run/$name.pid ] && kill -0 "\$(cat /run/$name.pid)" 2>/dev/null; }
case \$1 in
  start) alive || start-stop-daemon -S -b -m -p /run/$name.pid -a /opt/cat/bin/svc -- $name; sleep .2; alive ;;
  stop) start-stop-daemon -K -o -p /run/$name.pid; rm -f /run/$name.pid ;;
  restart) \$0 stop; \$0 start ;;
  status) [ -e /run/$name.pid ] || exit 3; alive || exit 1 ;;
  *) exit 2 ;;
esac
SCRIPT
      update-rc.d "$name" defaults >/dev/null
      "/etc/init.d/$name" start || true
      ;;
  esac
}

# svc_order NAME start|stop|restart, as an administrator does it.
svc_order() {
  case $INIT in
    systemd) systemctl "$2" "$1.service" || true ;;
    openrc) rc-service -q "$1" "$2" || true ;;
    sysv) "/etc/init.d/$1" "$2" >/dev/null || true ;;
  esac
}

svc_disable() {
  case $INIT in
    systemd) systemctl disable -q "$1.service" ;;
    openrc) rc-update -q del "$1" default ;;
    sysv) update-rc.d "$1" disable >/dev/null ;;
  esac
}

pid_of() {
  if [ $INIT = systemd ]; then systemctl show -P MainPID "$1.service"
  else cat "/run/$1.pid"; fi
}

# hit NAME [SIGNAL]: a signal to the main process, from nobody the init knows.
hit() {
  local pid
  pid=$(pid_of "$1")
  mark
  kill -"${2:-KILL}" "$pid"
}

# until_true SECONDS COMMAND…
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt "$end" ] || { echo "not in time: $*" >&2; return 1; }
    sleep .1
  done
}

# orphan COMMAND…: a process of no unit, as one that a login left behind.
orphan() {
  local root
  setsid "$@" </dev/null >/dev/null 2>&1 &
  ORPHAN=$!
  echo $ORPHAN >>/run/cat/pids
  for root in /sys/fs/cgroup /sys/fs/cgroup/*/; do
    [ -e "$root/cgroup.procs" ] || continue
    mkdir -p "$root/cat-orphan" 2>/dev/null || continue
    echo $ORPHAN >"$root/cat-orphan/cgroup.procs" 2>/dev/null || true
  done
}

# listener PORT: what a service runs to listen there, as an ExecStart line.
listener() { echo "ExecStart=/usr/bin/python3 /root/catalogue/listen.py $1"; }
listens() { ss -Hltn "sport = :$1" | grep -q .; }

# small_fs [MiB] [mkfs options…]: an ext4 of its own at $SMALL.
small_fs() {
  local size=${1:-8}
  [ $# = 0 ] || shift
  mkdir -p "$SMALL"
  truncate -s "${size}M" /srv/cat/small.img
  mkfs.ext4 -q -F -m 0 "$@" /srv/cat/small.img
  mount -o loop /srv/cat/small.img "$SMALL"
  at_end "umount -l $SMALL"
  mkdir -p "$SMALL/log" "$SMALL/data"
}

# fs_error MOUNT: as the kernel leaves it after an error: the file system is read-only, its mount is not. (A real error
# since Linux 6.13 is for good.)
fs_error() {
  mount -o remount,ro "$1"
  mount -o remount,bind,rw "$1"
}

# fill FILE KiB: may end early, the file system is then full.
fill() {
  mkdir -p "$(dirname "$1")"
  head -c "$(($2 * 1024))" /dev/zero >"$1" 2>/dev/null || true
  sync -f "$(dirname "$1")"
}
used() { df --output=pcent "$1" | tail -n 1 | tr -dc 0-9; }
inodes_used() { df --output=ipcent "$1" | tail -n 1 | tr -dc 0-9; }

# over PATH: an empty memory file system on a folder of /sys or /proc.
over() {
  mount -t tmpfs -o mode=755 tmpfs "$1"
  at_end "umount -l $1"
}

# in_daemon COMMAND…: in the mount namespace that the daemon's sandbox gives it, which
# has a /proc and a /sys of its own.
in_daemon() { nsenter -t "$(systemctl show -P MainPID autonomous-orchestrator)" -m -- "$@"; }

# say NAME PRIORITY TEXT: one line into the journal.
say() { echo "$3" | systemd-cat -t "$1" -p "$2"; }

# The moment of the fault, where a step takes long; `hit` notes its first signal by itself.
mark() { [ -e /run/cat/mark ] || echo "$EPOCHREALTIME" >/run/cat/mark; }
