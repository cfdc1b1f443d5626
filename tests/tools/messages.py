#!/usr/bin/env python3
"""Every message of docs/TROUBLESHOOTING.md occurs in the source.

    tests/tools/messages.py [PAGE]     PAGE in place of docs/TROUBLESHOOTING.md

A message is a line of a block ```text message; `…` stands for what differs. A message is made of several texts, joined
by colons and brackets: each part between those and `…` must stand in one string of src/, tests aside. Exit status 1 where
one does not, or where there are fewer messages than a page of help needs.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEAST = 25
STRING = re.compile(r'r#"(.*?)"#|"((?:[^"\\]|\\.)*)"', re.S)
ESCAPED = {'"': '"', "n": "\n", "t": "\t", "\\": "\\", "'": "'", "0": "\0"}


def strings(text):
    """The string literals of a source file, what is filled in as `…`."""
    # What only a test says is no message.
    text = re.split(r"^#\[cfg\((?:test|all\(test)", text, maxsplit=1, flags=re.M)[0]
    for raw, cooked in STRING.findall(text):
        cooked = re.sub(r"\\\n\s*", "", cooked)
        cooked = re.sub(r"\\(.)", lambda found: ESCAPED.get(found[1], found[0]), cooked)
        yield re.sub(r"\{[^{}]*\}", "…", raw or cooked)


def parts(message):
    """What of a message must stand somewhere as it is."""
    for part in re.split(r"…|: |\(|\)", message):
        part = part.strip(" ;,:")
        if len(part) > 3:
            yield part


def main():
    page = pathlib.Path(sys.argv[1]) if sys.argv[1:] else ROOT / "docs/TROUBLESHOOTING.md"
    said = "\n".join(
        text
        for file in sorted((ROOT / "src").rglob("*.rs"))
        if "tests" not in file.relative_to(ROOT / "src").with_suffix("").parts
        for text in strings(file.read_text(encoding="utf-8"))
    )
    blocks = re.findall(r"^```text message\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    messages = [line for block in blocks for line in block.splitlines()]
    wrong = [(line, part) for line in messages for part in parts(line) if part not in said]
    for line, part in wrong:
        print(f"{page.name}: '{part}' is said nowhere in src/: {line}")
    unsaid = [line for line in messages if not list(parts(line))]
    for line in unsaid:
        print(f"{page.name}: nothing to look for: {line}")
    if len(messages) < LEAST:
        print(f"{page.name}: {len(messages)} messages, at least {LEAST} are wanted")
    if wrong or unsaid or len(messages) < LEAST:
        return 1
    print(f"{len(messages)} messages of {page.name} are in the source")
    return 0


if __name__ == "__main__":
    sys.exit(main())
