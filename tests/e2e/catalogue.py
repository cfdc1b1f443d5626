"""Inside a bed (see scripts/catalogue.sh): the faults of the catalogue, one after the other.

    catalogue.py WITH FAULT[@STEP]…      WITH is ours, monit or restart

With STEP the daemon, a debug build, gets SIGKILL at that step of its first attempt.

Each fault starts on a host without traces of the one before, with a fresh database and the
service that `install` wrote. One line `ROW {json}` for each. What is judged is the host (is
it good, what was started, what changed) and, of ours, the database; not what anybody claims.
docs/CATALOGUE.md says what a fault file holds."""

import glob
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import tomllib

import contender
import judge

NAME = "autonomous-orchestrator"
FOLDER = "/root/catalogue"
DATABASE = f"/var/lib/{NAME}/tasks.db"
RUN = "/run/cat"
WATCH_S = 8
DEADLINE_S = 30
# Looks at the host while something may happen.
POLL_S = 0.02
SLOW_POLL_S = 0.2
# A killed daemon is started again after 2 s and looks at what it left.
KILL_SPARE_S = 20

# What the daemon's log must never say.
BAD_WORDS = ("database is locked", "constraint failed", "panicked")

# Times are shortened; budgets, and all else that decides, are the defaults. Medium risk is
# allowed, or each drop-in would wait for a human; the faults that show the default say so.
CONFIG = {
    "daemon": {"startup_grace_s": 0, "safe_start": False},
    "mode": {"medium": "auto"},
    "detect": {
        "unit_sweep_s": 3, "host_sweep_s": 2, "path_sweep_s": 2, "stale_after_s": 2, "flap_restarts": 4,
        "flap_window_s": 20, "quiet_s": 8, "kernel_log": False,
    },
    "fix": {
        "stability_s": 4, "quick_deadline_s": 8, "research_deadline_s": 15, "log_escalate_after_s": 10,
        # A fifteenth of what is shipped, as the stability window.
        "spacing_s": [0, 1, 4, 20, 60, 120], "tell_after_s": 8,
        "cleanable": ["/srv/cat/small/log/*.[0-9]"],
    },
}  # fmt: skip
BUDGET = {
    "fingerprint_per_hour": 6, "fingerprint_per_day": 12, "unit_per_hour": 5, "host_per_hour": 10, "host_per_day": 30,
    "first_starts_per_hour": 64,
}  # fmt: skip


def sh(*argv, check=True, timeout=60):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=timeout, stdin=subprocess.DEVNULL)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def init_of_host():
    if os.path.isdir("/run/systemd/system"):
        return "systemd"
    return "openrc" if os.path.exists("/sbin/openrc-run") else "sysv"


INIT = init_of_host()


# --- the host ---------------------------------------------------------------------


def service(order, name):
    """An order to this host's init, about any service."""
    command = {"systemd": ["systemctl", order, name], "openrc": ["rc-service", name, order]}.get(INIT, [f"/etc/init.d/{name}", order])
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode


def show(unit, *properties):
    """Properties of a unit, in the order asked."""
    out = sh("systemctl", "show", "-p", ",".join(properties), "--", f"{unit}.service")
    found = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    return [found.get(name, "") for name in properties]


def has_processes(unit):
    """The service runs something: cheap enough to ask fifty times a second."""
    if INIT == "systemd":
        for root in ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
            for folder in (f"{root}/system.slice/{unit}.service", *glob.glob(f"{root}/system.slice/system-*/{glob.escape(unit)}.service")):
                try:
                    with open(f"{folder}/cgroup.procs", encoding="ascii") as source:
                        return bool(source.read(1))
                except OSError:
                    continue
        return False
    try:
        with open(f"/run/{unit}.pid", encoding="ascii") as source:
            pid = int(source.read().split()[0])
        with open(f"/proc/{pid}/stat", encoding="ascii") as source:
            return source.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (OSError, ValueError, IndexError):
        return False


def active(unit):
    return show(unit, "ActiveState") == ["active"] if INIT == "systemd" else has_processes(unit)


