"""The catalogue's tables: `catalogue_table.py ROWS FAULTS INIT` (see scripts/catalogue.sh).

Prints one row a fault and the totals; exit status 1 when something was not as declared or
did not run."""

import json
import statistics
import sys

KINDS = ["fixable", "clears", "human", "hands-off"]


def seconds(value):
    return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def print_table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def p95(values):
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]


def spread(values):
    if not values:
        return "-"
    return f"median {statistics.median(values):.2f} s, p95 {p95(values):.2f} s, most {max(values):.2f} s (n = {len(values)})"


def share(part, whole):
    return f"{part} of {whole} ({100 * part / whole:.0f} %)" if whole else "0 of 0"


def verdict(row):
    return "yes" if not row["complaints"] else "NO"


def of_ours(rows):
    head = ["fault", "kind", "found s", "cause", "action", "works s", "first green s", "verified s", "escalations", "budget", "as declared"]
    lines = []
    for row in rows:
        kind = row["kind"] if row["supported"] else f"{row['kind']} (unsupported)"
        lines.append([
            row["fault"], kind, seconds(row.get("found_s")), row.get("cause") or "-", ", ".join(row.get("actions", [])) or "-",
            seconds(row.get("works_s")), seconds(row.get("green_s")), seconds(row.get("verified_s")),
            row.get("escalations", "-"), row.get("budget", "-"), verdict(row),
        ])  # fmt: skip
    print_table(head, lines)


def totals(rows):
    of = lambda kind: [row for row in rows if row["kind"] == kind]
    good = lambda some: [row for row in some if not row["complaints"]]
    fixed = [row for row in of("fixable") if row.get("verified_s") is not None and row.get("good") and not row["complaints"]]
    supported = [row for row in of("fixable") if row["supported"]]
    print(f"faults: {len(rows)}, as declared {share(len(good(rows)), len(rows))}")
    print(f"fixable, fixed and verified: {share(len(fixed), len(of('fixable')))} of all, {share(len([r for r in fixed if r['supported']]), len(supported))} of the supported")
    print(f"hands off, untouched: {share(len(good(of('hands-off'))), len(of('hands-off')))}")
    print(f"for a human alone, told once and nothing forbidden done: {share(len(good(of('human'))), len(of('human')))}")
    print(f"end by themselves, nothing done, nobody told: {share(len(good(of('clears'))), len(of('clears')))}")
    claims = [row for row in rows if any("claimed as fixed" in one for one in row["complaints"]) or (row.get("verified_s") is not None and row.get("good") is False)]
    over = [row for row in rows if any("budget exceeded" in one for one in row["complaints"])]
    print(f"claimed as fixed though not so: {len(claims)}; budget violations: {len(over)}")
    print(f"MTTR (fault -> first green, verified ones): {spread([row['green_s'] for row in fixed if row.get('green_s') is not None])}")
    kills = [row for row in rows if row.get("kill")]
    print(f"kill -> works again: {spread([row['works_s'] for row in kills if row.get('works_s') is not None])}")
    print(f"kill -> first green: {spread([row['green_s'] for row in kills if row.get('green_s') is not None])}")
    own = [row["own"] for row in rows if row.get("own")]
    if own:
        most = [max(column) for column in zip(*own)]
        print(f"the daemon's own process at the end of a fault, at most: {most[0]} MB resident, {most[1]} threads, {most[2]} files")
    print()


def mission(rows):
    """The program's purpose in figures; docs/CATALOGUE.md defines them."""
    allowed = [row for row in rows if row.get("allowed") and row["kind"] == "fixable"]
    repaired = [row for row in allowed if row.get("verified_s") is not None and row.get("good") is not False]
    told, needless = (sum(row.get(key, 0) for row in rows) for key in ("escalations", "needless"))
    green = [row["green_s"] for row in repaired if row.get("green_s") is not None]
    by_phase = {phase: sum(max(row.get("phases", []), default=0) == phase for row in repaired) for phase in (1, 2, 3)}
    print(f"auto-fix rate of faults with an allowed action: {share(len(repaired), len(allowed))}")
    print(f"messages that no human was needed for: {share(needless, told)}")
    print(f"time to repair: {spread(green)}; below 5 min: {share(sum(one < 300 for one in green), len(green))}")
    print(f"repaired in phase 1, 2, 3: {', '.join(str(by_phase[phase]) for phase in (1, 2, 3))}\n")


