"""Inside the systemd bed (see footprint.sh): what the whole service costs while nothing happens.

The whole service is every process in the unit's cgroup. First a window without the daemon, then
one with it: what PID 1 and journald use more in the second one is our doing. Printed, and held
only against a limit that a leak would pass."""

import glob
import os
import shutil
import subprocess
import sys
import time

NAME = "autonomous-orchestrator"
STATE = f"/var/lib/{NAME}"
HZ = os.sysconf("SC_CLK_TCK")
# The first looks at everything, and the backup of each day a minute after the start, are no idleness:
# what they write is a line of its own.
SETTLE_S = 75
# Far above what is right: a leak, not a missed goal.
LEAK_MB = 32


def read(path):
    with open(path, encoding="utf-8", errors="replace") as source:
        return source.read()


def show(unit, prop):
    return subprocess.run(["systemctl", "show", "-P", prop, unit], capture_output=True, text=True, check=True).stdout.strip()


def cgroups():
    """Folders of the unit's cgroup: one on v2, one for each controller on v1."""
    group = show(NAME, "ControlGroup")
    return [path for path in (f"/sys/fs/cgroup{group}", *glob.glob(f"/sys/fs/cgroup/*{group}")) if os.path.isdir(path)]


def processes():
    """Every process of the service, whatever hierarchy it is listed in."""
    found = set()
    for folder in cgroups():
        found |= {int(pid) for path in glob.glob(f"{folder}/**/cgroup.procs", recursive=True) for pid in read(path).split()}
    return sorted(found)


def lasting():
    """Without what it asks something of for a moment."""
    first = processes()
    time.sleep(2)
    return [pid for pid in processes() if pid in first]


def cpu_ms(pid):
    """CPU of a process and of its children that ended."""
    return 1000 * sum(map(int, read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[11:15])) / HZ


def field(path, key):
    return next((int(line.split()[1]) for line in read(path).splitlines() if line.split()[0].rstrip(":") == key), 0)


def cgroup_memory():
    """Anonymous memory and page cache charged to the cgroup, in kB; `None` without a memory controller."""
    for folder in cgroups():
        path = f"{folder}/memory.stat"
        if os.path.exists(path):
            # v1 has both spellings, its totals count sub-groups as v2 does.
            keys = ("anon", "file") if field(path, "anon") else ("total_rss", "total_cache")
            return [field(path, key) // 1024 for key in keys]
    return None


def device_kb():
    """Written to the device of the state directory since boot: the file system's own journal too."""
    device = os.stat(STATE).st_dev
    return int(read(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").split()[6]) // 2


def switches(pid):
    return sum(field(path, "voluntary_ctxt_switches") for path in glob.glob(f"/proc/{pid}/task/*/status"))


def others():
    return {"PID 1": cpu_ms(1), "journald": cpu_ms(int(show("systemd-journald", "MainPID")))}


def window(seconds):
    """CPU of PID 1 and journald in a window, in % of a core."""
    before, began = others(), time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    return {name: (ms - before[name]) / took / 10 for name, ms in others().items()}


def line(what, value, goal=""):
    print(f"{what:<44} {value:<34} {goal}".rstrip())


def per_process(pids, kb):
    total = sum(kb(pid) for pid in pids) / 1024
    each = " + ".join(f"{read(f'/proc/{pid}/comm').strip()[:10]} {kb(pid) / 1024:.2f}" for pid in pids)
    return f"{total:.2f} MB ({each})", total


def main():
    seconds = int(sys.argv[1])
    time.sleep(10)
    without = window(seconds)
    at_start = device_kb()
    subprocess.run(["systemctl", "start", NAME], check=True)
    time.sleep(SETTLE_S)
    start_kb = device_kb() - at_start
    pids, main_pid = lasting(), show(NAME, "MainPID")
    used = {pid: cpu_ms(pid) for pid in pids}
    woken = {pid: switches(pid) for pid in pids}
    wrote, began = device_kb(), time.monotonic()
    beside = window(seconds)
    took = time.monotonic() - began
    if show(NAME, "MainPID") != main_pid or lasting() != pids:
        sys.exit(f"FAIL  its processes changed: {pids} then {lasting()}")
    ours = {pid: (cpu_ms(pid) - used[pid]) / took / 10 for pid in pids}
    text, resident = per_process(pids, lambda pid: field(f"/proc/{pid}/status", "VmRSS"))
    line("resident (RSS), all processes", text, "goal <= 5 MB")
    line("proportional (PSS), all processes", per_process(pids, lambda pid: field(f"/proc/{pid}/smaps_rollup", "Pss"))[0])
    line("daemon alone: peak, anonymous", f"{field(f'/proc/{main_pid}/status', 'VmHWM') / 1024:.2f} MB, {field(f'/proc/{main_pid}/status', 'RssAnon') / 1024:.2f} MB")
    charged = cgroup_memory()
    line("cgroup: anonymous, file", f"{charged[0] / 1024:.2f} MB, {charged[1] / 1024:.2f} MB" if charged else "no memory controller")
    line(f"CPU over {took:.0f} s, all processes", f"{sum(ours.values()):.3f} % of a core", "goal < 0.2 %")
    for name, percent in beside.items():
        line(f"CPU of {name}, with the daemon less without", f"{percent - without[name]:.3f} % of a core ({percent:.3f} - {without[name]:.3f})")
    line("wake-ups, all threads", f"{sum(switches(pid) - woken[pid] for pid in pids) * 60 / took:.0f} a minute")
    line("processes, threads, files open", f"{len(pids)}, {sum(field(f'/proc/{pid}/status', 'Threads') for pid in pids)}, {sum(len(os.listdir(f'/proc/{pid}/fd')) for pid in pids)}")
    line("written to the state's disk", f"{(device_kb() - wrote) / 1024 * 3600 / took:.2f} MB/h", "goal <= 1 MB/h")
    line("written at the start, the day's backup with it", f"{start_kb / 1024:.2f} MB")
    line("binary", f"{os.path.getsize(shutil.which(NAME)):,} bytes")
    sys.exit(0 if resident < LEAK_MB else 1)


main()