def starts(unit):
    """When the fixture's program was started, seconds since 1970."""
    try:
        with open(f"{RUN}/{unit}.starts", encoding="ascii") as source:
            return [float(line.split()[0]) for line in source if line.strip()]
    except OSError:
        return []


def digest(path):
    try:
        with open(path, "rb") as source:
            return hashlib.sha256(source.read()).hexdigest()
    except OSError:
        return ""


def step(text, timeout=90):
    """One step of a fault, in a shell that knows the words of steps.sh."""
    done = subprocess.run(
        ["bash", "-c", f". {FOLDER}/steps.sh\n{text}"], stdin=subprocess.DEVNULL, stdout=sys.stderr,
        stderr=sys.stderr, check=False, timeout=timeout,
    )  # fmt: skip
    return done.returncode


# --- a fault ----------------------------------------------------------------------


class Fault:
    def __init__(self, name):
        self.name, _, self.kill_at = name.partition("@")
        with open(f"{FOLDER}/{self.name}.toml", "rb") as source:
            self.__dict__.update(tomllib.load(source))

    def get(self, key, default=None):
        return self.__dict__.get(key, default)

    @property
    def services(self):
        return self.get("services", [])

    @property
    def watch_time(self):
        """Seconds that it is watched, all of them: what comes too much may come last."""
        if self.get("expect") or not self.get("supported", True):
            return self.get("deadline_s", DEADLINE_S) + (KILL_SPARE_S if self.kill_at else 0)
        return self.get("watch_s", WATCH_S)

    def watched(self):
        """Whose starts and states are noted."""
        return list(dict.fromkeys(self.services + self.get("same", []) + self.get("same_pid", []) + list(self.get("starts_most", {}))))

    def is_good(self):
        """The truth, asked of the host. `None` where nothing can be said."""
        if "good" in self.__dict__:
            return step(self.good, 20) == 0
        if self.services and self.kind in ("fixable", "clears"):
            return all(active(unit) for unit in self.services)
        return None

    def seems_good(self):
        if "good" in self.__dict__ or not self.services:
            return self.is_good()
        return all(has_processes(unit) for unit in self.services)


class Truth:
    """What the host was like while we looked: when it last turned good."""

    def __init__(self, fault):
        self.fault = fault
        self.every = POLL_S if "good" not in fault.__dict__ else SLOW_POLL_S
        self.good, self.since, self.last = None, None, 0.0

    def look(self):
        if time.time() - self.last < self.every or self.fault.kind not in ("fixable", "clears"):
            return
        self.last = time.time()
        good = self.fault.seems_good()
        if good != self.good:
            self.good, self.since = good, self.last

    def works_s(self, injected):
        """Seconds from the fault to the moment since which the host is good; `None` if it is not."""
        if not self.good:
            return None
        last = [times[-1] for times in (starts(unit) for unit in self.fault.services) if times and times[-1] > injected]
        # A service that came back between two looks: its own note is exact.
        since = max(last) if last and "good" not in self.fault.__dict__ else self.since
        return max(0.0, since - injected)


def snapshot(fault):
    state = {}
    for unit in fault.watched():
        invocation, pid = show(unit, "InvocationID", "MainPID") if INIT == "systemd" else ("", "")
        state[unit] = {"starts": len(starts(unit)), "invocation": invocation, "pid": pid, "active": active(unit)}
    return state


# --- the product ------------------------------------------------------------------


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    return json.dumps(value)


def config_text(changes):
    merged = {section: dict(keys) for section, keys in CONFIG.items()}
    lines = []
    for section, keys in changes.items():
        if isinstance(keys, list):
            for table in keys:
                lines.append(f"[[{section}]]")
                lines += [f"{key} = {toml(value)}" for key, value in table.items()]
        else:
            merged.setdefault(section, {}).update(keys)
    for section, keys in merged.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {toml(value)}" for key, value in keys.items() if not isinstance(value, dict)]
        for key, table in keys.items():
            if isinstance(table, dict):
                lines.append(f"[{section}.{key}]")
                lines += [f"{name} = {toml(value)}" for name, value in table.items()]
    return "\n".join(lines) + "\n"


