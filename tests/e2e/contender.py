"""The same faults for Monit and for systemd's own Restart=on-failure. Judged by the host alone.

Monit: Debian's package at its fastest cycle, 1 s. Watched is every service that runs when Monit is
set up, by its process where it has a name of its own, else by `systemctl is-active`; a fault's file
may hold the stanza that an administrator would write for it. Each may be restarted five times in ten
cycles. Restart=: systemd's defaults, in each fixture that does not say otherwise itself."""

import glob
import os
import subprocess
import time

CONFIG = "/run/cat/monitrc"
HEAD = """set daemon 1
set log /run/cat/monit.log
set pidfile /run/cat/monit.pid
set idfile /run/cat/monit.id
set statefile /run/cat/monit.state
set httpd unixsocket /run/cat/monit.sock allow localhost
"""
PROCESS = """check process {id} matching "cat-svc-{name} "
  start program = "/usr/bin/systemctl start {name}.service"
  stop program = "/usr/bin/systemctl stop {name}.service"
  if 5 restarts within 10 cycles then unmonitor
"""
PROGRAM = """check program {id} with path "/usr/bin/systemctl is-active --quiet {name}.service"
  if status != 0 then exec "/usr/bin/systemctl restart {name}.service"
"""


def prepare(who):
    if who == "monit":
        subprocess.run(["dpkg", "-i", "--force-depends", "/root/monit.deb"], capture_output=True, check=False)
        subprocess.run(["systemctl", "disable", "-q", "--now", "monit"], capture_output=True, check=False)


def concerns(fault):
    """Faults that are no business of a supervisor of services, and ours alone to look at."""
    return bool(fault.services or fault.get("same") or fault.get("same_pid") or fault.get("monit") or fault.get("starts_most")) and not fault.get("ours")


def start_monit(bed, fault):
    text = HEAD + fault.get("monit", "")
    if "monit" not in fault.__dict__:
        for number, name in enumerate(fault.watched()):
            if not bed.active(name):
                continue
            pid = bed.show(name, "MainPID")[0]
            with open(f"/proc/{pid}/cmdline", "rb") as source:
                own = source.read().startswith(b"cat-svc-")
            text += (PROCESS if own else PROGRAM).format(id=f"cat-{number}", name=name)
    with open(CONFIG, "w", encoding="utf-8") as out:
        out.write(text)
    os.chmod(CONFIG, 0o600)
    bed.sh("monit", "-t", "-c", CONFIG)
    bed.sh("systemd-run", "-q", "--unit=bench-monit", "--collect", "monit", "-I", "-c", CONFIG)
    time.sleep(2.5)


def add_restart(bed):
    for path in glob.glob("/etc/systemd/system/cat-*.service"):
        with open(path, encoding="utf-8") as source:
            text = source.read()
        if "Restart=" in text or "Type=oneshot" in text:
            continue
        os.makedirs(f"{path}.d", exist_ok=True)
        with open(f"{path}.d/10-restart.conf", "w", encoding="utf-8") as out:
            out.write("[Service]\nRestart=on-failure\n")
    bed.sh("systemctl", "daemon-reload")


def run(bed, fault, who):
    if not concerns(fault):
        return {"complaints": [], "skipped": True}
    began = time.time()
    if who == "monit":
        start_monit(bed, fault)
    else:
        add_restart(bed)
    before = bed.snapshot(fault)
    injected = bed.inject(fault, began)
    after = bed.snapshot(fault)
    files = {path: bed.digest(path) for path in fault.get("same_files", [])}
    truth = bed.Truth(fault)
    bed.watch(fault, truth)
    complaints = bed.untouched(fault, before, after, files)
    good = fault.is_good()
    if good is False:
        complaints.append("the host is not good at the end")
    now = bed.snapshot(fault)
    started = sum(now[unit]["starts"] - before[unit]["starts"] for unit in now)
    subprocess.run(["systemctl", "stop", "bench-monit"], capture_output=True, check=False)
    return {"complaints": complaints, "works_s": truth.works_s(injected) if good else None, "starts": started}
