#!/usr/bin/env python3
"""What a good operator concludes from logs, beside what `replay` does.

Usage: log_cases.py --binary BIN DIR [-v] [CASE…]

DIR holds a folder for each case: small inputs in true formats and `case.toml`:

  what, source, concludes   the title, where it comes from, the judgement
  [[replay]] file           input of `BIN replay --json`; findings_most: at most so many findings of it
  [[replay.expect]]         a finding that must be there: all keys must fit one
  [[replay.forbid]]         a finding that must not be there: none may fit all keys
  [[same]], [[different]]   lines with one fingerprint, or with one each
Keys: line (a line of the finding), subject, says (class, subject, cause, title or message), cause (id or title),
cause_not: regular expressions; class, class_not, severity: lists of names.

Prints a line a case: good, or missed, wrong, noisy, split, merged, error with what. Status 1 unless all are good.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import tomllib


def run(*argv, data=None):
    done = subprocess.run(argv, input=data, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    if done.returncode not in (0, 7):
        raise RuntimeError(f"{argv[1]}: status {done.returncode}: {done.stderr.strip()[:200]}")
    return done.stdout


def texts(finding, *keys):
    return [str(finding[key]) for key in keys if finding.get(key)]


def fits(finding, wanted):
    """Whether all keys of `wanted` fit the finding, and which do not."""
    lines = finding.get("lines") or texts(finding, "message")
    cause = texts(finding, "cause", "title")
    checks = {
        "line": lambda want: any(re.search(want, line) for line in lines),
        "class": lambda want: finding["class"] in want,
        "class_not": lambda want: finding["class"] not in want,
        "severity": lambda want: finding["severity"] in want,
        "subject": lambda want: re.search(want, finding.get("subject", "")) is not None,
        "cause": lambda want: any(re.search(want, one) for one in cause),
        "cause_not": lambda want: not any(re.search(want, one) for one in cause),
        "says": lambda want: any(
            re.search(want, one) for one in texts(finding, "class", "subject", "cause", "title", "message")
        ),
    }
    return [key for key, want in wanted.items() if not checks[key](want)]


def judge_replay(binary, folder, replay):
    found = json.loads(run(binary, "replay", "--json", str(folder / replay["file"])))
    for wanted in replay.get("expect", []):
        misses = [fits(finding, wanted) for finding in found]
        if any(not miss for miss in misses):
            continue
        near = [miss for miss in misses if "line" not in miss and "says" not in miss]
        yield ("wrong" if near else "missed"), f"{replay['file']}: {wanted} {near[0] if near else ''}"
    for wanted in replay.get("forbid", []):
        for finding in found:
            if not fits(finding, wanted):
                yield "noisy", f"{replay['file']}: {wanted}: {finding.get('message', '')[:120]}"
                break
    most = replay.get("findings_most")
    if most is not None and len(found) > most:
        yield "noisy", f"{replay['file']}: {len(found)} findings, at most {most} are right"


def judge(binary, folder):
    case = tomllib.loads((folder / "case.toml").read_text(encoding="utf-8"))
    for replay in case.get("replay", []):
        yield from judge_replay(binary, folder, replay)
    for kind, word in (("same", "split"), ("different", "merged")):
        for group in case.get(kind, []):
            prints = run(binary, "fingerprint", data="\n".join(group["lines"]) + "\n").split()
            wanted = 1 if kind == "same" else len(group["lines"])
            if len(set(prints)) != wanted:
                yield word, f"{len(set(prints))} fingerprints instead of {wanted}: {group['lines'][0][:100]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("cases", nargs="*")
    parser.add_argument("-v", action="store_true", help="all that is wrong with a case")
    options = parser.parse_args()
    folders = sorted(path.parent for path in options.dir.glob("*/case.toml"))
    folders = [one for one in folders if not options.cases or any(one.name.startswith(case) for case in options.cases)]
    good = 0
    for folder in folders:
        try:
            wrong = list(judge(options.binary, folder))
        except (RuntimeError, ValueError, KeyError, subprocess.TimeoutExpired) as why:
            wrong = [("error", str(why))]
        good += not wrong
        words = ", ".join(dict.fromkeys(word for word, _ in wrong)) or "good"
        print(f"{folder.name}: {words}")
        for word, what in wrong if options.v else []:
            print(f"    {word}: {what}")
    print(f"{good} of {len(folders)} cases good")
    return 0 if folders and good == len(folders) else 1


if __name__ == "__main__":
    sys.exit(main())
