#!/usr/bin/env python3
"""Scores `replay --json` over a directory of kernel logs with known faults.

Usage: kernel_score.py DIR COMMAND…   (DIR holds index.tsv: file, fault, type, title; and logs/)
Skips, with a message, when DIR is not there.
"""
import json
import os
import subprocess
import sys

OOPS = {"kernel_oops", "kernel_lockup"}


def right(kind):
    """Classes that count as right for a type; None = any kernel class."""
    if kind == "HANG":
        return {"kernel_lockup"}
    if kind in ("LOCKDEP", "ATOMIC_SLEEP"):
        return {"kernel_lockdep"}
    if kind.startswith(("KASAN", "KMSAN", "KFENCE", "KCSAN", "UBSAN", "MEMORY_SAFETY")):
        return {"kernel_memory_safety"}
    if kind in ("BUG", "NULL-POINTER-DEREFERENCE", "DoS"):
        return OOPS
    if kind in ("WARNING", "REFCOUNT_WARNING"):
        return {"kernel_warning"}
    if kind == "LEAK":
        return {"kernel_leak"}
    return None


def main():
    directory, command = sys.argv[1], sys.argv[2:]
    index = os.path.join(directory, "index.tsv")
    if not os.path.exists(index):
        print(f"skipped: {index} is not there")
        return 0
    faults = found = named = clean = false = 0
    for line in open(index, encoding="utf-8").read().splitlines()[1:]:
        name, fault, kind, title = (line.split("\t") + ["", "", ""])[:4]
        path = os.path.join(directory, "logs", name)
        out = subprocess.run(command + [path], capture_output=True, text=True, check=True).stdout
        got = json.loads(out)
        classes = [row["class"] for row in got]
        if fault == "1":
            faults += 1
            kernel = [c for c in classes if c.startswith("kernel_") or c == "oom_kill"]
            want = right(kind)
            found += bool(kernel)
            good = bool(kernel) and (want is None or kernel[0] in want)
            named += good
            if not good:
                print(f"  {name}: {kind or '-'}: {title}: got {classes}")
        else:
            clean += 1
            if classes:
                false += 1
                print(f"  {name}: clean, but {[(r['class'], r['message'][:80]) for r in got]}")
    print(f"faults {faults}: found {found} ({100 * found / faults:.1f} %), right class {named} ({100 * named / faults:.1f} %)")
    print(f"clean logs {clean}: with findings {false}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
