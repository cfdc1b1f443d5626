#!/usr/bin/env python3
"""How often a bundle's first answer is right, beside nDCG@10 and beside plain SQLite FTS5: `retrieval_score.py BINARY SET…`

A SET is a directory with docs.jsonl.gz ({"id","title","text"} a line), queries.jsonl ({"id","text"} a line) and qrels.tsv
(query, document, grade). Each question is asked twice: as it is, and as the sentence of a log line between `key=value`
pairs that have nothing to do with it. FTS5 asks as is common: porter stems, all words but stop words with OR. The
interval is that of the paired difference, 95 %, 1000 resamplings. Standard library only.
"""

import gzip
import json
import math
import os
import random
import re
import sqlite3
import subprocess
import sys
import tempfile

STOP = set(
    "a an and are as at be but by can could did do does for from had has have how i if in into is it its may me my of on or our s so"
    " such t than that the their them then there these they this to up use used using was we were what when where which while who"
    " will with would you your".split()
)
# What services print around their sentences: logfmt, a logger with a caller, facts in brackets.
LINES = [
    'time=2026-01-07T10:11:12Z level=error source=collector.go:142 msg="{}" component=server duration_ms=1204 retries=3 node=gw-17',
    'ts=1767780672.114 caller=manager.go:87 level=warn err="{}" host=gw-17 path=/var/lib/app/data request_id=7f3a90 queue=default',
    "{} (unit=app.service, pid=812, mount=/data, used_percent=97, interface=eth0, port=8080)",
]


def rows(path):
    packed = path + ".gz"
    opened = gzip.open(packed, "rt", encoding="utf-8") if os.path.exists(packed) else open(path, encoding="utf-8")
    with opened as lines:
        return [json.loads(line) for line in lines]


def truth(path):
    grades = {}
    for line in open(path, encoding="utf-8"):
        query, document, grade = line.rstrip("\n").split("\t")
        grades.setdefault(query, {})[document] = int(grade)
    return grades


def of_bundle(binary, bundle, asked):
    lines = "".join(f"{name}\t{' '.join(text.split())}\n" for name, text in asked)
    command = [binary, "bundle", "query", "--bundle", bundle, "--batch", "-k", "10", "--tsv"]
    said = subprocess.run(command, input=lines, text=True, stdout=subprocess.PIPE, check=True).stdout
    found = {}
    for line in said.splitlines():
        query, document, _ = line.split("\t")
        found.setdefault(query, []).append(document)
    return found


def of_fts5(index, names, asked):
    found = {}
    for name, text in asked:
        words = dict.fromkeys(word for word in re.findall(r"[^\W_]+", text.lower()) if word not in STOP)
        match = " OR ".join(f'"{word}"' for word in words)
        order = "select rowid from f where f match ? order by bm25(f) limit 10"
        found[name] = [names[row - 1] for (row,) in index.execute(order, (match,))] if match else []
    return found


def score(run, grades):
    """nDCG@10 with gain 2^g-1, and whether the first answer is one of the best."""
    gain = lambda grade, rank: (2**grade - 1) / math.log2(rank + 2)
    best = sum(gain(grade, rank) for rank, grade in enumerate(sorted(grades.values(), reverse=True)[:10]))
    total = sum(gain(grades.get(one, 0), rank) for rank, one in enumerate(run[:10]))
    return total / best, float(bool(run) and grades.get(run[0], 0) == max(grades.values()))


def difference(ours, theirs):
    each = [a - b for a, b in zip(ours, theirs)]
    draw = random.Random(1)
    means = sorted(sum(draw.choices(each, k=len(each))) / len(each) for _ in range(1000))
    return f"{sum(each) / len(each):+.3f} ({means[25]:+.3f} to {means[974]:+.3f})"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    binary, behind = sys.argv[1], False
    print("| set | asked as | n | nDCG@10 | FTS5 | first right | FTS5 | difference of first right |\n|---|---|---|---|---|---|---|---|")
    for folder in sys.argv[2:]:
        documents, grades = rows(folder + "/docs.jsonl"), truth(folder + "/qrels.tsv")
        queries = [(row["id"], row["text"]) for row in rows(folder + "/queries.jsonl") if row["id"] in grades]
        index = sqlite3.connect(":memory:")
        index.execute("create virtual table f using fts5(title, body, tokenize='porter unicode61')")
        index.executemany("insert into f(title, body) values (?, ?)", ((row["title"], row["text"]) for row in documents))
        with tempfile.TemporaryDirectory() as work:
            with open(work + "/docs.jsonl", "w", encoding="utf-8") as out:
                out.writelines(json.dumps(row) + "\n" for row in documents)
            bundle = work + "/x.bundle"
            command = [binary, "bundle", "build", "--snippets", work + "/docs.jsonl", "--out", bundle]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            dressed = [(name, LINES[at % len(LINES)].format(text)) for at, (name, text) in enumerate(queries)]
            for how, asked in (("question", queries), ("log line with pairs", dressed)):
                ours, theirs = of_bundle(binary, bundle, asked), of_fts5(index, [row["id"] for row in documents], asked)
                ours = [score(ours.get(name, []), grades[name]) for name, _ in asked]
                theirs = [score(theirs[name], grades[name]) for name, _ in asked]
                mean = lambda all, at: sum(one[at] for one in all) / len(all)
                behind = behind or mean(ours, 1) < mean(theirs, 1)
                print(
                    f"| {os.path.basename(folder.rstrip('/'))} | {how} | {len(asked)} | {mean(ours, 0):.3f} | {mean(theirs, 0):.3f} "
                    f"| {mean(ours, 1):.3f} | {mean(theirs, 1):.3f} | {difference([one[1] for one in ours], [one[1] for one in theirs])} |"
                )
    sys.exit(behind)


if __name__ == "__main__":
    main()
