#!/usr/bin/env python3
"""Kills the daemon again and again during a storm of log lines with rotations of both kinds, and compares
what it counted with an offline count of the same lines.

    completeness.py BINARY [--lines N] [--kills N] [--rate LINES_PER_S] [--seed N]

The truth is well defined: the writer itself rotates, by rename (a few lines still go to the renamed file,
as a program does that was not yet told) and by copy-and-truncate (nothing is written between the copy and
the truncation; what is, is lost by nature). Rotated files are kept, uncompressed. `replay --json` over
every line ever written gives the counts by fingerprint that the store must hold. Exit status 1 when one
differs. Standard library only."""

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

KINDS = [
    "ERROR cannot open /dev/ttyUSB{a}: No such device",
    "ERROR connection to 10.0.{a}.{b}:502 refused",
    "FATAL queue {a} is full after {b} messages",
    "ERROR checksum of block {b} is wrong",
    "CRITICAL sensor {a} reports {b} degrees",
    "ERROR no answer from unit {a} within {b} ms",
]
PROGRAMS = ["meter", "bridge", "modbusd", "uploader", "mqtt"]
CATCH_UP_S = 300


class Writer(threading.Thread):
    def __init__(self, directory, lines, rate, rng):
        super().__init__(daemon=True)
        self.path = os.path.join(directory, "app.log")
        self.truth = open(os.path.join(directory, "truth"), "w", encoding="ascii")
        self.lines, self.rate, self.rng = lines, rate, rng
        self.out = open(self.path, "a", encoding="ascii")
        self.written = 0
        self.rotations = {"rename": 0, "copy-truncate": 0}

    def write(self, out):
        n, rng = self.written, self.rng
        if n % 2:
            text = rng.choice(KINDS).format(a=rng.randrange(256), b=rng.randrange(1000))
        else:
            text = f"request {n} served in {n % 977} ms"
        line = f"Nov 23 10:{n // 60000 % 60:02d}:{n // 1000 % 60:02d} gw {rng.choice(PROGRAMS)}[{n}]: {text}\n"
        out.write(line)
        self.truth.write(line)
        self.written += 1

    def shift(self):
        number = 1
        while os.path.exists(f"{self.path}.{number}"):
            number += 1
        for n in range(number - 1, 0, -1):
            os.rename(f"{self.path}.{n}", f"{self.path}.{n + 1}")

    def rotate(self):
        kind = self.rng.choice(list(self.rotations))
        self.rotations[kind] += 1
        self.out.flush()
        self.shift()
        if kind == "rename":
            os.rename(self.path, self.path + ".1")
            for _ in range(self.rng.randrange(50)):
                self.write(self.out)
            self.out.close()
            self.out = open(self.path, "a", encoding="ascii")
        else:
            shutil.copyfile(self.path, self.path + ".1")
            os.truncate(self.path, 0)

    def run(self):
        began, next_rotation = time.monotonic(), self.rng.randrange(2000, 16000)
        while self.written < self.lines:
            due = min(self.lines, int((time.monotonic() - began) * self.rate))
            while self.written < due:
                self.write(self.out)
                # A line that stands half written for a moment is usual.
                if self.rng.random() < 0.001:
                    self.out.flush()
                if self.written >= next_rotation:
                    self.rotate()
                    next_rotation += self.rng.randrange(2000, 16000)
            self.out.flush()
            time.sleep(0.002)
        self.out.close()
        self.truth.close()


def config(directory):
    path = os.path.join(directory, "config.toml")
    detectors = ["clock_unsynced", "config_drift", "container_unhealthy", "disk", "memory_pressure", "network_down",
                 "port_conflict", "probe_failed", "readonly_fs", "service_failed", "service_flapping", "service_hung",
                 "service_inactive", "stale_process", "thermal", "uplink", "invalid_unit_path", "storage_wear"]
    with open(path, "w", encoding="ascii") as out:
        out.write(f"""[daemon]
state_dir = "{directory}/state"
runtime_dir = "{directory}/run"
kill_switch = "{directory}/disable"
rules_dir = "{directory}/rules.d"
runbooks_dir = "{directory}/runbooks.d"
bundle = "{directory}/knowledge.bundle"
log_level = "warn"
safe_start = false
[mode]
limit = "observe"
[detect]
journal = false
kernel_log = false
quiet_s = 86400
disabled = {json.dumps(detectors)}
[[log_file]]
path = "{directory}/app.log"
""")
    return path


