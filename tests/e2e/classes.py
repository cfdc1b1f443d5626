"""Inside a bed or a bare container (see scripts/class-table.sh): every finding class once. All faults are
injected together, each must become a task; then all conditions end, each task must close.

One line `ROW<TAB>class<TAB>fixture<TAB>detected<TAB>cleared` for each class. Nothing is repaired
(mode observe), so whatever closes a task is the condition's end."""

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

NAME = "autonomous-orchestrator"
PLACE = sys.argv[1]
SYSTEMD = PLACE == "systemd"
BASE = "/root/ct"
FIXTURES = "/root/e2e/fixtures"
DETECT_S, CLEAR_S = 150, 150
CONFIG = f"""[daemon]
state_dir = "{BASE}/state"
runtime_dir = "{BASE}/run"
kill_switch = "{BASE}/disable"
rules_dir = "{BASE}/rules.d"
runbooks_dir = "{BASE}/runbooks.d"
bundle = "{BASE}/bundle"
log_level = "warn"
[mode]
limit = "observe"
[detect]
unit_sweep_s = 2
host_sweep_s = 2
path_sweep_s = 3
stale_after_s = 1
quiet_s = 45
flap_restarts = 4
flap_window_s = 30
interfaces = ["ct0"]
kernel_log = false
[uplink]
interfaces = ["ct2"]
[[log_file]]
path = "/var/log/ct-app.log"
[[log_file]]
path = "/var/log/ct-kern.log"
kernel = true
[[log_file]]
path = "/var/log/ct-rotated.log"
[[probe]]
name = "ct-web"
tcp = "127.0.0.1:9912"
interval_s = 1
timeout_s = 1
failures = 1
"""
DECLARED = """[[service]]
name = "ct-dead"
start = ["/bin/true"]
pid_file = "/run/ct-dead.pid"
[[service]]
name = "ct-idle"
start = ["/bin/true"]
pid_file = "/run/ct-idle.pid"
[[service]]
name = "ct-port"
start = ["/bin/true"]
pid_file = "/run/ct-port.pid"
port = "tcp/9911"
[[service]]
name = "ct-path"
start = ["/opt/ct/gone/bin/meterd"]
pid_file = "/run/ct-path.pid"
"""
processes = []


def sh(*argv, check=True):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


def put(path, text, mode="w"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, mode, encoding="utf-8") as out:
        out.write(text)


def fixture(name):
    with open(f"{FIXTURES}/{name}", encoding="utf-8") as source:
        return source.read()


def spawn(*argv):
    processes.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    return processes[-1]


def unit(name, body, section="", enable=False, start=True):
    put(f"/etc/systemd/system/{name}", f"[Unit]\n{section}\n[Service]\n{body}\n[Install]\nWantedBy=multi-user.target\n")
    sh("systemctl", "daemon-reload")
    if enable:
        sh("systemctl", "enable", "-q", name)
    if start:
        sh("systemctl", "start", "--no-block", name)


def listener(port):
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("127.0.0.1", port))
    one.listen(1024)
    return one


def loop(name, size="8M", *options):
    """A small ext4 on a loop device; raises where there are no free loop devices."""
    image, point = f"/root/{name}.img", f"/srv/{name}"
    os.makedirs(point, exist_ok=True)
    sh("truncate", "-s", size, image)
    sh("mkfs.ext4", "-q", "-F", "-m", "0", *options, image)
    sh("mount", "-o", "loop", image, point)
    return point


def fs_error(point):
    """As the kernel leaves it after an error: the file system is read-only, its mount is not. By hand both would be."""
    sh("mount", "-o", "remount,ro", point)
    sh("mount", "-o", "remount,bind,rw", point)


# --- container engine -----------------------------------------------------------


