#!/usr/bin/env bash
# How many ordinary lines a second are judged on one core, beside a grep of eight words on the same file.
#
#   scripts/bench-classify.sh [BINARY]     BINARY defaults to the release build
#
# Three files of made lines: as their programs write them, through syslog, and JSON within docker's JSON. CPU time of the
# whole process, the best of three runs; what a run of an empty file costs is taken off.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
binary=${1:-$root/target/release/autonomous-orchestrator}
[ -x "$binary" ] || { echo "cannot run $binary: build it first: cargo build --release" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 - "$binary" "$work" <<'PY'
import json, os, random, subprocess, sys
binary, work = sys.argv[1:]
random.seed(7)
SAID = ["client plant-{n} connected from 10.0.{b}.{b}:{n}", "wrote {n} points in {b} ms", "session {n} opened for user backup",
        "reading register {n} of slave {b}: 0x{n:04x}", "cache: {n} entries, {b} expired", "GET /api/v1/state 200 {n} {b}ms",
        "renewed lease of 192.0.2.{b}, {n} seconds left", "checkpoint complete: wrote {b} buffers", "no errors in {n} samples",
        "worker {b} picked up job {n}", "heartbeat {n}", "queue length {b}, oldest {n} ms", "link is up at 1000 Mbit/s, full duplex",
        "subscribed to plant/line{b}/pump/{n}", "rotated log file, {b} kept", "next poll in {n} ms"]
def said():
    return random.choice(SAID).format(n=random.randrange(10, 60000), b=random.randrange(1, 255))
def plain(at):
    form = at % 4
    time = f"2026-05-0{1 + at % 9} 10:{at % 60:02}:{at // 7 % 60:02}"
    return [f"{time},123 INFO poller: {said()}", said(), f"{time} [info] {said()}", f'time="{time}" level=info msg="{said()}"'][form]
def syslog(at):
    return f"May  1 10:{at % 60:02}:{at // 7 % 60:02} gw1 app{at % 5}[{100 + at % 900}]: {said()}"
def nested(at):
    inner = json.dumps({"level": "info", "ts": 1777629602.1 + at, "logger": "poller", "msg": said(), "attempt": at % 7})
    return json.dumps({"log": inner + "\n", "stream": "stderr", "time": "2026-05-01T10:00:02.123456789Z"})
def cpu(*argv):
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    return usage.ru_utime + usage.ru_stime
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
empty = os.path.join(work, "empty"); open(empty, "w").close()
base = min(cpu(binary, "replay", "--json", empty) for _ in range(3))
print(f"{'lines':10} {'MB':>6} {'replay, lines/s':>16} {'grep -iE, lines/s':>18}")
for name, make in (("plain", plain), ("syslog", syslog), ("nested", nested)):
    file = os.path.join(work, name)
    count = 600_000
    with open(file, "w") as out:
        out.writelines(make(at) + "\n" for at in range(count))
    ours = min(cpu(binary, "replay", "--json", file) for _ in range(3)) - base
    grep = min(cpu("grep", "-ciE", r"\b(error|fail|failed|fatal|crit|panic|emerg|alert|exception)\b", file) for _ in range(3))
    print(f"{name:10} {os.path.getsize(file) / 1e6:6.0f} {count / max(ours, 1e-6):16.0f} {count / max(grep, 1e-6):18.0f}", flush=True)
PY
