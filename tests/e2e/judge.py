"""What the database says of one fault, against what its file declares. Standard library only."""

import calendar
import re
import time

REFUSED = "refused"


def epoch(text):
    """Seconds of `YYYY-MM-DD HH:MM:SS.sss` (UTC), None for none."""
    match = re.match(r"(\d+-\d+-\d+)[ T](\d+:\d+:\d+)(\.\d+)?", text or "")
    if not match:
        return None
    return calendar.timegm(time.strptime(f"{match[1]} {match[2]}", "%Y-%m-%d %H:%M:%S")) + float(match[3] or 0)


def listed(expected, key):
    """A key that may be one name, a list of names, or left out."""
    value = expected.get(key, [])
    return [value] if isinstance(value, str) else value


def fitting(expected, found):
    """Tasks that an expectation speaks of, its first class first; without a class any will do."""
    wanted, classes = expected.get("subject", ""), listed(expected, "class")
    tasks = [
        task for task in found["tasks"]
        if (not classes or task["issue_type"] in classes) and (wanted in task["subject"] or wanted in task["issue_message"])
    ]  # fmt: skip
    return sorted(tasks, key=lambda task: (task["issue_type"] in classes and classes.index(task["issue_type"]), task["id"]))


def is_escalated(task, found):
    return any(one["task_id"] == task["id"] for one in found["escalations"])


def judge(expected, found):
    """The task to show and what is not as expected."""
    tasks = fitting(expected, found)
    what = f"{'/'.join(listed(expected, 'class'))} {expected.get('subject', '')}".strip()
    if not tasks:
        return None, [f"not found: {what}"]
    states = [f"{task['issue_type']} {task['status']} {task['resolution'] or task['waiting_reason'] or ''}".strip() for task in tasks]
    complaints = []
    outcome = expected.get("outcome")
    if outcome == "fixed":
        good = [task for task in tasks if task["resolution"] == "fixed" and is_verified(task, found)]
        if not all(task["status"] == "closed" for task in tasks):
            complaints.append(f"not over: {what}: {states}")
    elif outcome == "escalated":
        good = [task for task in tasks if is_escalated(task, found)]
        if any(task["resolution"] == "fixed" for task in tasks):
            complaints.append(f"claimed as fixed: {what}")
    elif outcome == "self_cleared":
        good = tasks if all(task["resolution"] == "self_cleared" for task in tasks) else []
    else:
        good = tasks
    if not good:
        complaints.append(f"not {outcome}: {what}: {states}")
    task = (good or tasks)[0]
    causes = listed(expected, "cause")
    if causes and not any(task["cause"] in causes for task in good or tasks):
        complaints.append(f"cause {task['cause']} instead of {' or '.join(causes)}")
    pattern = expected.get("evidence")
    if pattern and not re.search(pattern, task["evidence"] + task["issue_message"]):
        complaints.append(f"its evidence does not say /{pattern}/")
    seen = sum(one["seen_count"] for one in tasks)
    if seen != expected.get("seen", seen):
        complaints.append(f"seen {seen} times instead of {expected['seen']}: {what}")
    return task, complaints


def is_verified(task, found):
    return any(one["task_id"] == task["id"] and one["outcome"] == "verified" for one in found["attempts"])


def budget(found, limits):
    """The fullest budget as `used/limit` and whether one is exceeded."""
    acted = [one for one in found["attempts"] if one["outcome"] != REFUSED]
    disruptive = [one for one in acted if one["action_kind"] not in ("start_unit", "reset_failed_start")]
    used = []
    for key, rows, limit in (("issue_hash", acted, "fingerprint_per_hour"), ("unit", disruptive, "unit_per_hour")):
        counts = {}
        for one in rows:
            if one[key]:
                counts[one[key]] = counts.get(one[key], 0) + 1
        used.append((max(counts.values(), default=0), limits[limit]))
    # The first start of a unit is free of the host's budget.
    used.append((sum(one["charged"] == "host" for one in acted), limits["host_per_hour"]))
    used.append((sum(one["charged"] == "first" for one in acted), limits["first_starts_per_hour"]))
    fullest = max(used, key=lambda pair: pair[0] / pair[1])
    return f"{fullest[0]}/{fullest[1]}", any(count > limit for count, limit in used)


def row(fault, found, injected, truth, limits):
    tasks, complaints = [], []
    for expected in fault.get("expect", []):
        task, wrong = judge(expected, found)
        complaints += wrong
        if task:
            tasks.append(task)
    acted = [one for one in found["attempts"] if one["outcome"] != REFUSED]
    kinds = sorted({one["action_kind"] for one in acted})
    for kind in kinds:
        if kind not in fault.get("actions", []):
            complaints.append(f"action {kind} is not allowed here")
    if len(acted) > fault.get("attempts_most", 99):
        complaints.append(f"{len(acted)} attempts, at most {fault.attempts_most} are right")
    escalations, wanted = len(found["escalations"]), fault.get("escalations", 0)
    if escalations != wanted:
        told = [f"{t['issue_type']} {t['subject']}" for t in found["tasks"] if is_escalated(t, found)]
        complaints.append(f"{escalations} escalations instead of {wanted}: {told}")
    for task in found["tasks"]:
        if task["issue_type"] in fault.get("no_class", []):
            complaints.append(f"found though it is no fault: {task['issue_type']} {task['subject']}")
    if fault.kind in ("human", "hands-off") and any(task["resolution"] == "fixed" for task in found["tasks"]):
        complaints.append("claimed as fixed")
    most = fault.get("tasks_most")
    if most is not None and len(found["tasks"]) > most:
        complaints.append(f"{len(found['tasks'])} tasks, at most {most} are right")
    fullest, exceeded = budget(found, limits)
    if exceeded:
        complaints.append(f"budget exceeded: {fullest}")
    at = lambda key, pick: pick((t for t in (epoch(task[key]) for task in tasks) if t is not None), default=None)
    since = lambda moment: None if moment is None else max(0.0, moment - injected)
    fixed = [task for task in tasks if task["resolution"] == "fixed"]
    return {
        "found_s": since(at("detected_at", min)),
        "cause": ", ".join(dict.fromkeys(task["cause"] or "-" for task in tasks)),
        "actions": kinds,
        "attempts": len(acted),
        "works_s": truth.works_s(injected),
        "green_s": since(at("first_green_at", max)) if fixed else None,
        "verified_s": since(at("closed_at", max)) if fixed and len(fixed) == len(tasks) else None,
        "escalations": escalations,
        "needless": max(0, escalations - wanted),
        "allowed": bool(fault.get("actions")),
        "phases": sorted({one["phase"] for one in acted if one["outcome"] == "verified"}),
        "budget": fullest,
        "complaints": complaints,
    }
