#!/usr/bin/env bash
# What an unprivileged user can do by the names of his programs, interfaces and files, and by the user ids that he was
# handed: what is called like a kernel fault crashes, is renamed or named in the midst of a line, many crash under new
# names, a log file gets as many siblings as fit, and every line is written under another id.
#
#   tests/e2e/hostile/programs.sh BINARY  on this machine: runs the bed
#   programs.sh                           what runs in the bed
# shellcheck disable=SC2317  # functions are handed to check and until_so by name
set -euo pipefail
NAME=autonomous-orchestrator
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
SIBLINGS=${PROGRAMS_SIBLINGS:-100000}

prepare() {
  useradd -m eve
  useradd -m svc
  mkdir -p /etc/$NAME
  install -d -o svc /var/log/svc
  as svc 'echo start >/var/log/svc/app.log'
  printf '[daemon]\nstartup_grace_s = 0\n[detect]\nunit_sweep_s = 2\n[[log_file]]\npath = "/var/log/svc/app.log"\n' \
    >/etc/$NAME/config.toml
  $NAME install >/dev/null
  start_daemon
}

# The kernel begins its lines about a crash with the name of the program.
crash() {
  cat >/tmp/crash.py <<'PY'
import ctypes, mmap, os, platform, sys
X86 = platform.machine() == "x86_64"
# Ways to end that the kernel tells of: an address that is not there, an instruction that only it may use, a return from
# a signal that never was.
CODE = {"halt": b"\xf4", "frame": b"\x48\x31\xe4\xb8\x0f\x00\x00\x00\x0f\x05"}
def crash(name, how):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    ctypes.CDLL(None).prctl(15, name.encode())
    if how in CODE and X86:
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(CODE[how])
        ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
    ctypes.string_at(16)
for name in sys.argv[1:]:
    for how in ("segfault", "halt", "frame"):
        crash(name, how)
PY
  runuser -u eve -- python3 /tmp/crash.py 'Kernel panic: ' 'PANICOops: ' 'BUG: '
  # Here the kernel writes the name behind words of its own: "futex_wake_op: NAME tries to shift op by -1".
  cat >/tmp/shift.py <<'PY'
import ctypes, os, platform, sys
FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine())
libc = ctypes.CDLL(None)
for name in sys.argv[1:] if FUTEX else []:
    if os.fork() == 0:
        libc.prctl(15, name.encode())
        one, other = ctypes.c_uint32(0), ctypes.c_uint32(0)
        libc.syscall(FUTEX, ctypes.byref(one), 5, 1, 1, ctypes.byref(other), ctypes.c_uint32(8 << 28 | 0xFFF << 12))
        os._exit(0)
    os.wait()
PY
  runuser -u eve -- python3 /tmp/shift.py 'error, dev sda' 'hard LOCKUP' '[ cut here ]' 'x: TX timeout'
  # The same by the name of a network interface of her own; where users may have none, there is nothing to show.
  as eve 'unshare -Urn sh -c "ip link add x type dummy && ip link set x name BUG && ip link set BUG name PANIC"' || true
  cat >/tmp/many.py <<'PY'
import random, string, sys, time
sys.argv[1:] = []
exec(open("/tmp/crash.py").read())
for _ in range(60):
    crash("".join(random.choice(string.ascii_lowercase) for _ in range(12)), "segfault")
    time.sleep(0.1)
PY
  runuser -u eve -- python3 /tmp/many.py
}

# A folder of a service's own, with more rotated log files than anybody reads.
siblings() {
  cat >/tmp/siblings.py <<'PY'
import os, sys
os.chdir("/var/log/svc")
for number in range(1, int(sys.argv[1])):
    os.close(os.open(f"app.log.{number}", os.O_CREAT | os.O_WRONLY))
os.rename("app.log", "app.log.0")
with open("app.log", "w") as file:
    file.write("ERROR after them all\n")
PY
  as svc "python3 /tmp/siblings.py $SIBLINGS"
}

# As one whom subuid(5) gave 65,536 ids: each is another user for the journal.
under_many_ids() {
  cat >/tmp/ids.py <<'PY'
import os, random, socket, string
for uid in range(100_000, 100_060):
    if os.fork() == 0:
        os.setgid(uid)
        os.setuid(uid)
        journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        journal.connect("/run/systemd/journal/socket")
        for _ in range(3):
            word = "".join(random.choice(string.ascii_lowercase) for _ in range(12))
            journal.send(f"MESSAGE=part {word} is broken\nPRIORITY=1\nSYSLOG_IDENTIFIER=app\n".encode())
        os._exit(0)
    os.wait()
PY
  python3 /tmp/ids.py
  # Of another writer, behind them all.
  runuser -u eve -- logger -t last -p user.err 'that was the last one'
}

if [ $# = 1 ]; then
  in_bed "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/programs.sh" "$1"
  exit
fi
prepare
under_many_ids
check "the last line was read, and still has a place" until_so 40 some "SELECT 1 FROM tasks WHERE issue_message = 'that was the last one'"
check "sixty ids of one user have the share of one" [ "$(sql "SELECT count(*) FROM tasks WHERE said_by LIKE 'uids %'")" -le 38 ]
crash
check "the kernel's own log is read" until_so 40 some "SELECT 1 FROM tasks WHERE issue_message LIKE '%segfault at%'"
# Another writer, behind them all: what came before is read when this is.
logger -t behind -p user.err 'that was behind the crashes'
check "what was said after the crashes is read" until_so 40 some "SELECT 1 FROM tasks WHERE issue_message = 'that was behind the crashes'"
# Under such a name a crash is what it is under any other: a warning of the log.
check "no program and no interface is a kernel fault by its name" none "SELECT 1 FROM tasks
  WHERE (issue_type <> 'log_error' OR severity <> 'warning') AND (issue_message LIKE 'Kernel panic: [%'
  OR issue_message LIKE '%PANICOops: [%' OR issue_message LIKE 'BUG: [%' OR issue_message LIKE '%: renamed from %')"
check "no name in the midst of a line is one" none "SELECT 1 FROM tasks WHERE issue_message LIKE '%tries to shift op by%'
  AND (issue_type NOT IN ('log_error', 'kernel_other') OR said_by IS NULL)"
check "crashes under new names are words" none "SELECT 1 FROM tasks WHERE issue_message LIKE '%segfault at%' AND said_by IS NULL"
siblings
check "the log file is read beside its $SIBLINGS siblings" until_so 60 some "SELECT 1 FROM tasks WHERE issue_message LIKE '%after them all%'"
check "it was never ended" [ "$(systemctl show -P NRestarts $NAME)" = 0 ]
check "its memory stayed below 40 MB" [ "$(awk '/VmHWM/{print $2}' "/proc/$(daemon_pid)/status")" -lt 40960 ]
outcome