def start(binary, directory):
    log = open(os.path.join(directory, "daemon.log"), "a", encoding="ascii")
    return subprocess.Popen([binary, "run", "--config", os.path.join(directory, "config.toml")],
                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def counted(directory):
    """Counts by fingerprint, over all tasks; findings about the program itself apart."""
    try:
        db = sqlite3.connect(f"file:{directory}/state/tasks.db?mode=ro", uri=True, timeout=10)
        rows = db.execute("SELECT issue_hash, sum(seen_count) FROM tasks WHERE issue_type = 'log_error' GROUP BY issue_hash").fetchall()
        others = db.execute("SELECT issue_type, issue_message, seen_count FROM tasks WHERE issue_type <> 'log_error'").fetchall()
        db.close()
        return dict(rows), others
    except sqlite3.OperationalError:
        return {}, []


def offline(binary, directory):
    out = subprocess.run([binary, "replay", "--json", os.path.join(directory, "truth")],
                         capture_output=True, text=True, check=True).stdout
    counts = {}
    for row in json.loads(out):
        counts[row["fingerprint"]] = counts.get(row["fingerprint"], 0) + row["count"]
    return counts


def wait_for(what, condition, deadline_s):
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"FAIL  not within {deadline_s} s: {what}")
        time.sleep(0.05)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("binary")
    options.add_argument("--lines", type=int, default=50_000)
    options.add_argument("--kills", type=int, default=5)
    options.add_argument("--rate", type=int, default=5000)
    options.add_argument("--seed", type=int, default=int(time.time()))
    options = options.parse_args()
    rng = random.Random(options.seed)
    directory = tempfile.mkdtemp(prefix="ao-complete.")
    print(f"seed {options.seed}: {options.lines} lines, {options.kills} kills", flush=True)
    config(directory)
    open(os.path.join(directory, "app.log"), "w", encoding="ascii").close()
    daemon = start(options.binary, directory)
    try:
        wait_for("the first start", lambda: os.path.exists(f"{directory}/run/status.json") or counted(directory)[0] is not None and os.path.exists(f"{directory}/state/tasks.db"), 20)
        time.sleep(1)
        writer = Writer(directory, options.lines, options.rate, random.Random(options.seed + 1))
        writer.start()
        began = time.monotonic()
        # The kills are spread over the storm; some hit a start, some a catch-up, some a commit.
        span = options.lines / options.rate / (options.kills + 1)
        for _ in range(options.kills):
            time.sleep(rng.uniform(0, 2 * span))
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
            time.sleep(rng.choice([0, 0, 0, 0.3]))
            daemon = start(options.binary, directory)
        writer.join()
        seconds = time.monotonic() - began
        want = offline(options.binary, directory)
        total = sum(want.values())
        deadline = time.monotonic() + CATCH_UP_S
        while time.monotonic() < deadline:
            have, others = counted(directory)
            if sum(have.values()) >= total:
                break
            time.sleep(0.2)
        # What would be counted twice has time to show: repeats are committed within 5 s.
        time.sleep(6)
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=60)
        have, others = counted(directory)
    finally:
        if daemon.poll() is None:
            daemon.kill()
    print(f"{writer.written} lines in {seconds:.0f} s, {options.kills} kills, rotations: {writer.rotations}")
    print(f"{'fingerprint':16} {'written':>9} {'counted':>9}")
    wrong = 0
    for name in sorted(set(want) | set(have)):
        same = want.get(name, 0) == have.get(name, 0)
        wrong += not same
        if not same:
            print(f"{name[:16]} {want.get(name, 0):9} {have.get(name, 0):9}  DIFFERENT")
    print(f"{'sum':16} {total:9} {sum(have.values()):9}  {len(want)} fingerprints, {wrong} different")
    for row in others:
        print("about itself:", *row)
    if wrong or others:
        print(f"FAIL  kept for inspection: {directory}")
        sys.exit(1)
    shutil.rmtree(directory)
    print("PASS  every line was counted exactly once")


if __name__ == "__main__":
    main()
