#!/bin/sh
# The part of deploy.sh that runs on the gateway, as root. POSIX sh, BusyBox is
# enough; systemd, OpenRC or SysV.
#   deploy-gateway.sh NEW_BINARY SHA256 WAIT_SECONDS
# Exit status 0: the new binary runs. 1: what was there before is back.
set -u
NEW=$1
SUM=$2
WAIT_S=$3
NAME=autonomous-orchestrator
BIN=/usr/local/bin/$NAME
UNIT=/etc/systemd/system/$NAME.service
SCRIPT=/etc/init.d/$NAME
STATE=/var/lib/$NAME
# Beside the state, not in /tmp: it must survive a power cut in the middle.
KEPT=$STATE/previous
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
# The uplink may drop now: half a deployment is worse than one nobody watches.
trap '' HUP PIPE

say() { echo "[gateway] $*" || :; }

if [ -d /run/systemd/system ]; then
  FILE=$UNIT
  svc_reload() { systemctl daemon-reload; }
  svc_enable() { systemctl enable -q $NAME; }
  # --no-block: a Type=notify service that never gets ready would hold us.
  svc_restart() { systemctl reset-failed $NAME 2>/dev/null; systemctl --no-block restart $NAME; }
  svc_stop() { systemctl stop $NAME; }
  svc_pid() { [ "$(systemctl show -P ActiveState $NAME)" = active ] && systemctl show -P MainPID $NAME; }
elif [ -x /sbin/openrc-run ] || command -v openrc-run >/dev/null 2>&1; then
  FILE=$SCRIPT
  svc_reload() { :; }
  svc_enable() { rc-update -q add $NAME default; }
  svc_restart() { rc-service -q $NAME stop >/dev/null 2>&1; rc-service -q $NAME start; }
  svc_stop() { rc-service -q $NAME stop; }
  svc_pid() { rc-service -q $NAME status >/dev/null 2>&1 && pgrep -o -x -f "$BIN run"; }
else
  FILE=$SCRIPT
  svc_reload() { :; }
  # `install` made the links.
  svc_enable() { :; }
  svc_restart() { $SCRIPT restart >/dev/null 2>&1; }
  svc_stop() { $SCRIPT stop; }
  svc_pid() { $SCRIPT status >/dev/null 2>&1 && cat /run/$NAME/$NAME.pid; }
fi

# Up means: running, and still the same process three seconds later.
comes_up() {
  n=0
  while [ $n -lt "$WAIT_S" ]; do
    if pid=$(svc_pid) && [ -n "$pid" ]; then
      sleep 3
      [ "$(svc_pid)" = "$pid" ] && return 0
      n=$((n + 3))
    fi
    sleep 1
    n=$((n + 1))
  done
  return 1
}

# Renamed into place: the old program may be running from this very file.
place() { cp "$1" "$2.new" && chmod "$3" "$2.new" && mv "$2.new" "$2"; }

give_up() {
  say "$1"
  rm -rf "$(dirname "$NEW")"
  exit 1
}

# What the new binary kept of the database when it migrated it; under this name
# the previous one takes it for a restore and lets nothing happen twice.
put_database_back() {
  for copy in "$STATE"/tasks.db.schema-*; do
    if [ -f "$copy" ] && [ -n "$(find "$copy" -newer "$KEPT")" ]; then
      svc_stop >/dev/null 2>&1
      mv "$copy" "$STATE/tasks.db.restoring" && say "the database is put back as it was before its migration"
    fi
  done
}

roll_back() {
  say "FAILED: $1"
  if [ -f "$KEPT/binary" ]; then
    place "$KEPT/binary" "$BIN" 755 || give_up "the previous binary could not be put back: $KEPT/binary"
    if [ -f "$KEPT/service" ]; then
      mode=644
      [ "$FILE" = "$UNIT" ] || mode=755
      place "$KEPT/service" "$FILE" $mode
    fi
    svc_reload
    put_database_back
    svc_restart
    if comes_up; then
      give_up "ROLLED BACK: the previous $($BIN --version 2>/dev/null) runs again, pid $(svc_pid)"
    fi
    give_up "ROLLED BACK, but the previous binary does not come up either: log in and run $BIN doctor"
  fi
  svc_stop >/dev/null 2>&1
  "$BIN" uninstall >/dev/null 2>&1 || rm -f "$FILE"
  rm -f "$BIN"
  svc_reload
  give_up "ROLLED BACK: nothing was installed before, and nothing is now"
}

# --- before anything is touched ---------------------------------------------
[ "$(sha256sum "$NEW" | cut -d' ' -f1)" = "$SUM" ] || give_up "the copy is damaged: nothing was changed"
chmod 755 "$NEW"
version=$("$NEW" --version 2>&1) || give_up "the new binary does not run here ($version): nothing was changed"

if ! mkdir -p "$KEPT.new" || ! chmod 700 "$KEPT.new"; then
  give_up "no folder for the previous binary: nothing was changed"
fi
if [ -x "$BIN" ]; then
  cp "$BIN" "$KEPT.new/binary" || give_up "no room for the previous binary: nothing was changed"
  [ ! -f "$FILE" ] || cp "$FILE" "$KEPT.new/service" || give_up "no room: nothing was changed"
  say "keeping $("$BIN" --version 2>/dev/null || echo 'the old binary')"
fi
sync
rm -rf "$KEPT" && mv "$KEPT.new" "$KEPT"

# --- the change ---------------------------------------------------------------
mkdir -p "$(dirname "$BIN")"
place "$NEW" "$BIN" 755 || roll_back "the new binary could not be written"
say "installing $version"
"$BIN" install || roll_back "install ended with status $?"
"$BIN" config check >/dev/null || roll_back "the configuration is not valid for the new binary"
svc_reload
svc_enable
# Shown, not judged: an uplink that is down now is no reason to go back.
"$BIN" doctor || say "doctor has remarks (status $?), see above"
svc_restart
comes_up || roll_back "not up within $WAIT_S s"
say "up: pid $(svc_pid), $version"
"$BIN" status 2>/dev/null | head -n 12
rm -rf "$(dirname "$NEW")"
exit 0
