#!/usr/bin/env bash
# What an unprivileged user can make the daemon believe with forged fields, tags and control groups: nothing but that
# this user has written a line. With an operator's runbook that restarts web.service for lines about it.
#
#   tests/e2e/hostile/forged.sh BINARY  on this machine: runs the bed
#   forged.sh                           what runs in the bed
set -euo pipefail
NAME=autonomous-orchestrator
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

prepare() {
  useradd -m eve
  mkdir -p /etc/$NAME/runbooks.d /etc/$NAME/rules.d /srv/svc
  install -o eve -m 644 /dev/null /srv/svc/app.log
  cat >/etc/$NAME/config.toml <<'TOML'
[mode]
limit = "auto"
medium = "auto"
[detect]
unit_sweep_s = 2
[[log_file]]
path = "/srv/svc/app.log"
kernel = true
TOML
  cat >/etc/$NAME/runbooks.d/web.toml <<'TOML'
[[runbook]]
id = "web-log"
class = ["log_error"]
subject = ["web*", "nginx*"]
[[runbook.step]]
action = "restart_unit"
phase = 1
verify = "detector"
TOML
  cat >/etc/$NAME/rules.d/own.toml <<'TOML'
[[rule]]
name = "own"
match = ["disk (?P<subject>[a-z]+) is bad", "(?P<subject>[a-z]+)[.]service is wedged"]
class = "io_error"
severity = "critical"
TOML
  printf '[Service]\nExecStart=/usr/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' \
    | tee /etc/systemd/system/web.service >/etc/systemd/system/nginx.service
  shop shop 8088
  $NAME install >/dev/null
  systemctl daemon-reload
  systemctl enable -q web nginx
  systemctl start web nginx
  start_daemon
  sleep 6
}

forge_lines() {
  cat >/tmp/forge.py <<'PY'
import socket
OOPS = "BUG: unable to handle page fault for address: ffffffffdeadbeef"
OOM = "Out of memory: Killed process 812 (sshd) total-vm:1kB"
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.connect("/run/systemd/journal/socket")
def send(**fields):
    journal.send("".join(f"{name}={value}\n" for name, value in fields.items()).encode())
send(MESSAGE="worker pool is wedged", PRIORITY=3, SYSLOG_IDENTIFIER="web.service", UNIT="web.service")
send(MESSAGE="worker pool is stuck", PRIORITY=0, SYSLOG_IDENTIFIER="web", OBJECT_SYSTEMD_UNIT="web.service")
send(MESSAGE="Process 1 (nginx) of user 0 dumped core.", MESSAGE_ID="fc2e22bc6ee647b6b90729ab34a250b1",
     COREDUMP_UNIT="nginx.service", COREDUMP_COMM="nginx", PRIORITY=2, SYSLOG_IDENTIFIER="systemd-coredump")
send(MESSAGE="Suppressed by alpha", MESSAGE_ID="a596d6fe7bfa4994828e72309e95d61e", PRIORITY=6)
send(MESSAGE="Missed by beta", MESSAGE_ID="e9bf28e6e834481bb6f48f548ad13606", PRIORITY=6)
send(MESSAGE=OOPS, PRIORITY=2, SYSLOG_IDENTIFIER="kernel", _TRANSPORT="kernel")
send(MESSAGE=OOM, PRIORITY=3, SYSLOG_IDENTIFIER="kernel")
send(MESSAGE="the disk is on fire", PRIORITY=0, SYSLOG_IDENTIFIER="autonomous-orchestrator",
     UNIT="autonomous-orchestrator.service")
# What a rule of the operator's makes kernel faults of.
send(MESSAGE="disk sda is bad", PRIORITY=2, SYSLOG_IDENTIFIER="kernel")
send(MESSAGE="web.service is wedged", PRIORITY=2, SYSLOG_IDENTIFIER="web.service")
# Each again and again, and in between by the system log's socket, with the tags of units and of the kernel.
syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
syslog.connect("/dev/log")
for at in range(200):
    word = "".join(chr(97 + int(digit)) for digit in str(at))
    send(MESSAGE=f"Suppressed by {word}", MESSAGE_ID="a596d6fe7bfa4994828e72309e95d61e", PRIORITY=6)
    send(MESSAGE=f"core of {word}", MESSAGE_ID="fc2e22bc6ee647b6b90729ab34a250b1", COREDUMP_UNIT="web.service", PRIORITY=2)
    syslog.send(f"<1>web.service[1]: pool {word} is wedged".encode())
    syslog.send(f"<2>kernel: {OOPS} {word}".encode())
    syslog.send(f"<3>systemd[1]: web.service: Main process exited, code=killed, status=9/KILL {word}".encode())
with open("/srv/svc/app.log", "a") as file:
    for text in (OOPS, OOM, "EXT4-fs error (device mmcblk0p2): ext4_find_entry:1455: inode #2: comm ls"):
        file.write(f"Nov 28 12:00:00 gw kernel: [ 20.000000] {text}\n")
    file.write("Nov 28 12:00:08 gw kernel: [ 21.000000] disk sdb is bad\n")
    file.write("Nov 28 12:00:08 gw app: disk sdc is bad\n")
    file.write("Nov 28 12:00:09 gw autonomous-orchestrator-x: ERROR hidden\n")
PY
  runuser -u eve -- python3 /tmp/forge.py
  runuser -u eve -- sh -c 'echo "worker pool is wedged by cat" | systemd-cat -t web.service -p emerg'
  # By root, whose share of new kinds none of them takes.
  logger -t last -p user.err 'that was the last one'
}

