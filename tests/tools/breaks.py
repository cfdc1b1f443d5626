#!/usr/bin/env python3
"""The deliberate breaks of tests/mutants/breaks.toml, for scripts/check-mutants.sh.

Usage: breaks.py count LIST           how many there are
       breaks.py name LIST N          the name of the N-th, from 0
       breaks.py fits LIST TREE       an error unless each text stands in TREE exactly once
       breaks.py apply LIST N TREE    breaks TREE; an error unless the text stands there exactly once
       breaks.py mend LIST N TREE     puts the text back
"""
import os
import sys
import tomllib

KEYS = {"name", "file", "text", "becomes"}


def read(path):
    """The list; every row has all its keys and a name of its own."""
    with open(path, "rb") as file:
        breaks = tomllib.load(file)["break"]
    for row in breaks:
        if set(row) != KEYS or row["text"] == row["becomes"]:
            sys.exit(f"{path}: {row.get('name')}: needs {sorted(KEYS)}, and two different texts")
    if len({row["name"] for row in breaks}) != len(breaks):
        sys.exit(f"{path}: two breaks of one name")
    return breaks


def replace(path, old, new):
    with open(path, encoding="utf-8") as file:
        source = file.read()
    found = source.count(old)
    if found != 1:
        sys.exit(f"{path}: stands there {found} times, not once: {old}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(source.replace(old, new))


def fits(path, text):
    with open(path, encoding="utf-8") as file:
        return file.read().count(text) == 1


def main():
    verb, breaks = sys.argv[1], read(sys.argv[2])
    if verb == "count":
        print(len(breaks))
        return
    if verb == "fits":
        wrong = [row["name"] for row in breaks if not fits(os.path.join(sys.argv[3], row["file"]), row["text"])]
        if wrong:
            sys.exit(f"{sys.argv[2]}: the text stands no more, or more than once: {'; '.join(wrong)}")
        return
    row = breaks[int(sys.argv[3])]
    if verb == "name":
        print(row["name"])
        return
    path = os.path.join(sys.argv[4], row["file"])
    texts = (row["text"], row["becomes"])
    replace(path, *(texts if verb == "apply" else reversed(texts)))


if __name__ == "__main__":
    main()