class Engine(threading.Thread):
    """Answers on the engine's socket what a real one answered when it was captured."""

    def __init__(self):
        super().__init__(daemon=True)
        self.body = "not JSON at all"
        os.makedirs("/run", exist_ok=True)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind("/run/docker.sock")
        self.socket.listen(8)

    def answer(self, asked):
        if asked.startswith("/containers/json"):
            return self.body
        # No lines, no events; a description says what the list does.
        if not asked.endswith("/json"):
            return ""
        one = next((one for one in json.loads(self.body) if one["Id"] == asked.split("/")[2]), None)
        code = re.search(r"\((\d+)\)", one["Status"])
        return json.dumps({"Name": one["Names"][0], "RestartCount": 0, "State": {
            "Status": one["State"], "ExitCode": int(code[1]) if code else 0}, "HostConfig": {}, "Config": {}})  # fmt: skip

    def run(self):
        while True:
            peer, _ = self.socket.accept()
            asked = peer.recv(4096).decode().split(" ")[1]
            body = self.answer(asked).encode()
            peer.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + body)
            peer.close()


# --- the classes ----------------------------------------------------------------


class Row:
    # Its sweep comes once an hour, and at the start: made before the daemon starts again.
    before_start = False

    def __init__(self, name, origin, subject, inject, end, absent=""):
        self.name, self.origin, self.subject, self.inject, self.end, self.absent = name, origin, subject, inject, end, absent
        self.detected = self.cleared = ""


def nothing():
    """Ends by the quiet period alone."""


def kernel(file):
    """What klogd and rsyslog make of the kernel's lines, in the kernel log file."""
    lines = [line for line in fixture(file).splitlines() if line and not line.startswith("#")]
    return lambda: put("/var/log/ct-kern.log", "".join(f"Nov 23 10:00:00 gw kernel: {line}\n" for line in lines), "a")


def over(path, files):
    """A memory file system over a folder of /sys or /proc, with these files."""
    sh("mount", "-t", "tmpfs", "tmpfs", path)
    for name, text in files.items():
        put(f"{path}/{name}", text)


def meminfo():
    text = "".join(f"MemAvailable:      20000 kB\n" if line.startswith("MemAvailable") else line + "\n" for line in fixture("meminfo").splitlines())
    put(f"{BASE}/meminfo", text)
    sh("mount", "--bind", f"{BASE}/meminfo", "/proc/meminfo")


def fill(point):
    with open(f"{point}/big", "wb") as out:
        try:
            out.write(b"x" * (20 << 20))
        except OSError:
            pass
    os.sync()


def many(point):
    try:
        for number in range(100_000):
            open(f"{point}/{number}", "wb").close()
    except OSError:
        pass


def dead_service():
    if PLACE == "openrc":
        put("/etc/init.d/ct-dead", "#!/sbin/openrc-run\ncommand=/bin/sleep\ncommand_args=9999\ncommand_background=yes\npidfile=/run/ct-dead.pid\n")
    elif PLACE == "sysv":
        put("/etc/init.d/ct-dead", "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: ct-dead\n# Required-Start:\n# Required-Stop:\n# Default-Start: 2\n# Default-Stop: 0\n### END INIT INFO\n"
            "case $1 in\nstart) start-stop-daemon -S -b -m -p /run/ct-dead.pid -x /bin/sleep -- 9999;;\nstop) start-stop-daemon -K -p /run/ct-dead.pid; rm -f /run/ct-dead.pid;;\n"
            "status) [ -e /run/ct-dead.pid ] || exit 3; kill -0 $(cat /run/ct-dead.pid) 2>/dev/null || exit 1;;\nesac\n")
    if PLACE in ("openrc", "sysv"):
        os.chmod("/etc/init.d/ct-dead", 0o755)
        if PLACE == "openrc":
            sh("rc-update", "add", "ct-dead", "default")
            sh("rc-service", "ct-dead", "start")
        else:
            sh("update-rc.d", "ct-dead", "defaults")
            sh("/etc/init.d/ct-dead", "start")
        time.sleep(1)
        with open("/run/ct-dead.pid", encoding="ascii") as source:
            os.kill(int(source.read()), signal.SIGKILL)
    else:
        put("/run/ct-dead.pid", "4194000\n")


def revive():
    if PLACE == "openrc":
        sh("rc-service", "ct-dead", "zap", check=False)
        sh("rc-service", "ct-dead", "start")
    elif PLACE == "sysv":
        sh("/etc/init.d/ct-dead", "stop", check=False)
        sh("/etc/init.d/ct-dead", "start")
    else:
        put("/run/ct-dead.pid", f"{spawn('/bin/sleep', '9999').pid}\n")


