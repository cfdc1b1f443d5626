#!/usr/bin/env python3
"""Files, arrows and circles of a folder of src: how much one has to know to change a part of it.

    tests/tools/rooms.py [FOLDER]        default: src/core

A part is a file or a folder directly in FOLDER; an arrow is one part that names another by
`crate::...` (tests left out). A circle is a set of parts each of which reaches the others.
"""

import re
import sys
from pathlib import Path


def parts(folder):
    """Name of each part and the source of its files, tests and comments left out."""
    found = {}
    for path in sorted(folder.rglob("*.rs")):
        inner = path.relative_to(folder).parts
        if path.name in ("tests.rs",) or "tests" in inner[:-1] or path.name.endswith("_tests.rs"):
            continue
        name = inner[0].removesuffix(".rs")
        if name == "mod":
            continue
        text = re.sub(r"//[^\n]*", "", path.read_text(encoding="utf-8"))
        text = re.split(r"\n#\[cfg\(test\)\]\n(?:#\[[^\n]*\n)*mod tests", text)[0]
        found.setdefault(name, []).append(text)
    return found


def expanded(text):
    """Each path of a use with braces, written out."""
    for use in re.findall(r"crate::((?:\w+::)*)\{([^;]*)\};", text):
        for head in re.findall(r"(\w+)", use[1]):
            yield use[0] + head
    yield from re.findall(r"crate::((?:\w+::)*\w+)", text)


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "src/core")
    inside = "::".join(folder.parts[folder.parts.index("src") + 1 :]) + "::"
    found = parts(folder)
    arrows = {}
    for name, texts in found.items():
        named = {
            path[len(inside) :].split("::")[0]
            for text in texts
            for path in expanded(text)
            if path.startswith(inside)
        }
        arrows[name] = sorted((named & set(found)) - {name})

    def reaches(start):
        seen, todo = set(), [start]
        while todo:
            for other in arrows[todo.pop()]:
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        return seen

    reach = {name: reaches(name) for name in found}
    circles = {
        tuple(sorted(other for other in found if other in reach[name] and name in reach[other]))
        for name in found
        if name in reach[name]
    }
    for name in sorted(found, key=lambda name: len(reach[name])):
        print(f"{name:14} {len(found[name]):3} files  names {', '.join(arrows[name]) or 'none'}")
    total = sum(len(named) for named in arrows.values())
    files = sum(len(texts) for texts in found.values())
    print(f"{len(found)} parts, {files} files, {total} arrows, {len(circles)} circles")
    for circle in sorted(circles):
        print("circle: " + ", ".join(circle))


main()
