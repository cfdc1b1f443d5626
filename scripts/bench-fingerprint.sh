#!/bin/sh
# Compares the fingerprint filter with Drain3 (PyPI), untuned and masked, on one core in one run.
#
#   scripts/bench-fingerprint.sh LOG [BINARY]          lines/s of each and the ratios
#   scripts/bench-fingerprint.sh rules EVALUATOR DATA  what each rule adds: `EVALUATOR run` per rule left out
#
# LOG holds one message a line. BINARY defaults to the release build. Drain3 goes into a temporary
# virtual environment, which is removed at the end.
set -eu

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

[ $# -ge 1 ] || usage
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

rules() {
    evaluator=$1
    data=$2
    bench=$(cd "$root" && cargo bench --no-run --profile dev --bench fingerprint --message-format=json 2>/dev/null |
        sed -n 's/.*"name":"fingerprint".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    [ -x "$bench" ] || { echo "cannot run the rule table: the bench was not built: run cargo bench --no-run" >&2; exit 1; }
    python3 - "$evaluator" "$data" "$bench" <<'PY'
import json, os, subprocess, sys
evaluator, data, bench = sys.argv[1:]
names = sorted(d for d in os.listdir(data) if os.path.exists(os.path.join(data, d, "truth_corrected.txt")))
rules = subprocess.check_output([bench, "--list"], text=True).split()
print("| rule left out | GA | FGA | hidden | tasks | " + " | ".join(names) + " |")
print("|---" * (5 + len(names)) + "|")
def run(without, sets):
    cmd = bench + (" --without " + without if without else "")
    out = json.loads(subprocess.check_output([sys.executable, evaluator, "run", "--json", "--kind", "corrected",
        "--data", data, "--datasets", ",".join(sets), "--cmd", cmd]))
    return out, out.pop("AVERAGE")

scores = {}
for rule in [""] + rules:
    out, a = run(rule, names)
    scores[rule] = {n: out[n]["GA"] + out[n]["FGA"] for n in names}
    cells = ["%.3f / %.3f" % (out[n]["GA"], out[n]["FGA"]) for n in names]
    print("| %s | %.4f | %.4f | %.4f | %.3f | %s |" % (rule or "none", a["GA"], a["FGA"], a["hidden"], a["tasks"], " | ".join(cells)))

# Each set judged by rules that the other sets alone chose: a rule that costs them goes.
print("\n| set left out | rules the others drop | GA | FGA | hidden | tasks |\n|---|---|---|---|---|---|")
for n in names:
    others = [m for m in names if m != n]
    total = lambda rule: sum(scores[rule][m] for m in others)
    drop = [r for r in rules if total(r) > total("") + 1e-9]
    out, _ = run(",".join(drop), [n])
    m = out[n]
    print("| %s | %s | %.4f | %.4f | %.4f | %.3f |" % (n, ", ".join(drop) or "none", m["GA"], m["FGA"], m["hidden"], m["tasks"]))
PY
}

if [ "$1" = rules ]; then
    [ $# -eq 3 ] || usage
    rules "$2" "$3"
    exit 0
fi

log=$1
binary=${2:-$root/target/release/autonomous-orchestrator}
[ -r "$log" ] || { echo "cannot read $log: no such file" >&2; exit 2; }
[ -x "$binary" ] || { echo "cannot run $binary: build it first: cargo build --release" >&2; exit 2; }

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet drain3

# The core is pinned, so that none of the three gets another's share.
"$work/venv/bin/python" - "$log" "$binary" <<'PY'
import os, subprocess, sys, tempfile, time
from drain3 import TemplateMiner
from drain3.masking import MaskingInstruction
from drain3.template_miner_config import TemplateMinerConfig

log, binary = sys.argv[1:]
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
with open(log, encoding="utf-8", errors="replace", newline="\n") as f:
    lines = f.read().split("\n")
if lines and not lines[-1]:
    lines.pop()

def drain(masks):
    config = TemplateMinerConfig()
    config.masking_instructions = masks
    miner = TemplateMiner(config=config)
    sample = (lines * (20000 // len(lines) + 1))[:20000]
    start = time.process_time()
    for line in sample:
        miner.add_log_message(line)
    return len(sample) / (time.process_time() - start)

def ours():
    with tempfile.TemporaryFile() as f:
        size = 0
        while size < 1_000_000:
            f.write(("\n".join(lines) + "\n").encode())
            size += len(lines)
        best = 0.0
        for _ in range(5):
            f.seek(0)
            child = subprocess.Popen([binary, "fingerprint"], stdin=f, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(child.pid, 0)
            if status:
                raise SystemExit("the filter failed")
            best = max(best, size / (usage.ru_utime + usage.ru_stime))
        return best

# The masks of Drain3's own example configuration.
masked = [
    MaskingInstruction(r"((?<=[^A-Za-z0-9])|^)(([0-9a-f]{2,}:){3,}([0-9a-f]{2,}))((?=[^A-Za-z0-9])|$)", "ID"),
    MaskingInstruction(r"((?<=[^A-Za-z0-9])|^)(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})((?=[^A-Za-z0-9])|$)", "IP"),
    MaskingInstruction(r"((?<=[^A-Za-z0-9])|^)([0-9a-f]{6,} ?){3,}((?=[^A-Za-z0-9])|$)", "SEQ"),
    MaskingInstruction(r"((?<=[^A-Za-z0-9])|^)([0-9A-F]{4} ?){4,}((?=[^A-Za-z0-9])|$)", "SEQ"),
    MaskingInstruction(r"((?<=[^A-Za-z0-9])|^)(0x[a-f0-9A-F]+)((?=[^A-Za-z0-9])|$)", "HEX"),
    MaskingInstruction(r"((?<=[^A-Za-z0-9])|^)([\-\+]?\d+)((?=[^A-Za-z0-9])|$)", "NUM"),
    MaskingInstruction(r"(?<=executed cmd )(\".+?\")", "CMD"),
]
fingerprint, plain, mask = ours(), drain([]), drain(masked)
print("%-24s %12.0f lines/s" % ("fingerprint", fingerprint))
print("%-24s %12.0f lines/s  ours is %.0f times as fast" % ("Drain3 untuned", plain, fingerprint / plain))
print("%-24s %12.0f lines/s  ours is %.0f times as fast" % ("Drain3 masked", mask, fingerprint / mask))
PY
