#!/usr/bin/env bash
# What of ordinary lines is a finding, and what a human would hear, beside a grep of eight words.
#
#   scripts/bench-noise.sh [BINARY] [LINES]     BINARY defaults to the release build, LINES (of each form) to 100
#
# The forms are those of tests/fixtures/ordinary/lines.txt: what some sixty services print while nothing is wrong, other
# ones than tests/tools/ordinary.sh runs. Times, numbers, addresses and ids are filled in; one file is made a service.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
binary=${1:-$root/target/release/autonomous-orchestrator}
[ -x "$binary" ] || { echo "cannot run $binary: build it first: cargo build --release" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 - "$root/tests/fixtures/ordinary/lines.txt" "$work" "${2:-100}" <<'PY'
import pathlib, random, re, sys
forms, work, each = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
random.seed(22)
number = random.randrange
def fields(at):
    h, m, s = at // 3600 % 24, at // 60 % 60, at % 60
    clock = f"{h:02}:{m:02}:{s:02}"
    return {
        "clock": clock, "bsd": f"May  4 {clock}", "iso": f"2026-05-04T{clock}", "space": f"2026-05-04 {clock}",
        "slash": "2026/05/04", "epoch": str(1777852800 + at), "day": "04", "d2": " 4", "mon": "May", "week": "Mon", "mmdd": "0504",
    }
def filled(form, at):
    fixed = fields(at)
    made = {
        "n": lambda: str(number(1000, 60000)), "b": lambda: str(number(1, 99)), "f": lambda: f"{number(1, 99)}.{number(10, 99)}",
        "ip": lambda: f"10.0.{number(256)}.{number(1, 255)}", "mac": lambda: ":".join(f"{number(256):02x}" for _ in range(6)),
        "hex": lambda: f"{number(1 << 48):012x}",
    }
    return re.sub(r"\{([a-z0-9]+)\}", lambda hit: fixed.get(hit[1]) or (made[hit[1]]() if hit[1] in made else hit[0]), form)
services = {}
for line in forms.read_text().splitlines():
    if line.startswith("## "):
        service = line[3:].replace(" ", "-")
    elif not line.startswith("# "):
        services.setdefault(service, []).append(line)
for service, lines in services.items():
    made = (filled(form, at * 7 % 86400) for at in range(each) for form in lines)
    (work / f"{service}.log").write_text("\n".join(made) + "\n")
PY
python3 "$root/tests/tools/ordinary_score.py" "$work" "$binary"