def start_daemon(fault):
    with open(f"/etc/{NAME}/config.toml", "w", encoding="utf-8") as out:
        out.write(config_text(fault.get("config", {})))
    sh(NAME, "config", "check")
    # The end of the fault before may have started it: a target that somebody isolated and left again wants it.
    service("stop", NAME)
    for path in glob.glob(f"/var/lib/{NAME}/*"):
        shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    if fault.kill_at:
        # For this start alone: after the kill systemd starts it without.
        sh("systemctl", "set-environment", f"AO_KILL_AT={fault.kill_at}")
    started = service("start", NAME)
    if fault.kill_at:
        sh("systemctl", "unset-environment", "AO_KILL_AT")
    if started != 0:
        raise RuntimeError("the daemon does not start")
    # Its first sweep over everything: what is writable, how often units restarted. On a busy machine that takes its time.
    time.sleep(1.5)
    end = time.time() + 15
    while not knows(fault.watched()) and time.time() < end:
        time.sleep(0.1)


def knows(units):
    """Those of the units that run are written down as healthy, which is the last thing that a sweep does."""
    try:
        with sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True, timeout=10) as database:
            known = {name.removesuffix(".service") for (name,) in database.execute("SELECT unit FROM healthy")}
    except sqlite3.Error:
        return False
    return all(unit in known for unit in units if active(unit))


def read_database():
    """Tasks, attempts and escalations, as any reader may see them."""
    with sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True, timeout=10) as database:
        database.row_factory = sqlite3.Row
        rows = lambda sql: [dict(row) for row in database.execute(sql)]
        return {
            "tasks": rows("SELECT * FROM tasks ORDER BY id"),
            "attempts": rows("SELECT * FROM attempts ORDER BY id"),
            "escalations": rows("SELECT * FROM escalations ORDER BY id"),
        }


def watch(fault, truth):
    """Looks at the host until the fault's time is over, whatever has been reached before."""
    end = time.time() + fault.watch_time
    while time.time() < end:
        truth.look()
        time.sleep(POLL_S)


def run_ours(fault):
    began = time.time()
    start_daemon(fault)
    before = snapshot(fault)
    injected = inject(fault, began)
    after = snapshot(fault)
    files = {path: digest(path) for path in fault.get("same_files", [])}
    truth = Truth(fault)
    watch(fault, truth)
    found = read_database()
    complaints = own_complaints(fault, found, began)
    row = judge.row(fault, found, injected, truth, {**BUDGET, **fault.get("config", {}).get("budget", {})})
    row["complaints"] += complaints + untouched(fault, before, after, files)
    if fault.kill_at:
        row["complaints"] += killed(fault, found, injected)
    good = fault.is_good()
    # Beyond what the program supports: counted as not fixed, but declared so.
    if good is False and fault.get("supported", True):
        row["complaints"].append("the host is not good at the end")
    row["good"] = good
    row["own"] = own_size()
    row["tasks"] = [(t["issue_type"], t["subject"], t["status"], t["resolution"], t["cause"], t["waiting_reason"]) for t in found["tasks"]]
    if row["complaints"] and INIT == "systemd":
        print(sh("journalctl", "-u", NAME, "-n", "30", "-o", "cat", "--no-pager", check=False), file=sys.stderr)
    return row


def own_complaints(fault, found, began):
    """What is wrong with the daemon itself: its history, its log, its life, tasks about it."""
    complaints = []
    if subprocess.run([NAME, "audit", "verify"], capture_output=True, check=False).returncode != 0:
        complaints.append("audit verify fails")
    for task in found["tasks"]:
        if task["issue_type"] == "self_store" or task["subject"] == f"{NAME}.service":
            complaints.append(f"a task about itself: {task['issue_type']} {task['issue_message'][:80]}")
    if INIT == "systemd":
        restarts = int(show(NAME, "NRestarts")[0] or 0)
        if restarts != (1 if fault.kill_at else 0):
            complaints.append(f"the daemon was started anew {restarts} times")
        log = sh("journalctl", "-u", NAME, "--since", f"@{began:.0f}", "-o", "cat", "--no-pager", check=False)
        complaints += [f"its log says '{bad}'" for bad in BAD_WORDS if bad in log]
    return complaints