judge_lines() {
  check "the last line was read" until_so 120 some "SELECT 1 FROM tasks WHERE issue_message = 'that was the last one'"
  check "the file was read to its end" until_so 120 some "SELECT 1 FROM tasks WHERE issue_message LIKE '%hidden%'"
  check "no catalogue id of a user's counts" none "SELECT 1 FROM tasks WHERE issue_type = 'self_gap'"
  check "no kernel fault by tag" none \
    "SELECT 1 FROM tasks WHERE issue_type LIKE 'kernel%' OR issue_type IN ('oom_kill', 'io_error', 'readonly_fs')"
  check "the kernel's tag in a user's file is a log_error" some \
    "SELECT 1 FROM tasks WHERE issue_message LIKE 'BUG: unable%' AND issue_type = 'log_error' AND issue_source LIKE 'file:%'"
  check "what an operator's rule fits is heard, of a user and of a file" \
    [ "$(sql "SELECT count(*) FROM tasks WHERE issue_message LIKE '%disk sd_ is bad%' AND issue_type = 'log_error'")" -ge 2 ]
  check "nothing worse than error" none "SELECT 1 FROM tasks WHERE severity = 'critical' AND issue_type = 'log_error'"
  check "no unit is named" none "SELECT 1 FROM tasks WHERE issue_type = 'log_error' AND said_by LIKE 'uid %'
    AND (subject LIKE '%.service' OR json_extract(evidence, '\$.unit') IS NOT NULL)"
  check "whoever calls himself so is heard" some "SELECT 1 FROM tasks WHERE issue_message = 'the disk is on fire'"
  sleep 10
  check "web was left alone" test "$(systemctl show -P MainPID web)" = "$WEB"
  check "nginx was left alone" test "$(systemctl show -P MainPID nginx)" = "$NGINX"
  check "nothing was done" none "SELECT 1 FROM attempts WHERE outcome IS NOT 'refused'"
}

# A process in a control group named like the unit, below the one that it was handed.
hide_squat() {
  cat >/tmp/squat.py <<'PY'
import os, socket, time
own = {line.split(":", 2)[1]: line.strip().split(":", 2)[2] for line in open("/proc/self/cgroup")}
for controller, mount in (("name=systemd", "/sys/fs/cgroup/systemd"), ("", "/sys/fs/cgroup/unified"), ("", "/sys/fs/cgroup")):
    try:
        place = mount + own[controller] + "/shop.service"
        os.makedirs(place, exist_ok=True)
        open(place + "/cgroup.procs", "w").write(str(os.getpid()))
    except (OSError, KeyError):
        pass
squat = socket.socket()
squat.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
squat.bind(("0.0.0.0", 8088))
squat.listen()
time.sleep(1000)
PY
  systemd-run -q --unit=evebox -p User=eve -p Delegate=yes -p Slice=user.slice python3 /tmp/squat.py
  until_so 120 grep -q shop.service "/proc/$(systemctl show -P MainPID evebox)/cgroup"
  systemctl enable -q --now shop || true
  check "the squat is seen, and whose it is" until_so 120 some "SELECT 1 FROM tasks
    WHERE issue_type = 'port_conflict' AND json_extract(evidence, '\$.holder_unit') = 'evebox.service'"
  check "a process of another unit is not ended" systemctl is-active evebox
}

inside() {
  prepare
  WEB=$(systemctl show -P MainPID web)
  NGINX=$(systemctl show -P MainPID nginx)
  forge_lines
  judge_lines
  hide_squat
  outcome
}

if [ $# = 1 ]; then
  in_bed "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/forged.sh" "$1"
else
  inside
fi
