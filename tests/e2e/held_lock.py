#!/usr/bin/env python3
"""Another program holds a write transaction on the daemon's database while log lines come in: nothing is lost or
counted twice, reading commands answer meanwhile, and the daemon says what it waits for.

    held_lock.py BINARY [--seconds N]      N: how long the lock is held (60)

Exit status 1 when anything differs. Standard library only."""

import argparse
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time

from completeness import KINDS, config, counted, offline, start, wait_for

LINES_PER_S = 20
CATCH_UP_S = 60


def followed(directory):
    """True once the daemon has a position in the log; writes a harmless line that moves it."""
    with open(f"{directory}/app.log", "a", encoding="ascii") as log:
        log.write("request served in 1 ms\n")
    try:
        db = sqlite3.connect(f"file:{directory}/state/tasks.db?mode=ro", uri=True)
        return db.execute("SELECT count(*) FROM cursors").fetchone()[0] > 0
    except sqlite3.OperationalError:
        return False


def write_lines(directory, seconds):
    """Error lines at a steady rate for that long, also kept as the truth."""
    end, n = time.monotonic() + seconds, 0
    with open(f"{directory}/app.log", "a", encoding="ascii") as log, open(f"{directory}/truth", "a", encoding="ascii") as truth:
        while time.monotonic() < end:
            line = f"Nov 23 10:00:00 gw meter[{n}]: {KINDS[n % len(KINDS)].format(a=n % 7, b=n % 11)}\n"
            for out in (log, truth):
                out.write(line)
                out.flush()
            n += 1
            time.sleep(1 / LINES_PER_S)
    return n


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("binary")
    options.add_argument("--seconds", type=int, default=60)
    options = options.parse_args()
    directory = tempfile.mkdtemp(prefix="ao-lock.")
    told = config(directory)
    open(f"{directory}/app.log", "w", encoding="ascii").close()
    daemon = start(options.binary, directory)
    try:
        wait_for("the log file is followed", lambda: followed(directory), 20)
        foreign = sqlite3.connect(f"{directory}/state/tasks.db", isolation_level=None, timeout=30)
        foreign.execute("BEGIN IMMEDIATE")
        before = counted(directory)[0]
        lines = write_lines(directory, options.seconds)
        assert daemon.poll() is None, "the daemon ended"
        assert counted(directory)[0] == before, "written although the lock was held"
        began = time.monotonic()
        read = subprocess.run([options.binary, "tasks", "--json", "--config", told], capture_output=True, text=True, check=False)
        assert read.returncode == 0, f"tasks: {read.returncode} {read.stderr}"
        reading = time.monotonic() - began
        foreign.execute("COMMIT")
        foreign.close()
        want = offline(options.binary, directory)
        wait_for("all counted", lambda: sum(counted(directory)[0].values()) >= sum(want.values()), CATCH_UP_S)
        have = counted(directory)[0]
        assert have == want, f"{have} is not {want}"
        with open(f"{directory}/daemon.log", encoding="utf-8") as log:
            text = log.read()
        assert f"process {os.getpid()} " in text and "holds the write lock" in text, text
        assert "database is locked" not in text, text
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(20) == 0
        print(f"lock held for {options.seconds} s: {lines} lines of {len(want)} kinds meanwhile, all counted once; "
              f"a reading command answered in {reading * 1000:.0f} ms; the log names who held it, no lock error")
        shutil.rmtree(directory)
    finally:
        daemon.kill()


if __name__ == "__main__":
    main()