def own_size():
    """Resident MB, threads and open files of the daemon's process."""
    try:
        pid = show(NAME, "MainPID")[0] if INIT == "systemd" else sh("pidof", "-s", NAME).strip()
        with open(f"/proc/{pid}/status", encoding="utf-8") as source:
            fields = dict(line.split(":", 1) for line in source)
        return [round(int(fields["VmRSS"].split()[0]) / 1024, 2), int(fields["Threads"]), len(os.listdir(f"/proc/{pid}/fd"))]
    except (OSError, KeyError, ValueError, RuntimeError):
        return None


def killed(fault, found, injected):
    """What is not as it must be after a kill in the middle of an attempt."""
    complaints = []
    attempts = [one for one in found["attempts"] if one["outcome"] != judge.REFUSED]
    # What was green is not done again; the same fault may have another task, with an action of its own.
    done = [(one["task_id"], one["action_kind"]) for one in attempts]
    if fault.kill_at == "green" and (not done or len(done) != len(set(done))):
        complaints.append(f"{len(done)} attempts, one again, though the first was verified")
    if any(one["outcome"] == "acted" for one in attempts):
        complaints.append("an attempt was never looked at")
    for unit in fault.services:
        count = sum(1 for at in starts(unit) if at > injected)
        if count > len(attempts):
            complaints.append(f"{unit} was started {count} times by {len(attempts)} attempts")
    return complaints


def inject(fault, began):
    """When the fault happened: as the step noted it, else when the step began."""
    mark = f"{RUN}/mark"
    if os.path.exists(mark):
        os.remove(mark)
    at = began if fault.inject.strip() == ":" else time.time()
    if step(fault.inject) != 0:
        print(f"{fault.name}: its inject step did not end well", file=sys.stderr)
    try:
        with open(mark, encoding="ascii") as source:
            return float(source.read())
    except (OSError, ValueError):
        return at


def untouched(fault, before, after, files):
    """What was changed that must not be."""
    complaints = []
    now = snapshot(fault)
    for unit in fault.get("same", []):
        old, at_fault, new = before[unit], after[unit], now[unit]
        if new["starts"] > old["starts"] or new["invocation"] not in (old["invocation"], ""):
            complaints.append(f"{unit} was started")
        elif at_fault["active"] and not new["active"]:
            complaints.append(f"{unit} was stopped")
    for unit in fault.get("same_pid", []):
        if now[unit]["invocation"] != after[unit]["invocation"]:
            complaints.append(f"{unit} was started anew")
    for unit, most in fault.get("starts_most", {}).items():
        if now[unit]["starts"] > most:
            complaints.append(f"{unit} was started {now[unit]['starts']} times, at most {most} are right")
    for path, old in files.items():
        if digest(path) != old:
            complaints.append(f"{path} changed")
    if fault.get("same_pids"):
        with open(f"{RUN}/pids", encoding="ascii") as source:
            gone = [pid for pid in source.read().split() if not os.path.exists(f"/proc/{pid}")]
        complaints += [f"process {pid} was ended" for pid in gone]
    return complaints


# --- around each fault --------------------------------------------------------------


def clean():
    """Nothing of the last fault is left: units, processes, mounts, files, its lines in the journal."""
    if INIT == "systemd":
        units = [os.path.basename(path) for path in glob.glob("/etc/systemd/system/cat-*") + glob.glob("/lib/systemd/system/cat-*")]
        units = [unit for unit in units if not unit.endswith(".d") and "@." not in unit]
        sh("systemctl", "kill", "-s", "KILL", "cat-*.service", check=False)
        sh("systemctl", "stop", "cat-*", *units, check=False)
        sh("systemctl", "disable", "-q", *units, check=False)
    else:
        for path in glob.glob("/etc/init.d/cat-*"):
            name = os.path.basename(path)
            service("stop", name)
            if INIT == "openrc":
                sh("rc-update", "-q", "del", name, check=False)
            os.remove(path)
            if INIT == "sysv":
                sh("update-rc.d", name, "remove", check=False)
    for line in reversed(lines_of(f"{RUN}/pids")):
        sh("kill", "-KILL", line, check=False)
    for line in reversed(lines_of(f"{RUN}/at-end")):
        step(line)
    for path in glob.glob("/etc/systemd/system/*/cat-*") + glob.glob("/etc/systemd/system/cat-*") + glob.glob("/run/cat-*.pid"):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.remove(path)
    for path in ("/srv/cat", "/opt/cat", RUN):
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
    if INIT == "systemd":
        sh("systemctl", "daemon-reload")
        sh("systemctl", "reset-failed", check=False)
        # A fresh database reads the journal of this boot from its beginning.
        sh("journalctl", "--rotate", "--vacuum-size=1K", "-q", check=False)
    elif os.path.exists("/var/log/messages"):
        open("/var/log/messages", "w", encoding="utf-8").close()


