#!/usr/bin/env python3
"""Real containers under a real Podman, watched and repaired by the real daemon. Prints one row a case; exit status 1 when
a row says something else than it should.

Run inside the systemd bed by containers.sh: Podman's timers run the health checks, a unit of systemd runs one container.
What the bed cannot show is said in the last column."""

import argparse
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time

LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
ENGINE = """[containers]
default_ulimits = ["nofile=1024:4096", "nproc=1024:4096"]
[engine]
events_logger = "file"
runtime = "runc"
cgroup_manager = "cgroupfs"
"""
STORAGE = """[storage]
driver = "vfs"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
"""
# As `podman generate systemd --new` writes it.
PUMP = """[Service]
Environment=PODMAN_SYSTEMD_UNIT=%n
Type=notify
NotifyAccess=all
TimeoutStopSec=30
ExecStartPre=/bin/rm -f %t/%n.ctr-id
ExecStart=/usr/bin/podman run --cidfile=%t/%n.ctr-id --cgroups=no-conmon --rm --sdnotify=conmon --replace -d --name pump {options} box:1 /bin/sh -c "{script}"
ExecStop=/usr/bin/podman stop --ignore -t 2 --cidfile=%t/%n.ctr-id
ExecStopPost=/usr/bin/podman rm -f --ignore -t 2 --cidfile=%t/%n.ctr-id
[Install]
WantedBy=multi-user.target
"""
CONFIG = """[daemon]
state_dir = "{work}/state"
runtime_dir = "{work}/daemon"
startup_grace_s = 0
host_name = "box1"
[mode]
medium = "{medium}"
[mode.action]
restart_container = "auto"
[detect]
journal = false
kernel_log = false
disabled = ["clock_unsynced", "disk", "memory_pressure", "network_down", "thermal", "storage_wear"]
[budget]
host_per_hour = 200
host_per_day = 200
[fix]
stability_s = 20
tell_after_s = 30
"""
# Healthy as long as /tmp/ok is there, which each start makes.
HEALTHY = "touch /tmp/ok; trap 'exit 0' TERM; while true; do sleep 0.3; done"
SLOW = "[ -e /ran ] && { rm -f /tmp/ok; sleep 8; }; touch /ran; " + HEALTHY
CHECK = ["--health-cmd", "test -e /tmp/ok", "--health-interval", "2s", "--health-retries", "2"]
# Fails once, then runs.
ONCE = "trap 'exit 0' TERM; [ -e /ran ] || {{ touch /ran; sleep {after}; {how}; }}; while true; do sleep 0.3; done"
COMPOSE = "com.docker.compose."