def own_pid_file(name):
    return lambda: put(f"/run/{name}.pid", f"{spawn('/bin/sleep', '9999').pid}\n")


def holder():
    processes.append(listener(9911))


def let_go():
    next(p for p in processes if isinstance(p, socket.socket) and p.getsockname()[1] == 9911).close()
    if SYSTEMD:
        sh("systemctl", "restart", "ct-port.service")
    else:
        own_pid_file("ct-port")()


def zombie():
    spawn("python3", "-c", "import os,time\nif os.fork()==0: os._exit(0)\ntime.sleep(9999)").ct_zombie = True


def end_zombie():
    for one in processes:
        if getattr(one, "ct_zombie", False):
            one.kill()
            one.wait()


def drift():
    unit("ct-drift.service", "ExecStart=/bin/sleep infinity")
    time.sleep(1.1)
    put("/etc/systemd/system/ct-drift.service", "[Service]\nExecStart=/bin/sleep 99999\n")


ENGINE = Engine()
LIVE = "this bed, live"
NO_LOOP = "no loop device"
KERNEL_ROWS = [
    ("oom_kill", "kernel_oom.log", ""), ("io_error", "kernel_io.log", "loop0"), ("device_fault", "kernel_device.log", "ttyUSB0"), ("kernel_lockup", "kernel_hung_task.log", ""),
    ("kernel_oops", "kernel_oops.log", ""), ("kernel_warning", "kernel_warning.log", ""), ("kernel_lockdep", "kernel_lockdep.log", ""),
    ("kernel_memory_safety", "kernel_kasan.log", ""), ("kernel_leak", "kernel_leak.log", ""), ("kernel_other", "kernel_undervoltage.log", ""),
]


def of_systemd():
    """Classes of which only systemd tells, and the others as its units show them."""
    return [
        Row("service_failed", LIVE, "ct-failed", lambda: unit("ct-failed.service", "ExecStart=/bin/false"),
            lambda: (unit("ct-failed.service", "ExecStart=/bin/sleep infinity", start=False), sh("systemctl", "restart", "ct-failed.service"))),
        Row("service_inactive", LIVE, "ct-idle", lambda: unit("ct-idle.service", "ExecStart=/bin/sleep infinity", enable=True, start=False),
            lambda: sh("systemctl", "start", "ct-idle.service")),
        Row("service_flapping", LIVE, "ct-flap", lambda: unit("ct-flap.service", "ExecStart=/bin/sleep 0.3\nRestart=always\nRestartSec=100ms", "StartLimitIntervalSec=0"),
            lambda: (unit("ct-flap.service", "ExecStart=/bin/sleep infinity", start=False), sh("systemctl", "restart", "ct-flap.service"))),
        Row("service_watchdog", LIVE, "ct-watchdog", lambda: unit("ct-watchdog.service", "Type=notify\nNotifyAccess=all\nWatchdogSec=1\nExecStart=/bin/sh -c 'systemd-notify --ready; exec sleep infinity'"),
            lambda: (unit("ct-watchdog.service", "ExecStart=/bin/sleep infinity", start=False), sh("systemctl", "restart", "ct-watchdog.service"))),
        Row("service_hung", LIVE, "ct-hung", lambda: (unit("ct-hung.service", "ExecStart=/bin/sleep infinity"), sh("systemctl", "kill", "-s", "STOP", "ct-hung.service")),
            lambda: sh("systemctl", "kill", "-s", "CONT", "ct-hung.service")),
        Row("port_conflict", LIVE, "ct-port", lambda: (holder(), unit("ct-port.service", "SuccessExitStatus=143\nExecStart=/usr/bin/socat TCP-LISTEN:9911,reuseaddr,fork EXEC:/bin/cat")), let_go),
        Row("invalid_unit_path", LIVE, "ct-path", lambda: unit("ct-path.service", "ExecStart=/opt/ct/gone/bin/meterd", enable=True, start=False),
            lambda: (put("/opt/ct/gone/bin/meterd", "#!/bin/sh\nexec sleep 9999\n"), os.chmod("/opt/ct/gone/bin/meterd", 0o755), sh("systemctl", "start", "ct-path.service"))),
        Row("config_drift", LIVE, "ct-drift", drift, lambda: sh("systemctl", "daemon-reload")),
    ]


