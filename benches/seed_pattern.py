#!/usr/bin/env python3
"""The Python daemon's way to its database, as a rival: one lock, a new connection for each operation,
a busy timeout of 30 s, INSERT OR IGNORE with a fall-back select, a history row with everything.

    seed_pattern.py DIR THREADS SECONDS        prints per_second=… p50_us=… p99_us=… errors=…

SQLite's defaults: rollback journal, synchronous=FULL, so that every operation is durable like ours.
"""

import hashlib
import os
import sqlite3
import sys
import tempfile
import threading
import time

SCHEMA = """
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, issue_hash TEXT UNIQUE NOT NULL, issue_type TEXT NOT NULL,
    issue_source TEXT NOT NULL, issue_message TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'detected',
    fix_attempted BOOLEAN DEFAULT 0, fix_successful BOOLEAN DEFAULT 0, fix_message TEXT,
    github_issue_number INTEGER, detected_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    github_created_at TIMESTAMP, fixed_at TIMESTAMP, closed_at TIMESTAMP);
CREATE TABLE task_history (
    id INTEGER PRIMARY KEY AUTOINCREMENT, task_id INTEGER NOT NULL, action TEXT NOT NULL, details TEXT,
    timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP, FOREIGN KEY (task_id) REFERENCES tasks (id));
"""
LOCK = threading.Lock()


def operation(path, run):
    with LOCK:
        db = sqlite3.connect(path, timeout=30)
        try:
            result = run(db.cursor())
            db.commit()
            return result
        finally:
            db.close()


def create(cursor, key):
    digest = hashlib.sha256(key.encode()).hexdigest()
    message = "Main process exited, code=exited, status=203/EXEC"
    cursor.execute(
        "INSERT OR IGNORE INTO tasks (issue_hash, issue_type, issue_source, issue_message) VALUES (?,?,?,?)",
        (digest, "service_failed", "bench", message),
    )
    cursor.execute("SELECT id FROM tasks WHERE issue_hash = ?", (digest,))
    task = cursor.fetchone()[0]
    history(cursor, task, "created", f"service_failed {key}: {message}")
    return task


def history(cursor, task, action, details):
    cursor.execute(
        "INSERT INTO task_history (task_id, action, details) VALUES (?,?,?)", (task, action, details)
    )


def fix(cursor, task):
    cursor.execute(
        "UPDATE tasks SET fix_attempted = 1, fix_successful = 1, fix_message = 'restarted' WHERE id = ?", (task,)
    )
    history(cursor, task, "fix_attempt", "successful")


def close(cursor, task):
    cursor.execute("UPDATE tasks SET status = 'closed', closed_at = CURRENT_TIMESTAMP WHERE id = ?", (task,))
    history(cursor, task, "closed", "detected -> closed")


def main():
    directory, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    with tempfile.TemporaryDirectory(dir=directory) as work:
        path = os.path.join(work, "tasks.db")
        db = sqlite3.connect(path)
        db.executescript(SCHEMA)
        db.close()
        end = time.monotonic() + seconds
        lives, times, errors = [0] * threads, [], []

        def live(thread):
            while time.monotonic() < end:
                key = f"unit-{thread}-{lives[thread]}.service"
                try:
                    task = None
                    for step in (lambda c: create(c, key), lambda c: fix(c, task), lambda c: close(c, task)):
                        at = time.perf_counter()
                        task = operation(path, step) or task
                        times.append(time.perf_counter() - at)
                except sqlite3.Error as why:
                    errors.append(why)
                lives[thread] += 1

        started = time.monotonic()
        running = [threading.Thread(target=live, args=(n,)) for n in range(threads)]
        for one in running:
            one.start()
        for one in running:
            one.join()
        elapsed = time.monotonic() - started
    times.sort()
    at = lambda percent: int(times[min(len(times) * percent // 100, len(times) - 1)] * 1e6)
    print(f"per_second={sum(lives) / elapsed:.1f} p50_us={at(50)} p99_us={at(99)} errors={len(errors)}")


main()
