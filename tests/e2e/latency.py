"""Inside the bed: journal line written -> task visible to another reader of the database.

Every event is a line with an identifier of its own, so each makes a new task. As shipped the
program gives the first 50 new kinds in ten minutes tasks of their own and counts the others in
one: so the events come in rounds of 20, each on a fresh database, with the ten kinds of the storm
beside them. The start is the sender's clock before the line goes into journald's socket; the end
is the first look, one each millisecond, at which a reader sees the committed row."""

import glob

import os
import random
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time

DATABASE = "/var/lib/autonomous-orchestrator/tasks.db"
DAEMON = "autonomous-orchestrator"
GOAL_MS = 250
STORM_PER_S = 5000
STORM_KINDS = 10
ROUND = 20
LOST_AFTER_S = 20


class Journal:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.connect("/run/systemd/journal/socket")

    def send(self, identifier, priority, message):
        self.socket.send(f"MESSAGE={message}\nPRIORITY={priority}\nSYSLOG_IDENTIFIER={identifier}\n".encode())


class Watch(threading.Thread):
    """Notes when each new task becomes visible."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen = {}
        self.stop = False

    def run(self):
        database = sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True, timeout=10)
        last = database.execute("SELECT coalesce(max(id), 0) FROM tasks").fetchone()[0]
        while not self.stop:
            rows = database.execute("SELECT id, subject FROM tasks WHERE id > ?", (last,)).fetchall()
            at = time.monotonic()
            for last, subject in rows:
                self.seen.setdefault(subject, at)
            time.sleep(0.001)


class Storm(threading.Thread):
    """Lines at a steady rate: half of them ordinary, half errors of few kinds."""

    def __init__(self):
        super().__init__(daemon=True)
        self.stop = False
        self.sent = 0
        self.seconds = 0.0

    def run(self):
        journal, began = Journal(), time.monotonic()
        while not self.stop:
            due = int((time.monotonic() - began) * STORM_PER_S)
            while self.sent < due and not self.stop:
                n = self.sent
                error = n % 2
                journal.send(f"storm-{n // 2 % STORM_KINDS}", 3 if error else 6, f"request {n} {'failed after' if error else 'served in'} {n % 977} ms")
                self.sent += 1
            time.sleep(0.002)
        self.seconds = time.monotonic() - began


def cpu_seconds(unit):
    """CPU time of the daemon and of the journalctl that it reads from."""
    pid = subprocess.run(["systemctl", "show", "-P", "MainPID", unit], capture_output=True, text=True, check=True).stdout.strip()
    pids = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as source:
            pids += source.read().split()
    ticks = 0
    for one in pids:
        with open(f"/proc/{one}/stat", encoding="ascii") as source:
            ticks += sum(map(int, source.read().rsplit(")", 1)[1].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def fresh():
    """The daemon on a new database, and nothing in the journal that it would find there."""
    subprocess.run(["systemctl", "stop", DAEMON], check=True)
    for path in glob.glob(f"{DATABASE}*"):
        os.remove(path)
    subprocess.run(["journalctl", "--rotate", "--vacuum-size=1K", "-q"], capture_output=True, check=False)
    subprocess.run(["systemctl", "start", DAEMON], check=True)
    time.sleep(2)


def send_round(prefix, count, pause, rng):
    """Latencies of so many events, in ms; those that were seen."""
    watch, journal, sent = Watch(), Journal(), {}
    watch.start()
    time.sleep(0.5)
    for n in range(count):
        # Spread over the phases of every timer involved.
        time.sleep(rng.uniform(0.5 * pause, 1.5 * pause))
        name = f"{prefix}-{n}"
        sent[name] = time.monotonic()
        journal.send(name, 3, "cannot read sensor")
    end = time.monotonic() + LOST_AFTER_S
    while time.monotonic() < end and not all(name in watch.seen for name in sent):
        time.sleep(0.05)
    watch.stop = True
    watch.join()
    return [(watch.seen[name] - at) * 1000 for name, at in sent.items() if name in watch.seen]


def measure(events, pause, stormy):
    """All latencies, sorted, and of the storm: lines, seconds, CPU seconds of the service."""
    rng, took, load = random.Random(4), [], [0, 0.0, 0.0]
    for at in range(0, events, ROUND):
        fresh()
        storm = Storm()
        before = cpu_seconds(DAEMON)
        if stormy:
            storm.start()
            time.sleep(3)
        took += send_round(f"event-{at}", min(ROUND, events - at), pause, rng)
        if stormy:
            storm.stop = True
            storm.join()
            load = [load[0] + storm.sent, load[1] + storm.seconds, load[2] + cpu_seconds(DAEMON) - before]
    return (sorted(took), events), load


def monit(events):
    """Each fault in Monit's log file and in the journal at the same moment."""
    watch, journal, took, ours = Watch(), Journal(), [], {}
    watch.start()
    rng = random.Random(5)
    log = "/var/log/monit.log"
    for n in range(events):
        # Calm before each: the slowest state of the daemon, and any phase of the cycle.
        time.sleep(rng.uniform(5.5, 9))
        size = os.path.getsize(log) if os.path.exists(log) else 0
        name = f"both-{n}"
        ours[name] = began = time.monotonic()
        journal.send(name, 3, "cannot read sensor")
        with open("/var/log/bench.log", "a", encoding="ascii") as out:
            out.write(f"app: cannot read sensor {n}\n")
        while time.monotonic() < began + 60:
            time.sleep(0.005)
            with open(log, encoding="utf-8", errors="replace") as source:
                source.seek(size)
                if re.search(r"content match", source.read()):
                    took.append((time.monotonic() - began) * 1000)
                    break
    watch.stop = True
    mine = sorted((watch.seen[n] - at) * 1000 for n, at in ours.items() if n in watch.seen)
    return (mine, events), (sorted(took), events)


def row(what, result):
    values, asked = result
    at = lambda q: values[min(len(values) - 1, int(q * len(values)))] if values else float("nan")
    print(f"| {what} | {len(values)} of {asked} | {at(0.5):.0f} | {at(0.99):.0f} | {values[-1] if values else float('nan'):.0f} |", flush=True)
    return at(0.99), len(values) == asked


def main():
    events = int(os.environ.get("LATENCY_EVENTS", "500"))
    print("| journal line -> committed task | events | median ms | p99 ms | most ms |\n|---|---|---|---|---|", flush=True)
    p99, whole = row("an event every 100 ms, nothing else", measure(events, 0.1, False)[0])
    stormy, (lines, seconds, used) = measure(events, 0.06, True)
    _, whole_storm = row(f"storm of {STORM_PER_S} lines/s, half of them errors", stormy)
    fresh()
    ours, theirs = monit(int(os.environ.get("MONIT_EVENTS", "25")))
    calm, _ = row("calm host, no entry for 5 s before, beside Monit", ours)
    row("Monit, cycle of 5 s, the same faults (log line -> its own log line)", theirs)
    print(f"storm: {lines} lines in {seconds:.0f} s, {lines / seconds:.0f} lines/s; the daemon and its journalctl used {100 * used / seconds:.0f} % of a core")
    good = max(p99, calm) < GOAL_MS and whole and whole_storm
    print("PASS" if good else "FAIL", f"p99 {p99:.0f} ms, calm {calm:.0f} ms, goal < {GOAL_MS} ms")
    sys.exit(0 if good else 1)


main()
