#!/usr/bin/env python3
"""Copies the core (`src/core`) with its tests into DIR as a crate of its own: what asks for hundreds of builds of it
then waits 3 s for each and not 20. That it builds shows once more that the core needs nothing of the other modules.

Usage: core_alone.py DIR   (from the top of the tree; files as they are now, committed or not)
"""
import os
import re
import shutil
import subprocess
import sys

# What is a module here is used by the other modules alone.
LIBRARY = "#![allow(dead_code, unused_imports)]\nmod core;\n"
# Everything else that cargo would build; the lints judge the whole program.
LEFT_OUT = re.compile(r"\[\[(bin|test|bench)\]\]|\[lints")


def main():
    to = sys.argv[1]
    told = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], check=True, capture_output=True
    )
    for path in filter(None, told.stdout.decode().split("\0")):
        in_source = path.startswith("src/") and path.endswith(".rs")
        if in_source and not path.startswith("src/core/") and path != "src/build.rs" or not os.path.exists(path):
            continue
        os.makedirs(os.path.join(to, os.path.dirname(path)), exist_ok=True)
        shutil.copy(path, os.path.join(to, path))
    with open(os.path.join(to, "src/lib.rs"), "w", encoding="utf-8") as file:
        file.write(LIBRARY)
    with open("Cargo.toml", encoding="utf-8") as file:
        sections = re.split(r"(?m)^(?=\[)", file.read())
    with open(os.path.join(to, "Cargo.toml"), "w", encoding="utf-8") as file:
        file.writelines(section for section in sections if not LEFT_OUT.match(section))


if __name__ == "__main__":
    main()