def of_declared():
    manager = {"openrc": "OpenRC script", "sysv": "SysV script"}.get(PLACE, "declared service")
    no = f"{manager}s have none"
    return [
        Row("service_failed", f"{LIVE}: {manager}", "ct-dead", dead_service, revive),
        Row("service_inactive", LIVE, "ct-idle", nothing, own_pid_file("ct-idle")),
        Row("service_flapping", LIVE, "", nothing, nothing, no),
        Row("service_watchdog", LIVE, "", nothing, nothing, no),
        Row("service_hung", LIVE, "", nothing, nothing, no),
        Row("port_conflict", LIVE, "ct-port", holder, let_go),
        Row("invalid_unit_path", LIVE, "ct-path", nothing,
            lambda: (put("/opt/ct/gone/bin/meterd", "#!/bin/sh\n"), os.chmod("/opt/ct/gone/bin/meterd", 0o755), own_pid_file("ct-path")())),
        Row("config_drift", LIVE, "", nothing, nothing, no),
    ]


def rows():
    common = [
        Row("disk_full", "ext4 on a loop device", "/srv/full", lambda: fill(loop("full")), lambda: os.remove("/srv/full/big")),
        Row("inode_full", "ext4 on a loop device", "/srv/inodes", lambda: many(loop("inodes", "8M", "-N", "64")),
            lambda: [os.remove(f"/srv/inodes/{n}") for n in os.listdir("/srv/inodes") if n.isdigit()]),
        Row("memory_pressure", "meminfo", "memory", meminfo, lambda: sh("umount", "/proc/meminfo")),
        Row("readonly_fs", "ext4 on a loop device", "/srv/ro", lambda: (loop("ro"), time.sleep(5), fs_error("/srv/ro")),
            lambda: sh("mount", "-o", "remount,rw", "/srv/ro")),
        Row("storage_wear", "mmc life_time (worn)", "mmcblk0", lambda: over("/sys/block", {"mmcblk0/device/life_time": "0x0b 0x02\n", "mmcblk0/device/pre_eol_info": "0x02\n"}),
            lambda: put("/sys/block/mmcblk0/device/life_time", "0x01 0x01\n") or put("/sys/block/mmcblk0/device/pre_eol_info", "0x01\n")),
        Row("thermal", "thermal_zone (hot)", "thermal_zone0", lambda: over("/sys/class/thermal", {"thermal_zone0/temp": "99000\n", "thermal_zone0/type": "cpu-thermal\n"}),
            lambda: put("/sys/class/thermal/thermal_zone0/temp", "51000\n")),
        Row("clock_unsynced", "", "", nothing, nothing, "needs 10 min of a time daemon; unit test"),
        Row("uplink_down", LIVE, "uplink", nothing, lambda: (sh("ip", "link", "add", "ct2", "type", "veth", "peer", "name", "ct3"), sh("ip", "link", "set", "ct2", "up"), sh("ip", "link", "set", "ct3", "up"), sh("ip", "addr", "add", "10.99.0.1/30", "dev", "ct2"), sh("ip", "route", "add", "default", "dev", "ct2"))),
        Row("network_down", LIVE, "ct0", nothing, lambda: (sh("ip", "link", "add", "ct0", "type", "veth", "peer", "name", "ct1"), sh("ip", "link", "set", "ct0", "up"), sh("ip", "link", "set", "ct1", "up"))),
        Row("stale_process", LIVE, "", zombie, end_zombie),
        Row("log_error", "app.log", "", lambda: put("/var/log/ct-app.log", fixture("app.log"), "a"), nothing),
        Row("probe_failed", LIVE, "ct-web", nothing, lambda: processes.append(listener(9912))),
        Row("container_unhealthy", "docker_containers.json", "", lambda: setattr(ENGINE, "body", fixture("docker_containers.json")), lambda: setattr(ENGINE, "body", "[]")),
    ]
    next(row for row in common if row.name == "storage_wear").before_start = True
    kernels = [Row(name, file, subject, kernel(file), nothing) for name, file, subject in KERNEL_ROWS]
    own = [
        Row("self_detector_broken", "engine answers garbage", "container", nothing, nothing),
        Row("self_gap", LIVE, "ct-rotated", nothing, nothing),
        Row("self_store, self_escalation_down", "", "", nothing, nothing, "tests of store and courier"),
    ]
    return (of_systemd() if SYSTEMD else of_declared()) + common + kernels + own


