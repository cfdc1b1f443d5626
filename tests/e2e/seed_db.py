#!/usr/bin/env python3
"""The database of the Python daemon that this program replaces.

    seed_db.py make FILE         a database with its schema and some history
    seed_db.py compare OLD NEW   every row of OLD is in NEW
    seed_db.py dump FILE         the task and history rows as text
"""

import hashlib
import sqlite3
import sys

SCHEMA = """
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    issue_hash TEXT UNIQUE NOT NULL,
    issue_type TEXT NOT NULL,
    issue_source TEXT NOT NULL,
    issue_message TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'detected',
    fix_attempted BOOLEAN DEFAULT 0,
    fix_successful BOOLEAN DEFAULT 0,
    fix_message TEXT,
    github_issue_number INTEGER,
    detected_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    github_created_at TIMESTAMP,
    fixed_at TIMESTAMP,
    closed_at TIMESTAMP
);
CREATE TABLE task_history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id INTEGER NOT NULL,
    action TEXT NOT NULL,
    details TEXT,
    timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    FOREIGN KEY (task_id) REFERENCES tasks (id)
);
"""
STATUSES = ["detected", "in_progress", "fix_failed", "fixed", "escalated", "closed"]
TASKS = 300
KEPT = "issue_message fix_message github_issue_number".split()


def make(path):
    db = sqlite3.connect(path)
    db.executescript(SCHEMA)
    for number in range(TASKS):
        status = STATUSES[number % len(STATUSES)]
        done = status in ("fixed", "closed")
        key = hashlib.md5(f"log_error:/var/log/app{number}.log:app".encode()).hexdigest()
        at = f"2024-05-{1 + number % 28:02} 0{number % 10}:11:12"
        cursor = db.execute(
            "INSERT INTO tasks (issue_hash, issue_type, issue_source, issue_message, status, fix_attempted,"
            " fix_successful, fix_message, github_issue_number, detected_at, github_created_at, fixed_at, closed_at)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                key,
                ["log_error", "service_failed", "disk_full", "port_conflict"][number % 4],
                f"/var/log/app{number}.log",
                f"Fehler № {number}: it's \"quoted\"",
                status,
                int(status != "detected"),
                int(done),
                "restarted" if done else None,
                number if status == "escalated" else None,
                at,
                at if status == "escalated" else None,
                at if done else None,
                at if status == "closed" else None,
            ),
        )
        for action in ("created", f"status_{status}"):
            db.execute(
                "INSERT INTO task_history (task_id, action, details, timestamp) VALUES (?,?,?,?)",
                (cursor.lastrowid, action, None if number % 7 == 0 else f"details {number}", at),
            )
    db.commit()
    db.close()


def rows(path, query):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    found = db.execute(query).fetchall()
    db.close()
    return found


def compare(old, new):
    columns = ", ".join(KEPT)
    for what, query in (
        ("task", f"SELECT {columns} FROM tasks"),
        ("history row", "SELECT action, COALESCE(details, '') FROM task_history"),
        ("opening time", "SELECT substr(detected_at, 1, 19) FROM tasks"),
    ):
        have = rows(new, query)
        missing = list(rows(old, query))
        for row in have:
            if row in missing:
                missing.remove(row)
        if missing:
            sys.exit(f"{len(missing)} {what}s are lost, the first: {missing[0]}")
        print(f"every {what} of the old database is there")


def dump(path):
    for table in ("tasks", "task_history"):
        for row in rows(path, f"SELECT * FROM {table} ORDER BY id"):
            print(table, row)


if __name__ == "__main__":
    {"make": make, "compare": compare, "dump": dump}[sys.argv[1]](*sys.argv[2:])
