"""Inside the systemd bed (see exactly_once.sh): two services that no restart helps, one issue each.

The stub answers 502 to the first create, having done nothing, and 502 to the second, having
created the issue; the daemon is killed right after each answer. In the end there is exactly one
issue for each service, its task knows the number, and nothing else was told."""

import json
import os
import signal
import subprocess
import sys
import time

NAME = "autonomous-orchestrator"
STUB = os.environ["STUB"]
REPOSITORY = "acme/gateways"
# Service -> what it says before it ends; which of the two is created first is no matter.
SERVICES = {"e2e-calibration": "calibration data are gone", "e2e-licence": "licence has ended"}
# All attempts, each with its spacing and deadline.
ESCALATION_S = 240
# The courier looks twice, the second time five minutes later, before it posts again.
DELIVERY_S = 540
POLL_S = 0.1


def sh(*argv, check=True):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def show(unit, prop):
    return sh("systemctl", "show", "-P", prop, unit).strip()


def wait_for(what, condition, deadline_s):
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline_s} s: {what}")
        time.sleep(POLL_S)


def creates():
    """How many issues the stub was asked to create."""
    try:
        with open(f"{STUB}/requests.log", encoding="utf-8") as source:
            requests = [json.loads(line) for line in source if line.endswith("\n")]
    except FileNotFoundError:
        return 0
    return sum(1 for one in requests if one["method"] == "POST" and one["path"].endswith("/issues"))


def issues():
    try:
        with open(f"{STUB}/state.json", encoding="utf-8") as source:
            return json.load(source)["repos"].get(REPOSITORY, {}).get("issues", [])
    except FileNotFoundError:
        return []


def tasks(service):
    found = json.loads(sh(NAME, "tasks", "--all", "--json") or "[]")
    return [task for task in found if service in (task["subject"] or "")]


def break_for_good():
    with open(f"{STUB}/control", "w", encoding="utf-8") as out:
        out.write("POST /issues:502\nPOST /issues:502-after-accept\n")
    for name, words in SERVICES.items():
        with open(f"/etc/systemd/system/{name}.service", "w", encoding="utf-8") as out:
            out.write(f"[Service]\nExecStart=/bin/sh -c 'echo {words} >&2; exit 1'\n[Install]\nWantedBy=multi-user.target\n")
    sh("systemctl", "daemon-reload")
    for name in SERVICES:
        sh("systemctl", "enable", "-q", name)
        sh("systemctl", "start", name, check=False)


def kill_after_creates(wanted):
    seen = 0
    for _ in range(wanted):
        wait_for(f"create number {seen + 1}", lambda: creates() > seen, ESCALATION_S)  # noqa: B023
        seen = creates()
        os.kill(int(show(NAME, "MainPID")), signal.SIGKILL)
        wait_for("the daemon is back", lambda: show(NAME, "ActiveState") == "active", 30)
        print(f"create number {seen} answered with 502, the daemon killed", flush=True)


def judge_issue(service):
    """What is not as it must be: one open task, one issue, and each knows the other."""
    found = tasks(service)
    about = [one for one in issues() if service in one["title"] + (one["body"] or "")]
    told = [task for task in found if task["github_issue_number"]]
    print(f"{service}: {len(about)} issue, tasks {[(task['id'], task['class'], task['status'], task['github_issue_number']) for task in found]}")
    complaints = []
    if len(about) != 1:
        complaints.append(f"{len(about)} issues about {service} instead of 1")
    if len(told) != 1 or told[0]["status"] != "escalated":
        complaints.append(f"{len(told)} tasks of {service} have an issue, not one that is escalated")
    elif about and told[0]["github_issue_number"] != about[0]["number"]:
        complaints.append(f"{service}: the task has issue {told[0]['github_issue_number']}, the stub {about[0]['number']}")
    return complaints


def judge_daemon(kills):
    complaints = []
    if len(issues()) != len(SERVICES):
        complaints.append(f"{len(issues())} issues in all instead of {len(SERVICES)}")
    if subprocess.run([NAME, "audit", "verify"], capture_output=True, check=False).returncode != 0:
        complaints.append("audit verify fails")
    if show(NAME, "NRestarts") != str(kills):
        complaints.append(f"{show(NAME, 'NRestarts')} restarts instead of {kills}")
    log = sh("journalctl", "-u", NAME, "-o", "cat", "--no-pager")
    complaints += [f"its log says '{bad}'" for bad in ("database is locked", "constraint failed", "panicked") if bad in log]
    return complaints


def main():
    began, complaints = time.time(), []
    break_for_good()
    try:
        kill_after_creates(len(SERVICES))
        wait_for("an issue number in a task of each service", lambda: all(any(task["github_issue_number"] for task in tasks(name)) for name in SERVICES), DELIVERY_S)
    except TimeoutError as late:
        complaints.append(str(late))
    for name in SERVICES:
        complaints += judge_issue(name)
    complaints += judge_daemon(kills=len(SERVICES))
    for complaint in complaints:
        print(f"FAILED {complaint}")
    print(f"{'FAILED' if complaints else 'PASS'} after {time.time() - began:.0f} s")
    sys.exit(1 if complaints else 0)


main()