# --- the run --------------------------------------------------------------------


def start():
    log = open(f"{BASE}/daemon.log", "a", encoding="utf-8")
    return subprocess.Popen([NAME, "run", "--config", f"{BASE}/config.toml"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def stop(daemon):
    daemon.send_signal(signal.SIGTERM)
    daemon.wait(timeout=60)


def tasks():
    with sqlite3.connect(f"file:{BASE}/state/tasks.db?mode=ro", uri=True, timeout=10) as db:
        return db.execute("SELECT issue_type, subject, issue_message, status FROM tasks").fetchall()


def fitting(row, found):
    return [status for kind, subject, message, status in found
            if kind == row.name and (row.subject in (subject or "") or row.subject in (message or ""))]


def wait(left, good, deadline_s):
    end = time.monotonic() + deadline_s
    while left and time.monotonic() < end:
        found = tasks()
        left = [row for row in left if not good(row, found)]
        time.sleep(0.5)
    return left


def main():
    os.makedirs(f"{BASE}/state", exist_ok=True)
    put(f"{BASE}/config.toml", CONFIG + ("" if SYSTEMD else DECLARED))
    for name in ("app", "kern"):
        put(f"/var/log/ct-{name}.log", "")
    put("/var/log/ct-rotated.log", "the first line of all\n")
    table = rows()
    ENGINE.start()
    daemon = start()
    time.sleep(5)
    # The file is exchanged while nobody looks: what it held last is lost, and said.
    put("/var/log/ct-rotated.log", "a second line, read\n", "a")
    time.sleep(2)
    stop(daemon)
    os.remove("/var/log/ct-rotated.log")
    put(f"{BASE}/inode-holder", "keeps the inode busy")
    put("/var/log/ct-rotated.log", "another file\nthat was never read before\n")
    for row in table:
        if row.before_start:
            row.inject()
    daemon = start()
    for row in table:
        if row.absent or row.before_start:
            continue
        try:
            if row.name == "container_unhealthy":
                # Its garbage has been seen when the broken detector was.
                wait([r for r in table if r.name == "self_detector_broken"], fitting, 30)
            row.inject()
        except (OSError, RuntimeError) as why:
            row.absent = f"cannot be made here: {why}"
    here = [row for row in table if not row.absent]
    missed = wait(here, fitting, DETECT_S)
    for row in here:
        row.detected = "no" if row in missed else "yes"
        try:
            row.end()
        except (OSError, RuntimeError) as why:
            row.cleared = f"not ended: {why}"
    # The slow sweeps (wear: hourly) look at their start.
    stop(daemon)
    daemon = start()
    kept = wait([row for row in here if row.detected == "yes"], lambda row, found: all(s == "closed" for s in fitting(row, found)), CLEAR_S)
    for row in here:
        row.cleared = row.cleared or ("" if row.detected == "no" else "no" if row in kept else "yes")
    stop(daemon)
    bad = 0
    for row in table:
        if row.absent:
            print(f"ROW\t{row.name}\t{row.origin}\tabsent: {row.absent}\t")
        else:
            bad += row.detected != "yes" or row.cleared != "yes"
            print(f"ROW\t{row.name}\t{row.origin}\t{row.detected}\t{row.cleared}")
    if bad:
        for task in tasks():
            print("task", *task)
        with open(f"{BASE}/daemon.log", encoding="utf-8", errors="replace") as source:
            print(source.read()[-3000:])
    for one in processes:
        one.kill() if isinstance(one, subprocess.Popen) else one.close()
    for point in ("full", "inodes", "ro"):
        sh("umount", f"/srv/{point}", check=False)
    shutil.rmtree(BASE, ignore_errors=True)
    sys.exit(1 if bad else 0)


main()