def of_kills(rows, steps):
    """What became of the attempt that was cut short: a row an action, a column a step."""
    lines = []
    for fault in dict.fromkeys(row["fault"] for row in rows):
        found = {row["step"]: row for row in rows if row["fault"] == fault}
        action = next((", ".join(row["actions"]) for row in found.values() if row.get("actions")), "-")
        lines.append([fault, action, *[after_kill(found.get(step)) for step in steps]])
    print_table(["fault", "action", *steps], lines)
    good = [row for row in rows if not row["complaints"]]
    print(f"killed in the middle of an attempt: {share(len(good), len(rows))} repaired, verified and nothing done twice that held\n")


def after_kill(row):
    if row is None or row["complaints"]:
        return "NO"
    return "kept" if row["attempts"] == 1 and row["step"] not in ("undo_recorded", "booked") else f"done after ({row['attempts']})"


def side_by_side(by_who):
    names = list(dict.fromkeys(row["fault"] for row in by_who["ours"]))
    others = [who for who in ("monit", "restart") if who in by_who]
    title = {"ours": "ours", "monit": "Monit, cycle 1 s", "restart": "Restart=on-failure"}
    lines = []
    for name in names:
        cells = [name, next(row["kind"] for row in by_who["ours"] if row["fault"] == name)]
        for who in ["ours", *others]:
            found = [row for row in by_who[who] if row["fault"] == name]
            cells.append(cell(found[0]) if found else "-")
        if any(one != "-" for one in cells[3:]):
            lines.append(cells)
    print_table(["fault", "kind", *[title[who] for who in ["ours", *others]]], lines)
    for who in ["ours", *others]:
        common = [row for row in by_who[who] if not row.get("skipped") and any(line[0] == row["fault"] for line in lines)]
        fixable = [row for row in common if row["kind"] == "fixable"]
        hands = [row for row in common if row["kind"] == "hands-off"]
        human = [row for row in common if row["kind"] == "human"]
        works = [row for row in fixable if row.get("works_s") is not None and row.get("good") is not False]
        kills = [row["works_s"] for row in fixable if row.get("kill") and row.get("works_s") is not None]
        touched = [row for row in hands if is_touched(row)]
        harmed = [row for row in human if is_touched(row)]
        print(f"{title[who]}: works again {share(len(works), len(fixable))}, {spread([row['works_s'] for row in works])}; killed: {spread(kills)}; "
              f"hands off untouched {share(len(hands) - len(touched), len(hands))}; for a human: something changed that must not {share(len(harmed), len(human))}")
    print()


def is_touched(row):
    words = ("was started", "was stopped", "was ended", " changed", "is not allowed here", "started anew")
    return any(word in one for one in row["complaints"] for word in words)


def cell(row):
    """What the host was like, in a few words."""
    if row.get("skipped"):
        return "-"
    if any(one.startswith("not run") for one in row["complaints"]):
        return "not run"
    if row["kind"] == "fixable":
        works = row.get("works_s")
        return "no" if works is None else f"works after {works:.2f} s"
    if is_touched(row):
        return "TOUCHED"
    if row["kind"] == "human":
        tried = row.get("starts", row.get("attempts", 0))
        return f"{tried} tries, told {row['escalations']}x" if "escalations" in row else f"{tried} starts"
    if row["kind"] == "clears":
        return "left alone" if not row["complaints"] else "NO"
    return "untouched"


def main():
    path, faults, init = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    with open(path, encoding="utf-8") as source:
        rows = [json.loads(line) for line in source]
    # A bed goes through them in their order.
    steps = [step for step in dict.fromkeys(row.get("step") for row in rows) if step]
    rows.sort(key=lambda row: (KINDS.index(row["kind"]), row["supported"] is False, row["fault"]))
    by_who = {}
    for row in rows:
        by_who.setdefault(row["who"], []).append(row)
    ours = by_who.get("ours", [])
    if steps:
        of_kills(ours, steps)
    else:
        of_ours(ours)
        totals(ours)
        mission(ours)
    if len(by_who) > 1:
        side_by_side(by_who)
    bad = [row for row in ours if row["complaints"]]
    for row in bad:
        print(f"NOT AS DECLARED {row['fault']} {row.get('step', '')}: {'; '.join(row['complaints'])}")
        for task in row.get("tasks", []):
            print(f"    task {' · '.join(str(part) for part in task if part)}")
    lost = faults - len(ours) if init == "systemd" else 0
    if lost > 0:
        print(f"{lost} faults gave no row: their bed broke")
    sys.exit(1 if bad or lost > 0 or not ours else 0)


main()
