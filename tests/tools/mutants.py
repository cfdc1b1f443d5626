#!/usr/bin/env python3
"""Judges a run of `cargo mutants` against the list of survivors that are known.

Usage: mutants.py DIR SURVIVORS   (DIR is its mutants.out)

SURVIVORS holds a line a mutant, `file: what is changed = why no test can notice`, without the place in the file,
so that it outlives edits; one that survives twice in a function stands there twice. Status 1 when the rate of
caught ones is below LEAST per cent, when one survives that is not listed, or when a listed one is caught or gone.
"""
import collections
import json
import os
import re
import sys

LEAST = 95.0
PLACE = re.compile(r":\d+:\d+: ")


def named(mutant):
    """`src/a.rs:12:5: replace …` without its place."""
    return PLACE.sub(": ", mutant["name"], count=1)


def outcomes(directory):
    """Names of the mutants by what became of them; the run must have tested each."""
    with open(os.path.join(directory, "outcomes.json"), encoding="utf-8") as file:
        told = json.load(file)
    found = collections.defaultdict(list)
    for one in told["outcomes"]:
        if one["scenario"] != "Baseline":
            found[one["summary"]].append(named(one["scenario"]["Mutant"]))
    tested = sum(map(len, found.values()))
    if tested == 0 or tested != told["total_mutants"]:
        sys.exit(f"{directory}: only {tested} of {told['total_mutants']} mutants were tested")
    return found


def known(path):
    """The listed survivors; each line gives its reason."""
    listed = collections.Counter()
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            # The change itself may hold `=`: the reason follows the last ` = `.
            name, found, reason = line.rpartition(" = ")
            if not found or not reason:
                sys.exit(f"{path}:{number}: gives no reason: {line}")
            listed[name] += 1
    return listed


def main():
    found, listed = outcomes(sys.argv[1]), known(sys.argv[2])
    caught, missed = len(found["CaughtMutant"]), collections.Counter(found["MissedMutant"])
    judged = caught + missed.total()
    rate = 100 * caught / judged if judged else 0.0
    print(
        f"caught {caught}, missed {missed.total()}, timeout {len(found['Timeout'])}, "
        f"unviable {len(found['Unviable'])}: {rate:.1f} % of those that a test could judge (at least {LEAST:.0f} %)"
    )
    wrong = rate < LEAST
    for text, names in (("survives, not listed", missed - listed), ("listed, but caught or gone", listed - missed)):
        for name in names.elements():
            wrong = True
            print(f"{text}: {name}")
    for name in found["Timeout"]:
        print(f"timeout: {name}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
