#!/usr/bin/env python3
"""What of ordinary lines is a finding, and what a human would hear: ordinary_score.py DIR BINARY

Each file of DIR is replayed by itself. Prints findings and told per 1,000 lines, the lines that they take, and how many
lines a grep of eight words takes, for each file and together.
"""
import json
import pathlib
import re
import subprocess
import sys

GREP = re.compile(r"(?<!\w)(error|fail|failed|fatal|crit|panic|emerg|alert|exception)(?!\w)", re.I)


def main():
    directory, binary = sys.argv[1:3]
    total = [0, 0, 0, 0, 0]
    print(f"{'file':28} {'lines':>7} {'findings':>9} {'told':>5} {'taken':>6} {'grep':>6}")
    for file in sorted(pathlib.Path(directory).glob("*.log")):
        lines = file.read_text(errors="replace").splitlines()
        done = subprocess.run([binary, "replay", "--json", str(file)], capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        told = [one for one in found if one["told"] != "never"]
        taken = sum(one["count"] for one in found)
        row = [len(lines), len(found), len(told), taken, sum(bool(GREP.search(line)) for line in lines)]
        total = [a + b for a, b in zip(total, row)]
        print(f"{file.name:28} {row[0]:7} {row[1]:9} {row[2]:5} {row[3]:6} {row[4]:6}")
        for one in found:
            print(f"    {one['severity']:8} {one['told']:18} {one['count']:5}x {one['message'][:110]}")
    lines, found, told, taken, grep = total
    per = lambda count: 1000 * count / max(lines, 1)
    print(f"{lines} lines: findings {per(found):.2f}, told {per(told):.2f} per 1,000; lines taken {per(taken):.2f}, by grep {per(grep):.1f}")


main()
