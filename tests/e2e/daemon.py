"""What the end-to-end faults ask the daemon and systemd. Standard library only."""

import calendar
import json
import os
import re
import subprocess
import time

NAME = "autonomous-orchestrator"
POLL_S = 0.1


def sh(*argv, check=True, stdin=None):
    """Standard output of a command."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def show(unit, prop):
    return sh("systemctl", "show", "-P", prop, unit).strip()


def main_pid(unit):
    return int(show(unit, "MainPID") or 0)


def wait_for(what, condition, deadline_s):
    """The condition's first true value; an error that names it after the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline_s} s: {what}")
        time.sleep(POLL_S)


def epoch(text):
    """Seconds of `YYYY-MM-DD HH:MM:SS.sss` (UTC), None for none."""
    match = re.match(r"(\d+-\d+-\d+)[ T](\d+:\d+:\d+)(\.\d+)?", text or "")
    if not match:
        return None
    whole = calendar.timegm(time.strptime(f"{match[1]} {match[2]}", "%Y-%m-%d %H:%M:%S"))
    return whole + float(match[3] or 0)


def tasks():
    """All tasks, closed ones too: a JSON array, an object that holds one, or JSON lines."""
    text = sh(NAME, "tasks", "--all", "--json").strip()
    if not text:
        return []
    try:
        value = json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines()]
    return value["tasks"] if isinstance(value, dict) and "tasks" in value else value


def find(since, classes, subject):
    """Tasks of these classes about this subject, detected since then; the first class first."""
    found = [
        task
        for task in tasks()
        if task["class"] in classes
        and (subject in (task.get("subject") or "") or subject in (task.get("message") or ""))
        and (epoch(task["detected_at"]) or 0) >= since - 1
    ]
    return sorted(found, key=lambda task: (classes.index(task["class"]), task["id"]))


def daemon_restart_count():
    return int(show(NAME, "NRestarts") or 0)


def stub_requests(directory):
    try:
        with open(os.path.join(directory, "requests.log"), encoding="utf-8") as source:
            return [json.loads(line) for line in source if line.endswith("\n")]
    except FileNotFoundError:
        return []


def stub_issues(directory):
    try:
        with open(os.path.join(directory, "state.json"), encoding="utf-8") as source:
            return json.load(source)["repos"].get("acme/gateways", {}).get("issues", [])
    except FileNotFoundError:
        return []
