#!/bin/bash
# Runs INSIDE a bed (systemd, SysV or OpenRC) as root: `install`, the service
# runs and comes back as its init can bring it back, `uninstall` leaves nothing
# but the state and the configuration.
# shellcheck disable=SC2317  # functions are handed to check and wait_until by name
set -euo pipefail
NAME=autonomous-orchestrator
BIN=/usr/local/bin/$NAME
FAILED=0

check() { # TEXT COMMAND…
  local text=$1
  shift
  if "$@" >/tmp/check.out 2>&1; then
    echo "ok    $text"
  else
    echo "FAIL  $text: $(head -c 300 /tmp/check.out)"
    FAILED=1
  fi
}
# wait_until SECONDS COMMAND…
wait_until() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep .1
  done
}

if [ -d /run/systemd/system ]; then
  INIT=systemd
  running() { [ "$(systemctl show -P ActiveState "$NAME")" = active ]; }
  service() { systemctl "$1" "$NAME"; }
  daemon_pid() { systemctl show -P MainPID "$NAME"; }
  enabled() { systemctl is-enabled -q "$NAME"; }
  FILES=("/etc/systemd/system/$NAME.service")
elif command -v openrc-run >/dev/null || [ -x /sbin/openrc-run ]; then
  INIT=openrc
  running() { rc-service "$NAME" status && pgrep -x -f "$BIN run"; }
  service() { rc-service "$NAME" "$1"; }
  daemon_pid() { pgrep -x -f "$BIN run"; }
  enabled() { rc-update show default | grep -q "$NAME"; }
  FILES=("/etc/init.d/$NAME")
else
  INIT=sysv
  running() { "/etc/init.d/$NAME" status; }
  service() { "/etc/init.d/$NAME" "$1"; }
  daemon_pid() { cat "/run/$NAME/$NAME.pid"; }
  enabled() { compgen -G "/etc/rc2.d/S*$NAME"; }
  FILES=("/etc/init.d/$NAME")
fi
echo "init: $INIT"

install -m 755 /root/$NAME $BIN
check "install" $BIN install
for file in "${FILES[@]}"; do check "wrote $file" test -e "$file"; done
check "wrote an example configuration" test -s /etc/$NAME/config.toml
# Each where its reader is: reader, what was written for it.
READERS=("/usr/share/man /usr/local/share/man/man8/$NAME.8"
  "/usr/share/bash-completion /usr/local/share/bash-completion/completions/$NAME"
  "/usr/share/fish /etc/fish/completions/$NAME.fish")
for pair in "${READERS[@]}"; do
  read -r reader file <<<"$pair"
  if [ -e "$reader" ]; then check "wrote $file" test -s "$file"; else check "no $file" test ! -e "$file"; fi
done
check "its configuration is valid" $BIN config check
[ $INIT != systemd ] || systemctl daemon-reload
service start || true
check "runs" wait_until 15 running
check "is started at boot" enabled
check "doctor" $BIN doctor
check "installing again changes nothing that runs" $BIN install
check "still runs" running
first=$(daemon_pid)
check "a second instance is refused" bash -c "timeout 10 $BIN run; [ \$? = 5 ]"
kill -KILL "$first"
# SysV has no supervisor unless inittab is one; there a human starts it again.
if [ $INIT = sysv ]; then
  wait_until 5 bash -c "! kill -0 $first" || true
  service start || true
fi
back() { running && [ "$(daemon_pid)" != "$first" ]; }
check "is back after kill -9" wait_until 15 back
# Where nothing says when it is ready, its process is there before it has told of itself.
check "status works" wait_until 10 $BIN status
check "audit verify" $BIN audit verify
check "a reload" service reload
cp -p /etc/$NAME/config.toml /root/config.toml
echo '[nonsense]' >>/etc/$NAME/config.toml
refused() { ! service reload; }
check "a reload with a bad file fails" refused
check "and it runs on" running
cp -p /root/config.toml /etc/$NAME/config.toml
check "a reload with a good one again" service reload
service stop || true
check "stops" wait_until 10 bash -c "! pgrep -x -f '$BIN run'"
service start || true
check "starts again" wait_until 15 running
check "uninstall" $BIN uninstall
check "nothing of it runs" wait_until 15 bash -c "! pgrep -x -f '$BIN run'"
for file in "${FILES[@]}"; do check "removed $file" test ! -e "$file"; done
for pair in "${READERS[@]}"; do check "removed ${pair#* }" test ! -e "${pair#* }"; done
check "the state is kept" test -s /var/lib/$NAME/tasks.db
check "the configuration is kept" test -s /etc/$NAME/config.toml
exit $FAILED
