#!/usr/bin/env python3
"""The faults of the end-to-end run, and what is expected of each.

Runs inside the systemd bed: `faults.py prepare` before the daemon is started,
`faults.py run` after. Times are printed, not asserted; outcomes are asserted.
Each fault is described where it is injected. Only units named e2e-* are made.
"""

import glob
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Callable

import daemon
from daemon import NAME, find, main_pid, sh, show, wait_for

UNITS = "/etc/systemd/system"
SMALL = "/srv/e2e-small"
STUB = os.environ.get("STUB", "/root/e2e/github")
# What a minute of patience is too little for: phases 1 to 3 with all attempts.
ESCALATION_S = 240
# The courier looks twice, the second time five minutes later, before it posts again.
DELIVERY_S = 540
STORM_LINES = 10_000


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    os.chmod(path, mode)


def unit(name, service, section="", install=True, folder=UNITS):
    """A service of the test; enabled when it has an [Install] section."""
    wanted = "[Install]\nWantedBy=multi-user.target\n" if install else ""
    write(f"{folder}/{name}", f"[Unit]\nDescription=End-to-end fixture\n{section}\n[Service]\n{service}\n{wanted}")


def start(*names):
    sh("systemctl", "daemon-reload")
    for name in names:
        sh("systemctl", "enable", "-q", "--now", name)


# --- faults -------------------------------------------------------------------


@dataclass
class Fault:
    """One row of the table."""

    name: str
    subject: str
    # Classes that name it; the first that has a task is shown.
    classes: list
    inject: Callable
    # fixed: closed as fixed by an action · cleared: closed in whatever way · escalated
    expect: str = "fixed"
    # Complaints about the state of the host afterwards.
    check: Callable = lambda: []
    deadline_s: int = 120
    # True when a person has to be told in the end; False when none may be.
    escalates: bool = False


def active(name):
    return [] if show(name, "ActiveState") == "active" else [f"{name} is {show(name, 'ActiveState')}"]


def inject_killed_repeatedly():
    """kill -9 of a service without Restart=, again each time it was brought back."""
    for _ in range(3):
        pid = wait_for("e2e-killed runs", lambda: main_pid("e2e-killed.service"), 60)
        os.kill(pid, signal.SIGKILL)
        wait_for("e2e-killed noticed", lambda p=pid: main_pid("e2e-killed.service") != p, 10)
        if find(0, ["service_failed"], "e2e-killed"):
            wait_for("e2e-killed is back", lambda: not active("e2e-killed.service"), 60)


def inject_flapping():
    """kill -9 of a service that systemd itself restarts, eight times in a few seconds."""
    last = 0
    for _ in range(8):
        pid = wait_for("e2e-flap runs anew", lambda p=last: main_pid("e2e-flap.service") not in (0, p) and main_pid("e2e-flap.service"), 20)
        os.kill(pid, signal.SIGKILL)
        last = pid


def inject_exit_once():
    """The main process ends with status 1 at one start and works at the next."""
    write("/srv/e2e-exit/fail-once", "")
    sh("systemctl", "restart", "e2e-exit.service", check=False)


def inject_exec_moved():
    """An upgrade moved the program to a new folder; the unit still has the old path."""
    os.rename("/opt/e2e-meter/bin/e2e-meterd", "/opt/e2e-meter/sbin/e2e-meterd")
    sh("systemctl", "restart", "e2e-moved.service", check=False)


def inject_directory_missing():
    """The working directory moved with its parent to a new version."""
    os.rename("/srv/e2e-work/v1/data", "/srv/e2e-work/v2/data")
    sh("systemctl", "restart", "e2e-workdir.service", check=False)


def inject_two_on_a_port():
    """A second enabled service wants the port of the first."""
    sh("systemctl", "start", "e2e-port2.service", check=False)