class Bed:
    def __init__(self, binary, medium):
        self.binary, self.medium = binary, medium
        self.work = "/root/containers"
        os.makedirs(self.work)
        self.children = []

    def path(self, name):
        return os.path.join(self.work, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def podman(self, *args, check=True):
        out = subprocess.run(["podman", *args], capture_output=True, text=True, check=False)
        if check and out.returncode != 0:
            raise RuntimeError(f"podman {' '.join(args)}: {out.stderr.strip()}")
        return out.stdout.strip()

    def run(self, name, script, *options):
        self.podman("run", "-d", "--name", name, "--network=none", *LIMITS, *options, "box:1", "/bin/sh", "-c", script)

    def begin(self):
        self.write("/etc/containers/containers.conf", ENGINE)
        self.write("/etc/containers/storage.conf", STORAGE)
        os.makedirs(self.path("img/bin"))
        os.makedirs(self.path("img/tmp"))
        shutil.copy("/bin/busybox", self.path("img/bin/busybox"))
        for applet in "sh sleep cat test touch rm echo true".split():
            os.symlink("busybox", self.path(f"img/bin/{applet}"))
        subprocess.run(["tar", "-C", self.path("img"), "-cf", self.path("img.tar"), "."], check=True)
        self.podman("import", self.path("img.tar"), "box:1")
        os.makedirs("/run/podman")
        log = open(self.path("podman.log"), "w", encoding="utf-8")
        order = ["podman", "system", "service", "--time=0", "unix:///run/podman/podman.sock"]
        self.children.append(subprocess.Popen(order, stdout=log, stderr=log))
        until("Podman's socket", lambda: connects("/run/podman/podman.sock"))

    def watch(self):
        self.write("config.toml", CONFIG.format(work=self.work, medium=self.medium))
        log = open(self.path("daemon.log"), "w", encoding="utf-8")
        order = [self.binary, "run", "--config", self.path("config.toml")]
        self.children.append(subprocess.Popen(order, stdout=log, stderr=log))
        until("the daemon", lambda: "ready" in self.log())

    def log(self):
        with open(self.path("daemon.log"), encoding="utf-8") as file:
            return file.read()

    def ask(self, question, *values):
        with sqlite3.connect(f"file:{self.work}/state/tasks.db?mode=ro", uri=True, timeout=30) as base:
            base.row_factory = sqlite3.Row
            return [dict(row) for row in base.execute(question, values)]

    def end(self):
        for child in reversed(self.children):
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
        subprocess.run(["systemctl", "stop", "pump"], check=False)
        self.podman("rm", "-af", "-t", "0", check=False)


def connects(path):
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(path)
            return True
    except OSError:
        return False


def until(what, test, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if test():
            return
        time.sleep(0.1)
    raise SystemExit(f"FAILED not in {seconds} s: {what}")


class Case:
    """What is done to one container, and what should come of it: (tasks, attempts that were verified, told)."""

    def __init__(self, name, what, make, break_it, want, note="real"):
        self.name, self.what, self.make, self.break_it, self.want, self.note = name, what, make, break_it, want, note
        self.at = 0.0


def kill_outside(bed, name):
    pid = int(bed.podman("inspect", name, "-f", "{{.State.Pid}}"))
    os.kill(pid, signal.SIGKILL)


def recreate(bed):
    """As an update goes: stopped, taken away, made anew from the image that was pulled."""
    bed.podman("stop", "-t", "1", "updated")
    bed.podman("rm", "updated")
    bed.run("updated", HEALTHY)


def compose(service, needs=""):
    labels = {"project": "site", "service": service, "depends_on": needs}
    return [word for key, value in labels.items() for word in ("--label", f"{COMPOSE}{key}={value}")]


def nothing(_bed):
    pass


def cases():
    def healthy(name, *options):
        return lambda bed: bed.run(name, HEALTHY, *CHECK, *options)

    def plain(name, script, *options):
        return lambda bed: bed.run(name, script, *options)

    def ill(name):
        return lambda bed: bed.podman("exec", name, "/bin/rm", "/tmp/ok")

    said = "echo 'dial tcp 10.0.0.7:502: connect: connection refused' >&2; exit 1"
    client = "echo 'dial tcp db:5432: connect: connection refused' >&2; exit 1"
    server = "echo '/etc/db.conf:3: invalid configuration: unknown key speed' >&2; exit 1"
    hog = "x=aaaaaaaa; while true; do x=$x$x; done"
    return [
        Case("unhealthy", "fails its health check", healthy("unhealthy"), ill("unhealthy"), (1, 1, 0)),
        Case("slow", "unhealthy, takes 8 s to be healthy after a start",
             plain("slow", SLOW, *CHECK, "--health-start-period", "20s"), ill("slow"), (1, 1, 0),
             "real; found after its start period of 20 s"),
        Case("exits", "exited with 1", plain("exits", ONCE.format(after=6, how=said)), nothing, (1, 1, 0)),
        Case("shot", "killed from outside (137)", plain("shot", HEALTHY), lambda bed: kill_outside(bed, "shot"), (1, 1, 0)),
        Case("loops", "restart loop (policy always)", nothing,
             plain("loops", "echo 'fatal: no route' >&2; sleep 0.5; exit 3", "--restart", "always"), (1, 0, 1)),
        Case("hungry", "memory limit reached", plain("hungry", ONCE.format(after=6, how=hog), "--memory", "24m"), nothing,
             (1, 1, 0), None),
        Case("stopped", "stopped by a human", plain("stopped", HEALTHY),
             lambda bed: bed.podman("stop", "-t", "1", "stopped"), (0, 0, 0)),
        Case("stubborn", "stopped by a human, ignores TERM (137)", plain("stubborn", "while true; do sleep 1; done"),
             lambda bed: bed.podman("stop", "-t", "1", "stubborn"), (0, 0, 0)),
        Case("hushed", "killed by a human through the engine", plain("hushed", HEALTHY),
             lambda bed: bed.podman("kill", "hushed"), (0, 0, 0)),
        Case("job", "job that ended with 0", plain("job", "sleep 4; exit 0"), nothing, (0, 0, 0)),
        Case("updated", "update under way: stopped, removed, made anew", plain("updated", HEALTHY), recreate, (0, 0, 0)),
        Case("owned", "Kubernetes' own, unhealthy", healthy("owned", "--label", "io.kubernetes.pod.name=x"), ill("owned"),
             (1, 0, 0)),
        Case("pump", "unhealthy, run by a unit", None, ill("pump"), (1, 1, 0),
             "real; the unit as `podman generate systemd --new` writes it (Quadlet came with 4.4)"),
        Case("db", "project of three: the root, its configuration is broken",
             plain("db", f"sleep 8; {server}", *compose("db")), nothing, (1, 0, 1)),
        Case("web", "project of three: needs db",
             plain("web", f"sleep 8; {client}", *compose("web", "db:service_started:false")), nothing, (1, 0, 0)),
        Case("api", "project of three: needs db",
             plain("api", f"sleep 8; {client}", *compose("api", "db:service_started:false")), nothing, (1, 0, 0)),
    ]  # fmt: skip


def make_pump(bed):
    """By its unit, whose environment Podman writes into the container's labels."""
    options = " ".join(f"'{word}'" if " " in word else word for word in ["--network=none", *LIMITS, *CHECK])
    script = HEALTHY.replace("%", "%%")
    bed.write("/etc/systemd/system/pump.service", PUMP.format(options=options, script=script))
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run(["systemctl", "enable", "-q", "--now", "pump"], check=True)


def row(bed, case):
    tasks = bed.ask("SELECT * FROM tasks WHERE issue_type = 'container_unhealthy' AND subject = ? ORDER BY id", case.name)
    attempts = bed.ask("SELECT * FROM attempts WHERE subject = ? AND outcome <> 'refused' ORDER BY id", case.name)
    ids = [task["id"] for task in tasks]
    told = [one for one in bed.ask("SELECT task_id FROM escalations") if one["task_id"] in ids]
    found = bed.ask("SELECT (julianday(detected_at) - 2440587.5) * 86400.0 AS at FROM tasks WHERE id = ?", ids[0])[0]["at"] if ids else None
    note = case.note
    if case.name == "hungry":
        killed = json.loads(bed.podman("inspect", case.name, "-f", "{{json .State.OOMKilled}}") or "false")
        note = "real; the engine says so" if killed else "real kill by the kernel; this engine on cgroup v1 does not say OOMKilled"
    verified = [one for one in attempts if one["outcome"] == "verified"]
    return {
        "got": (len(tasks), len(verified), len(told)),
        "found": "-" if found is None else f"{found - case.at:.1f}",
        "cause": tasks[0]["cause"] or "unknown" if tasks else "-",
        "action": attempts[-1]["action_text"] if attempts else (tasks[-1]["waiting_reason"] or "-" if tasks else "-"),
        "verified": f"{len(verified)} of {len(attempts)}",
        "told": str(len(told)),
        "note": note,
        "say": tasks[0]["issue_message"] if tasks else "",
    }


def table(bed, seconds):
    all_cases = cases()
    for case in all_cases:
        (case.make or make_pump)(bed)
    bed.watch()
    time.sleep(1)
    for case in all_cases:
        case.at = time.time()
        case.break_it(bed)
    for case in all_cases:
        if case.break_it is nothing:
            # They end by themselves: by the engine's own word.
            ended = lambda name=case.name: bed.podman("inspect", name, "-f", "{{.State.FinishedAt.Unix}}")  # noqa: E731
            until(f"the end of {case.name}", lambda: int(ended()) > 0)
            case.at = float(ended())
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(row(bed, case)["got"] != case.want for case in all_cases):
        time.sleep(2)
    # What must not happen may happen late: one more stability window.
    time.sleep(25)
    print("| case | found after s | cause | action, or why none | verified | told | how |")
    print("|---|---|---|---|---|---|---|")
    wrong = []
    for case in all_cases:
        one = row(bed, case)
        print(f"| {case.what} | {one['found']} | {one['cause']} | {one['action']} | {one['verified']} | {one['told']} | {one['note']} |")
        if one["got"] != case.want:
            wrong.append(f"{case.name}: tasks, verified, told are {one['got']}, not {case.want}: {one['say']}")
    # Podman's units of checks fail with each check that does; the bed itself is well.
    for task in bed.ask("SELECT * FROM tasks WHERE issue_type NOT IN ('container_unhealthy', 'oom_kill', 'log_error')"):
        wrong.append(f"also found: {task['issue_type']} {task['subject']}: {task['issue_message']}")
    return wrong


def proven(bed):
    """Ten healthy minutes make a restart one of low risk: with the defaults but for `[mode.action]`, that one alone is done."""
    for name in ("old", "young"):
        if name == "young":
            time.sleep(615)
        bed.run(name, HEALTHY, *CHECK)
        if name == "old":
            bed.watch()
    time.sleep(12)
    wrong = []
    for name in ("old", "young"):
        bed.podman("exec", name, "/bin/rm", "/tmp/ok")
    case = {name: Case(name, name, None, None, None) for name in ("old", "young")}
    until("the restart of what was proven", lambda: row(bed, case["old"])["got"][1] == 1, 90)
    until("the word about the other", lambda: row(bed, case["young"])["got"] == (1, 0, 1), 90)
    print("| case | cause | action | verified | told |\n|---|---|---|---|---|")
    for name, what in (("old", "healthy for ten minutes"), ("young", "healthy for seconds")):
        one = row(bed, case[name])
        print(f"| {what}, medium = suggest | {one['cause']} | {one['action']} | {one['verified']} | {one['told']} |")
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--proven", action="store_true", help="the ten healthy minutes alone: takes eleven")
    parser.add_argument("--seconds", type=int, default=150)
    args = parser.parse_args()
    bed = Bed(os.path.abspath(args.binary), "suggest" if args.proven else "auto")
    wrong = ["it did not come to an end"]
    try:
        bed.begin()
        wrong = proven(bed) if args.proven else table(bed, args.seconds)
    finally:
        if wrong:
            print("\n".join(f"FAILED {one}" for one in wrong))
            if os.path.exists(bed.path("daemon.log")):
                print(bed.log()[-6000:], file=sys.stderr)
        bed.end()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