def lines_of(path):
    try:
        with open(path, encoding="utf-8") as source:
            return [line.strip() for line in source if line.strip()]
    except OSError:
        return []


def run(name, who):
    fault = Fault(name)
    began = time.time()
    clean()
    try:
        if step(fault.setup) != 0:
            raise RuntimeError("its setup step failed")
        if who == "ours":
            row = run_ours(fault)
            service("stop", NAME)
        else:
            row = contender.run(sys.modules[__name__], fault, who)
    except (RuntimeError, OSError, subprocess.TimeoutExpired, sqlite3.Error) as why:
        row = {"complaints": [f"not run: {why}"]}
        service("stop", NAME)
    row.update(fault=fault.name, step=fault.kill_at, kind=fault.kind, what=fault.what, who=who, supported=fault.get("supported", True), kill=fault.get("kill", False), init=INIT, took=round(time.time() - began, 1))
    print("ROW " + json.dumps(row), flush=True)
    verdict = "ok" if not row["complaints"] else "; ".join(row["complaints"])
    print(f"{who} {name} ({row['took']:.0f} s): {verdict}", file=sys.stderr, flush=True)


def hide_the_bus():
    """Both sockets of systemd are empty files for the daemon alone; its tools, which need them, run beside it as on a host."""
    open("/root/nothing", "w", encoding="ascii").close()
    for tool in ("systemctl", "systemd-run"):
        with open(f"/usr/local/sbin/{tool}", "w", encoding="ascii") as out:
            out.write(
                "#!/bin/sh\n"
                # The judge's own questions.
                f'[ "$(readlink /proc/self/ns/mnt)" != "$(readlink /proc/1/ns/mnt)" ] || exec /usr/bin/{tool} "$@"\n'
                "echo >>/root/asked\n"
                f'exec nsenter -t 1 -m /usr/bin/{tool} "$@"\n'
            )
        os.chmod(f"/usr/local/sbin/{tool}", 0o755)
    folder = f"/etc/systemd/system/{NAME}.service.d"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/hidden.conf", "w", encoding="ascii") as out:
        hidden = " ".join(f"/root/nothing:{path}" for path in ("/run/systemd/private", "/run/dbus/system_bus_socket"))
        # What entering another namespace takes.
        out.write(f"[Service]\nBindPaths={hidden}\nCapabilityBoundingSet=~\nRestrictNamespaces=no\nSystemCallFilter=\n")


def main():
    who, names = sys.argv[1], sys.argv[2:]
    if INIT == "systemd":
        # The kernel's log is that of the whole machine, other beds' faults and all.
        os.makedirs("/etc/systemd/journald.conf.d", exist_ok=True)
        with open("/etc/systemd/journald.conf.d/bed.conf", "w", encoding="ascii") as out:
            out.write("[Journal]\nReadKMsg=no\nRateLimitIntervalSec=0\n")
        sh("systemctl", "restart", "systemd-journald")
    if who == "ours":
        sh(NAME, "install")
        if os.environ.get("HIDE_BUS"):
            hide_the_bus()
        if INIT == "systemd":
            sh("systemctl", "daemon-reload")
    else:
        contender.prepare(who)
    for name in names:
        if INIT in Fault(name).get("inits", ["systemd"]):
            run(name, who)
    clean()
    if os.environ.get("HIDE_BUS") and not os.path.exists("/root/asked"):
        sys.exit("systemctl was not the way")


if __name__ == "__main__":
    main()
