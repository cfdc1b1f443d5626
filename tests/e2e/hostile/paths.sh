#!/usr/bin/env bash
# What unprivileged users can put in the way of a root that runs, reads and writes by name: programs, environment
# files, links, FIFOs, second names, pid files, settings. And what must go on working beside it.
#
#   tests/e2e/hostile/paths.sh BINARY   on this machine: runs the bed
#   paths.sh                            what runs in the bed
#
# Prints a table of cases and verdicts; exit status 1 when one is not as it should be.
# shellcheck disable=SC2317  # cases are called by name
set -euo pipefail
NAME=autonomous-orchestrator
ETC=/etc/$NAME
UNITS=/etc/systemd/system
ROUNDS=200

outside() {
  local here
  here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  BED_TIMEOUT=240 "$here/../../../scripts/bed.sh" run systemd "$here/paths.sh" "$1:/usr/local/bin/$NAME"
}

# ---- words of the cases

as() { # USER SCRIPT
  runuser -u "$1" -- sh -c "$2"
}
# until_so SECONDS COMMAND…
until_so() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep .2
  done
}
program() { # PATH MARK [USER]: a program that leaves its mark and runs on
  local to
  to="mkdir -p $(dirname "$1"); printf '#!/bin/sh\nid -un >>/var/mark/$2\nexec sleep 1000\n' >$1; chmod 755 $1"
  if [ $# = 3 ]; then as "$3" "$to"; else sh -c "$to"; fi
}
unit() { # NAME LINE…
  local name=$1
  shift
  { echo '[Service]'; printf '%s\n' "$@"; printf '[Install]\nWantedBy=multi-user.target\n'; } >"$UNITS/$name.service"
}
runs() { systemctl is-active -q "$1"; }
marked() { [ -e "/var/mark/$1" ]; }
drop_in() { compgen -G "$UNITS/$1.service.d/*autonomous-orchestrator*"; }
not() { ! "$@"; }
# findings WORD…: is there one with each of them?
findings() {
  local all word
  all=$($NAME tasks --all --limit 500 --json 2>/dev/null || $NAME tasks --json)
  for word; do grep -qF -- "$word" <<<"$all" || return 1; done
}
daemon_pid() { systemctl show -P MainPID $NAME; }

# ---- what is there before the daemon starts

accounts() {
  local user
  for user in eve gw svc; do useradd -m "$user"; done
  chmod 755 /home/eve /home/gw
  install -d -m 1777 /var/mark
  echo 'ERROR the secret of root' >/root/secret.log
  echo precious >/root/victim
  chmod 600 /root/secret.log /root/victim
}

# Units whose program is gone, and what could be taken for it.
lost_programs() {
  # Nothing but a user's namesake.
  program /home/eve/bin/lone lone eve
  unit lone ExecStart=/usr/local/bin/lone
  # The right one, and a user's that fits better.
  program /opt/build/pump right
  program /home/eve/bin/pump wrong eve
  unit pump ExecStart=/usr/local/bin/pump
  # In a folder of a user below /opt, in one that everybody writes, behind an open parent.
  install -d -o eve /opt/of-eve
  program /opt/of-eve/bin/ofeve wrong eve
  unit ofeve ExecStart=/usr/local/bin/ofeve
  program /opt/open/bin/open wrong
  chmod 777 /opt/open
  unit open ExecStart=/usr/local/bin/open
  # Below its own old folder, which is a user's: only for a unit that runs as that user and lends nothing.
  program /home/gw/app/v2/own own gw
  unit own User=gw ExecStart=/home/gw/app/v1/own
  # What moved is certain by a record: the package that brings the unit says where its program is.
  printf '%s\n' /etc/systemd/system/own.service /home/gw/app/v2/own >/var/lib/dpkg/info/own.list
  program /home/gw/app/v2/lends wrong gw
  unit lends User=gw ExecStartPre=+/bin/true ExecStart=/home/gw/app/v1/lends
  program /home/gw/app/v2/asroot wrong gw
  unit asroot ExecStart=/home/gw/app/v1/asroot
  # A document says so.
  mkdir -p /root/docs
  # shellcheck disable=SC2016
  echo 'Release 7: `/usr/local/bin/prose` moved to `/var/tmp/.x/prose`.' >/root/docs/CHANGELOG.md
  program /var/tmp/.x/prose wrong eve
  unit prose ExecStart=/usr/local/bin/prose
  # An environment file of a user's.
  printf '#!/bin/sh\nexec sleep 1000\n' >/usr/local/bin/envd
  chmod 755 /usr/local/bin/envd
  as eve 'mkdir -p /home/eve/etc/envd; echo "ENV=/home/eve/x" >/home/eve/etc/envd/envd.env; echo "id -un >>/var/mark/wrong" >/home/eve/x'
  # shellcheck disable=SC2016
  unit envd EnvironmentFile=/etc/envd/envd.env 'ExecStart=/bin/sh -c ". $ENV; exec sleep 1000"'
}

logs_and_metrics() {
  local name
  install -d -o svc /var/log/svc /var/lib/nodexp /run/svc
  install -d /var/log/other
  for name in fifo link hard raced; do as svc "echo start >/var/log/svc/$name.log"; done
  echo start >/var/log/other/app.log
  # Its service's user owns the folder of the pid file.
  as svc 'mkfifo /run/svc/fifod.pid'
  for name in .new '' .tmp; do as svc "ln -s /root/victim /var/lib/nodexp/$NAME.prom$name"; done
  as svc "ln -s /root/victim /var/lib/nodexp/autonomous_orchestrator.prom; ln -s /root/victim /var/lib/nodexp/autonomous_orchestrator.prom.new"
}

commands() {
  program /home/eve/bin/declared wrong eve
  mkdir -p $ETC/rules.d $ETC/runbooks.d
  cat >$ETC/runbooks.d/own.toml <<'TOML'
[[runbook]]
id = "run-it"
class = ["log_error"]
subject = ["hostile-ok"]
[[runbook.step]]
action = "run_declared"
command = "whoami"
phase = 1
verify = "detector"
[[runbook]]
id = "run-eves"
class = ["log_error"]
subject = ["hostile-eve"]
[[runbook.step]]
action = "run_declared"
command = "eves"
phase = 1
verify = "detector"
TOML
}

configure() {
  cat >$ETC/config.toml <<'TOML'
[daemon]
startup_grace_s = 0
[mode]
medium = "auto"
[detect]
unit_sweep_s = 2
path_sweep_s = 2
host_sweep_s = 2
kernel_log = false
[budget]
host_per_hour = 1000
host_per_day = 1000
[fix]
stability_s = 2
log_escalate_after_s = 1
[metrics]
textfile = "/var/lib/nodexp"
every_s = 5
[[log_file]]
path = "/var/log/svc/fifo.log"
[[log_file]]
path = "/var/log/svc/link.log"
[[log_file]]
path = "/var/log/svc/hard.log"
[[log_file]]
path = "/var/log/svc/raced.log"
[[log_file]]
path = "/var/log/other/app.log"
[[command]]
name = "whoami"
argv = ["/bin/sh", "-c", "id -un >/var/mark/declared; ulimit -v >>/var/mark/declared; echo $HOME >>/var/mark/declared"]
user = "svc"
risk = "low"
[[command]]
name = "eves"
argv = ["/home/eve/bin/declared"]
user = "root"
risk = "low"
[[service]]
name = "fifod"
start = ["/bin/sleep", "1000"]
pid_file = "/run/svc/fifod.pid"
[[probe]]
name = "env"
command = ["/bin/sh", "-c", "env >/var/mark/probe-env; id -un >/var/mark/probe-user"]
user = "svc"
interval_s = 2
TOML
}

# Stands before the real one and writes down what it is told.
spying_systemctl() {
  cat >/usr/local/bin/systemctl <<'SH'
#!/bin/sh
env >>/var/mark/systemctl-env
exec /usr/bin/systemctl "$@"
SH
  chmod 755 /usr/local/bin/systemctl
}

# ---- the cases

case_users_program() { not marked lone && not drop_in lone; }
# A namesake is only named, wherever it lies: nothing says that it is the program that was lost.
case_better_namesake() { not drop_in pump && not marked right && not marked wrong; }
case_no_foreign_program() { not marked wrong; }
case_folder_of_a_user() { not drop_in ofeve; }
case_folder_open_to_all() { not drop_in open; }
case_units_own_user() { until_so 120 marked own && [ "$(sort -u /var/mark/own)" = gw ]; }
case_unit_lends_root() { not drop_in lends; }
case_users_folder_as_root() { not drop_in asroot; }
case_prose_of_a_bundle() { not drop_in prose; }
case_environment_file() { not drop_in envd; }

case_fifo_blinds_no_other() {
  as svc 'rm /var/log/svc/fifo.log; mkfifo /var/log/svc/fifo.log'
  echo 'ERROR beside the fifo' >>/var/log/other/app.log
  until_so 120 findings 'beside the fifo' && until_so 120 findings '/var/log/svc/fifo.log is a FIFO'
}
case_link_reads_no_secret() {
  as svc 'rm /var/log/svc/link.log; ln -s /root/secret.log /var/log/svc/link.log'
  until_so 120 findings '/var/log/svc/link.log is a link'
  echo 'ERROR another secret of root' >>/root/secret.log
  sleep 1
  not findings 'secret of root'
}
case_second_name_reads_no_secret() {
  # As root: the kernel's own check of hard links may be off.
  mkdir -p /var/log/apart
  echo 'ERROR secret of root behind a second name' >/var/log/apart/secret
  chmod 600 /var/log/apart/secret
  rm /var/log/svc/hard.log
  ln /var/log/apart/secret /var/log/svc/hard.log
  until_so 120 findings '/var/log/svc/hard.log is a second name'
  not findings 'behind a second name' || not findings 'secret of root behind'
}
case_raced_link_reads_no_secret() {
  cat >/tmp/race.py <<'PY'
import ctypes, os, time
libc = ctypes.CDLL(None)
os.chdir("/var/log/svc")
os.symlink("/root/secret.log", "raced.link")
for _ in range(int(os.environ["ROUNDS"])):
    for _ in range(50):
        libc.renameat2(-100, b"raced.log", -100, b"raced.link", 2)
    time.sleep(0.03)
PY
  ROUNDS=$ROUNDS runuser -u svc --preserve-environment -- python3 /tmp/race.py
  not findings 'secret of root'
}
case_pid_file_fifo_hangs_nobody() {
  cat >/tmp/flip.py <<'PY'
import ctypes, os, time
libc = ctypes.CDLL(None)
os.chdir("/run/svc")
with open("svc.pid", "w", encoding="ascii") as out:
    out.write(f"{os.getpid()}\n")
os.mkfifo("f")
end = time.time() + 8
while time.time() < end:
    libc.renameat2(-100, b"svc.pid", -100, b"f", 2)
PY
  local task seen=0 pid
  pid=$(daemon_pid)
  runuser -u svc -- python3 /tmp/flip.py &
  while kill -0 $! 2>/dev/null; do
    for task in /proc/"$pid"/task/*; do
      if grep -qE 'wait_for_partner|fifo_open' "$task/wchan" 2>/dev/null; then seen=$((seen + 1)); fi
    done
    sleep .2
  done
  [ $seen -le 1 ]
}
case_scanner_still_sees() {
  unit late ExecStart=/bin/false
  systemctl daemon-reload
  systemctl start late 2>/dev/null || true
  systemctl enable -q late
  until_so 120 findings late.service
}
case_metrics_touch_no_victim() {
  until_so 120 test -f /var/lib/nodexp/autonomous_orchestrator.prom
  [ "$(cat /root/victim)" = precious ] && [ "$(stat -c %a /root/victim)" = 600 ]
}
case_metrics_raced() {
  local i
  for ((i = 0; i < ROUNDS; i++)); do
    as svc 'rm -f /var/lib/nodexp/autonomous_orchestrator.prom; ln -sf /root/victim /var/lib/nodexp/autonomous_orchestrator.prom' || return 1
  done
  until_so 120 test ! -L /var/lib/nodexp/autonomous_orchestrator.prom
  [ "$(cat /root/victim)" = precious ]
}
case_metrics_can_be_read() {
  until_so 120 as svc 'test ! -L /var/lib/nodexp/autonomous_orchestrator.prom && grep -q orchestrator /var/lib/nodexp/autonomous_orchestrator.prom'
}
told_by_the_manager() { grep -qE '^(NOTIFY_SOCKET|WATCHDOG_USEC|WATCHDOG_PID|JOURNAL_STREAM|LISTEN_[A-Z]*)=' "$1"; }
case_systemctl_knows_nothing() { until_so 120 marked systemctl-env && not told_by_the_manager /var/mark/systemctl-env; }
case_probe_knows_nothing() { until_so 120 marked probe-user && not told_by_the_manager /var/mark/probe-env; }
case_probe_runs_as_its_user() { until_so 120 marked probe-user && [ "$(cat /var/mark/probe-user)" = svc ]; }
case_declared_runs_as_its_user() {
  logger -t hostile-ok -p user.err 'please run it: ERROR'
  until_so 120 grep -q '^/' /var/mark/declared && [ "$(head -1 /var/mark/declared)" = svc ] && grep -q 65536 /var/mark/declared
}
case_declared_of_a_user_is_refused() {
  logger -t hostile-eve -p user.err 'please run it: ERROR'
  sleep 5
  not marked wrong
}
case_clock_can_be_asked() {
  cat >/tmp/ask.py <<'PY'
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(512)
asked = libc.adjtimex(buffer)
sys.exit(0 if asked >= 0 else 1)
PY
  local line args=()
  while read -r line; do args+=(-p "$line"); done < <(
    grep -E '^(CapabilityBoundingSet|NoNewPrivileges|Protect[A-Za-z]*|SystemCall[A-Za-z]*|DeviceAllow|Restrict[A-Za-z]*)=' \
      "$UNITS/$NAME.service")
  systemd-run -q --wait --pipe "${args[@]}" python3 /tmp/ask.py
}
case_doctor_waits_for_no_fifo() { timeout 20 $NAME doctor --offline >/tmp/doctor.out || [ $? = 1 ]; grep -q 'is a FIFO' /tmp/doctor.out; }
case_state_folder_open_to_all() {
  local code=0
  chmod 777 /var/lib/$NAME
  timeout 20 $NAME run --once >/tmp/open.out 2>&1 || code=$?
  chmod 700 /var/lib/$NAME
  [ $code = 4 ] && grep -q 'can be written by others' /tmp/open.out
}
case_stop_is_not_delayed() {
  local from=$SECONDS
  systemctl stop $NAME
  [ $((SECONDS - from)) -le 6 ] && [ "$(systemctl show -P Result $NAME)" = success ]
}

# refused FILE MODE OWNER: `run` ends with code 3 and names file, owner and mode; so does `config check`.
refused() {
  local mode owner code=0 checked=0 said
  mode=$(stat -c %a "$1") owner=$(stat -c %u "$1")
  chmod "$2" "$1"
  chown "$3" "$1"
  said=$(timeout 20 $NAME run --once 2>&1) || code=$?
  $NAME config check >/tmp/checked 2>&1 || checked=$?
  [ $checked = 3 ] && grep -q "$1.*can be written by others\|$1.*belongs to user" /tmp/checked || code=99
  grep -q "$1" <($NAME doctor --offline 2>&1) || code=98
  chmod "$mode" "$1"
  chown "$owner" "$1"
  [ $code = 3 ] && grep -q "$1 \(can be written by others\|belongs to user\)" <<<"$said" && grep -q "mode" <<<"$said"
}
case_writable_configuration() { refused $ETC/config.toml 666 root; }
case_configuration_of_a_user() { refused $ETC/config.toml 644 eve; }
case_open_folder_of_rules() { touch $ETC/rules.d/a.toml && refused $ETC/rules.d 777 root; }
case_runbook_of_a_user() { refused $ETC/runbooks.d/own.toml 644 eve; }
case_group_that_is_not_roots() {
  chgrp eve $ETC/config.toml
  refused $ETC/config.toml 664 root || { chgrp root $ETC/config.toml; return 1; }
  chgrp root $ETC/config.toml
}

WITH_DAEMON=(
  better_namesake units_own_user declared_runs_as_its_user declared_of_a_user_is_refused users_program folder_of_a_user folder_open_to_all unit_lends_root
  users_folder_as_root prose_of_a_bundle environment_file
  fifo_blinds_no_other link_reads_no_secret second_name_reads_no_secret raced_link_reads_no_secret
  pid_file_fifo_hangs_nobody scanner_still_sees metrics_touch_no_victim metrics_raced metrics_can_be_read
  systemctl_knows_nothing probe_knows_nothing probe_runs_as_its_user no_foreign_program clock_can_be_asked doctor_waits_for_no_fifo stop_is_not_delayed
)
WITHOUT_DAEMON=(
  state_folder_open_to_all writable_configuration configuration_of_a_user open_folder_of_rules runbook_of_a_user group_that_is_not_roots
)

judge() { # CASE…
  local one status
  for one; do
    status=0
    (set -e; "case_$one") >/tmp/case.out 2>&1 || status=$?
    if [ $status = 0 ]; then
      printf '%-32s ok\n' "$one"
    else
      printf '%-32s FAILED (%s) %s\n' "$one" $status "$(tail -c 200 /tmp/case.out | tr '\n' ' ')"
      FAILED=1
    fi
  done
}

inside() {
  FAILED=0
  accounts
  $NAME install >/dev/null
  lost_programs
  logs_and_metrics
  commands
  configure
  $NAME config check
  install -d -m 700 /var/lib/$NAME
  $NAME bundle build /root/docs -o /var/lib/$NAME/knowledge.bundle >/dev/null
  spying_systemctl
  systemctl daemon-reload
  systemctl start $NAME
  systemctl enable -q lone pump ofeve open own lends asroot prose envd
  systemctl start --no-block lone pump ofeve open own lends asroot prose envd || true
  judge "${WITH_DAEMON[@]}"
  judge "${WITHOUT_DAEMON[@]}"
  if [ $FAILED != 0 ]; then
    $NAME tasks
    $NAME history | tail -40
    journalctl -u $NAME -n 40 --no-pager -o cat
  fi
  exit $FAILED
}

if [ $# = 1 ]; then outside "$1"; else inside; fi