def inject_stale_holder():
    """A process of no unit, left by nobody knows whom, has the port of a service."""
    sh("systemctl", "stop", "e2e-stale.service")
    holder = subprocess.Popen(
        ["socat", "TCP-LISTEN:9103,reuseaddr,fork", "EXEC:/bin/cat"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    leave_unit(holder.pid)
    wait_for("the holder listens", lambda: ":9103" in sh("ss", "-Hltn"), 10)
    # Older than what stale_after_s protects before the service fails at it.
    wait_for("the holder is old enough", lambda: age_s(holder.pid) > 1.5, 10)
    sh("systemctl", "start", "e2e-stale.service", check=False)


def age_s(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as source:
        ticks = int(source.read().rsplit(")", 1)[1].split()[19])
    with open("/proc/uptime", encoding="utf-8") as source:
        return float(source.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


def leave_unit(pid):
    """Moves a process out of every unit's cgroup, as an orphan of a login is."""
    # One hierarchy on v2; on older and hybrid hosts each controller has its own.
    unified = os.path.exists("/sys/fs/cgroup/cgroup.procs")
    for root in ["/sys/fs/cgroup"] if unified else glob.glob("/sys/fs/cgroup/*"):
        os.makedirs(f"{root}/e2e-orphan", exist_ok=True)
        with open(f"{root}/e2e-orphan/cgroup.procs", "w", encoding="utf-8") as out:
            out.write(str(pid))


def inject_disk_full():
    """Rotated logs fill a small file system."""
    for number in range(1, 9):
        try:
            with open(f"{SMALL}/log/app.log.{number}", "wb") as out:
                out.write(b"x" * 880_000)
        except OSError:
            break
    sh("sync", "-f", SMALL)


def inject_killed_clean():
    """An enabled service ends by a plain TERM, which systemd calls success; nobody stopped it."""
    os.kill(main_pid("e2e-inactive.service"), signal.SIGTERM)


def inject_storm():
    """10,000 error lines of three messages, with numbers that differ in each."""
    words = ("sensor {n} lost after {n} ms", "queue overflow: dropped {n} frames", "checksum mismatch in block {n}")
    text = "".join(words[n % 3].format(n=n) + "\n" for n in range(STORM_LINES))
    sh("systemd-cat", "-t", "e2e-storm", "-p", "err", stdin=text)


FAULTS = [
    Fault("service killed repeatedly", "e2e-killed", ["service_failed"], inject_killed_repeatedly,
          check=lambda: active("e2e-killed.service")),
    Fault("service flapping under Restart=", "e2e-flap", ["service_flapping"], inject_flapping, expect="cleared",
          check=lambda: active("e2e-flap.service")),
    Fault("main process exits 1", "e2e-exit", ["service_failed"], inject_exit_once,
          check=lambda: active("e2e-exit.service")),
    Fault("ExecStart moved", "e2e-moved", ["invalid_unit_path", "service_failed"], inject_exec_moved,
          check=lambda: active("e2e-moved.service")),
    Fault("WorkingDirectory missing", "e2e-workdir", ["invalid_unit_path", "service_failed"], inject_directory_missing,
          check=lambda: active("e2e-workdir.service")),
    Fault("two services on one port", "9102", ["port_conflict"], inject_two_on_a_port, expect="escalated",
          check=lambda: active("e2e-port1.service"), deadline_s=ESCALATION_S, escalates=True),
    Fault("stale process holds the port", "9103", ["port_conflict", "stale_process"], inject_stale_holder,
          check=lambda: active("e2e-stale.service")),
    Fault("small file system filled", SMALL, ["disk_full"], inject_disk_full,
          check=lambda: [] if used_percent(SMALL) < 90 else [f"{SMALL} is {used_percent(SMALL)} % full"]),
    Fault("enabled service inactive", "e2e-inactive", ["service_inactive"], inject_killed_clean,
          check=lambda: active("e2e-inactive.service")),
]  # fmt: skip


def used_percent(path):
    stat = os.statvfs(path)
    return round(100 * (stat.f_blocks - stat.f_bfree) / (stat.f_blocks - stat.f_bfree + stat.f_bavail))


# --- units that nobody may touch ------------------------------------------------

LONG = "ExecStart=/bin/sleep infinity"
# name -> the state it must still have at the end
UNTOUCHED = {
    "e2e-stopped.service": "inactive",
    "e2e-masked.service": "inactive",
    "e2e-oneshot.service": "inactive",
    "e2e-socket.service": "inactive",
    "e2e-timer.service": "inactive",
    "e2e-condition.service": "inactive",
}


def prepare_untouched():
    """Masked, stopped by a human, oneshot finished, started by socket or timer, false condition."""
    unit("e2e-stopped.service", LONG)
    unit("e2e-oneshot.service", "Type=oneshot\nExecStart=/bin/true")
    unit("e2e-condition.service", LONG, "ConditionPathExists=/nonexistent")
    unit("e2e-socket.service", "ExecStart=/bin/cat\nStandardInput=socket", install=False)
    write(f"{UNITS}/e2e-socket.socket", "[Socket]\nListenStream=/run/e2e.socket\nAccept=no\n[Install]\nWantedBy=sockets.target\n")
    unit("e2e-timer.service", "Type=oneshot\nExecStart=/bin/true", install=False)
    write(f"{UNITS}/e2e-timer.timer", "[Timer]\nOnBootSec=10h\n[Install]\nWantedBy=timers.target\n")
    # Where packages put theirs: a unit file in /etc cannot be masked.
    unit("e2e-masked.service", LONG, folder="/lib/systemd/system")
    start("e2e-stopped.service", "e2e-oneshot.service", "e2e-condition.service", "e2e-socket.socket", "e2e-timer.timer", "e2e-masked.service")


def prepare():
    unit("e2e-killed.service", LONG)
    unit("e2e-flap.service", f"{LONG}\nRestart=always\nRestartSec=200ms", "StartLimitIntervalSec=0")
    unit("e2e-exit.service", "ExecStart=/bin/sh -c 'rm /srv/e2e-exit/fail-once 2>/dev/null && exit 1; exec sleep infinity'")
    write("/opt/e2e-meter/bin/e2e-meterd", "#!/bin/sh\nexec sleep infinity\n", 0o755)
    os.makedirs("/opt/e2e-meter/sbin", exist_ok=True)
    unit("e2e-moved.service", "ExecStart=/opt/e2e-meter/bin/e2e-meterd")
    os.makedirs("/srv/e2e-work/v1/data", exist_ok=True)
    os.makedirs("/srv/e2e-work/v2", exist_ok=True)
    os.makedirs("/srv/e2e-exit", exist_ok=True)
    unit("e2e-workdir.service", f"WorkingDirectory=/srv/e2e-work/v1/data\n{LONG}")
    # socat ends with 143 when it is stopped; that is no failure.
    listen = "SuccessExitStatus=143\nExecStart=/usr/bin/socat TCP-LISTEN:{},reuseaddr,fork EXEC:/bin/cat"
    unit("e2e-port1.service", listen.format(9102))
    unit("e2e-port2.service", listen.format(9102))
    unit("e2e-stale.service", listen.format(9103))
    unit("e2e-inactive.service", LONG)
    unit("e2e-unfixable.service", "ExecStart=/bin/sh -c 'echo calibration data are gone >&2; exit 1'")
    unit("e2e-unfixable2.service", "ExecStart=/bin/sh -c 'echo licence has ended >&2; exit 1'")
    sh("systemctl", "daemon-reload")
    sh("truncate", "-s", "8M", "/srv/e2e-small.img")
    sh("mkfs.ext4", "-q", "-F", "-m", "0", "/srv/e2e-small.img")
    os.makedirs(SMALL, exist_ok=True)
    sh("mount", "-o", "loop", "/srv/e2e-small.img", SMALL)
    os.makedirs(f"{SMALL}/log")
    prepare_untouched()
    start("e2e-killed.service", "e2e-flap.service", "e2e-exit.service", "e2e-moved.service", "e2e-workdir.service",
          "e2e-port1.service", "e2e-stale.service", "e2e-inactive.service")  # fmt: skip


# --- running ----------------------------------------------------------------------


@dataclass
class Row:
    fault: str
    task: dict
    injected: float
    complaints: list
    note: str = ""

    def seconds(self, field):
        at = daemon.epoch(self.task.get(field))
        return "-" if at is None else f"{max(0.0, at - self.injected):.1f}"

    def cells(self):
        verdict = "ok" if not self.complaints else "FAILED"
        escalated = "yes" if self.task.get("status") == "escalated" or self.task.get("github_issue_number") else "no"
        return [
            self.fault,
            self.task.get("class") or "-",
            self.seconds("detected_at"),
            (self.task.get("cause") or "-")[:60],
            (self.task.get("action") or "-")[:60],
            self.seconds("first_green_at"),
            escalated,
            verdict + (f" ({self.note})" if self.note else ""),
        ]


HEADINGS = ["fault", "class", "detected s", "cause named", "action", "verified s", "escalated", "expected"]


def print_table(rows):
    lines = [HEADINGS] + [row.cells() for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    for row in rows:
        for complaint in row.complaints:
            print(f"FAILED {row.fault}: {complaint}")
    sys.stdout.flush()


def has_ended(fault, task):
    if fault.expect == "escalated":
        return task["status"] == "escalated"
    if fault.expect == "fixed":
        return task["status"] == "closed" or task["status"] == "escalated"
    return task["status"] == "closed"


def judge(fault, found):
    task = found[0]
    complaints = list(fault.check())
    if fault.expect == "fixed":
        fixed = [t for t in found if t["status"] == "closed" and t.get("resolution") == "fixed"]
        if not fixed:
            complaints.append(f"no task closed as fixed: {[(t['class'], t['status'], t.get('resolution')) for t in found]}")
        else:
            task = fixed[0]
    if not fault.escalates and any(t.get("github_issue_number") for t in found):
        complaints.append("a human was told")
    return task, complaints


def run_fault(fault):
    """Injects, waits for the end of its tasks, and says what was not as expected."""
    injected = time.time()
    print(f"-- {fault.name}: {(fault.inject.__doc__ or '').strip()}", flush=True)
    try:
        fault.inject()
        wait_for("a task", lambda: find(injected, fault.classes, fault.subject), fault.deadline_s)
        wait_for("the end of its tasks", lambda: all_ended(fault, injected), fault.deadline_s)
        task, complaints = judge(fault, find(injected, fault.classes, fault.subject))
    except (TimeoutError, RuntimeError) as error:
        found = find(injected, fault.classes, fault.subject)
        task = found[0] if found else {}
        complaints = [str(error), f"tasks: {[(t['id'], t['class'], t['status'], t.get('waiting_reason')) for t in found]}"]
    return Row(fault.name, task, injected, complaints)


def all_ended(fault, injected):
    return all(has_ended(fault, task) for task in find(injected, fault.classes, fault.subject))


def run_storm():
    injected = time.time()
    print(f"-- error line storm: {inject_storm.__doc__}", flush=True)
    inject_storm()
    complaints = []
    try:
        wait_for("all lines counted", lambda: storm_lines(injected) >= STORM_LINES, 60)
    except TimeoutError as error:
        complaints.append(f"{error}: {storm_lines(injected)} of {STORM_LINES}")
    found = find(injected, ["log_error"], "e2e-storm")
    if len(found) != 3:
        complaints.append(f"{len(found)} tasks instead of 3: {[t['message'][:60] for t in found]}")
    return Row("error line storm", found[0] if found else {}, injected, complaints, f"{len(found)} tasks, {storm_lines(injected)} lines")


def storm_lines(injected):
    return sum(task.get("seen_count") or 0 for task in find(injected, ["log_error"], "e2e-storm"))


# --- the unfixable and its delivery --------------------------------------------------


def break_for_good():
    """Two services that no restart helps. The stub answers 502 to the first create, having
    done nothing, and 502 to the second, having created the issue; the daemon is killed
    right after each answer."""
    write(f"{STUB}/control", "POST /issues:502\nPOST /issues:502-after-accept\n")
    injected = time.time()
    for name in ("e2e-unfixable.service", "e2e-unfixable2.service"):
        sh("systemctl", "enable", "-q", name)
        sh("systemctl", "start", name, check=False)
    wanted, killed, error = 2, 0, None
    try:
        while killed < wanted:
            wait_for(f"create number {killed + 1}", lambda k=killed: creates() > k, ESCALATION_S)
            killed = creates()
            os.kill(main_pid(NAME), signal.SIGKILL)
            wait_for("the daemon is back", lambda: show(NAME, "ActiveState") == "active", 30)
    except TimeoutError as late:
        error = str(late)
    return injected, error


def creates():
    return sum(1 for r in daemon.stub_requests(STUB) if r["method"] == "POST" and r["path"].endswith("/issues"))


def issues_about(name):
    return [i for i in daemon.stub_issues(STUB) if name in i["title"] + (i["body"] or "")]


def delivered(name, injected):
    found = find(injected, ["service_failed"], name)
    return bool(found) and bool(found[0].get("github_issue_number"))


def judge_delivery(name, what, injected, error):
    """Exactly one issue, and the task knows its number."""
    complaints = [error] if error else []
    try:
        wait_for("the issue number in the task", lambda: delivered(name, injected), DELIVERY_S)
    except TimeoutError as late:
        complaints.append(str(late))
    found = find(injected, ["service_failed"], name)
    issues = issues_about(name)
    if len(issues) != 1:
        complaints.append(f"{len(issues)} issues instead of 1")
    elif found and found[0].get("github_issue_number") != issues[0]["number"]:
        complaints.append(f"task has issue {found[0].get('github_issue_number')}, the stub {issues[0]['number']}")
    if len([t for t in found if t["status"] == "escalated"]) != 1:
        complaints.append(f"tasks: {[(t['id'], t['status']) for t in found]}")
    return Row(what, found[0] if found else {}, injected, complaints, f"{len(issues)} issue")


# --- at the end ----------------------------------------------------------------------


def judge_untouched(since):
    complaints = []
    for name, wanted in UNTOUCHED.items():
        state = show(name, "ActiveState")
        if state != wanted:
            complaints.append(f"{name} is {state} instead of {wanted}")
        for task in find(0, ["service_inactive", "service_failed", "service_flapping"], name):
            complaints.append(f"{name} has task {task['id']} ({task['class']})")
    return Row("stopped, masked, oneshot, on-demand units", {}, since, complaints, "untouched" if not complaints else "")


def judge_daemon(since, kills):
    """The store verifies, nothing was locked, and it was never down but for our kills."""
    complaints = []
    verify = subprocess.run([NAME, "audit", "verify"], capture_output=True, text=True, check=False)
    if verify.returncode != 0:
        complaints.append(f"audit verify: {verify.stdout} {verify.stderr}")
    log = sh("journalctl", "-u", NAME, "-o", "cat", "--no-pager")
    for bad in ("database is locked", "constraint failed", "panicked"):
        if bad in log:
            complaints.append(f"its log says '{bad}' {log.count(bad)} times")
    if daemon.daemon_restart_count() != kills:
        complaints.append(f"{daemon.daemon_restart_count()} restarts instead of {kills}")
    for task in daemon.tasks():
        if NAME in (task.get("subject") or "") or task["class"] == "self_store":
            complaints.append(f"task {task['id']} about itself: {task['class']} {task['message'][:80]}")
    return Row("the daemon itself", {}, since, complaints, footprint())


def footprint():
    pid = main_pid(NAME)
    with open(f"/proc/{pid}/status", encoding="utf-8") as source:
        fields = dict(line.split(":", 1) for line in source)
    return f"{int(fields['VmRSS'].split()[0]) / 1024:.1f} MB, {fields['Threads'].strip()} threads, {len(os.listdir(f'/proc/{pid}/fd'))} files"


def run():
    began = time.time()
    sh("systemctl", "stop", "e2e-stopped.service")
    sh("systemctl", "mask", "-q", "--now", "e2e-masked.service")
    injected, error = break_for_good()
    rows = [run_fault(fault) for fault in FAULTS]
    rows.append(run_storm())
    rows.append(judge_delivery("e2e-unfixable.service", "cannot be fixed; 502, killed", injected, error))
    rows.append(judge_delivery("e2e-unfixable2.service", "cannot be fixed; created but 502, killed", injected, error))
    rows.append(judge_untouched(began))
    rows.append(judge_daemon(began, kills=2))
    print()
    print_table(rows)
    failed = sum(1 for row in rows if row.complaints)
    print(f"{len(rows) - failed} of {len(rows)} as expected in {time.time() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["prepare"]:
        prepare()
    elif sys.argv[1:] == ["run"]:
        sys.exit(run())
    else:
        sys.exit("usage: faults.py prepare|run")
