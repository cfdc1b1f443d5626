#!/usr/bin/env python3
"""What a static release binary is made of: bytes of each part, summing to the size it is shipped with.

    tests/tools/size_table.py WITH_SYMBOLS SHIPPED_SIZE BUDGET

A symbol counts for the first crate its name mentions that is not std: `Vec<Row>::push` is Row's, `from_str::<Row>`
is serde_json's. C code is known by its prefix or, where it is static, by its source file. Constants mostly have
no symbol; they are a row of their own.
"""

import bisect
import re
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

OWN = "autonomous_orchestrator"
OWN_PARTS = {folder.name for folder in (Path(__file__).resolve().parents[2] / "src").iterdir() if folder.is_dir()}
STD = {
    "core", "alloc", "std", "compiler_builtins", "hashbrown",
    "panic_abort", "panic_unwind", "rustc_demangle", "std_detect", "unwind", "libunwind",
}
TLS = "TLS (rustls, ring, webpki)"
FEATURES = {
    "sqlite": {"rusqlite", "libsqlite3_sys", "hashlink", "fallible_iterator", "fallible_streaming_iterator"},
    TLS: {
        "rustls", "ring", "webpki", "webpki_roots", "rustls_pki_types", "untrusted",
        "subtle", "zeroize", "once_cell", "getrandom",
    },
    "regex": {"regex", "regex_automata", "regex_syntax", "memchr"},
    "serde, JSON, TOML": {
        "serde", "serde_core", "serde_json", "itoa", "ryu", "zmij",
        "toml", "toml_parser", "toml_datetime", "serde_spanned", "winnow",
    },
    "HTTP (ureq)": {"ureq", "ureq_proto", "http", "httparse", "base64", "percent_encoding", "utf8", "bytes"},
    "gzip (flate2)": {"flate2", "miniz_oxide", "adler2", "crc32fast", "simd_adler32"},
}
CRATE_FEATURE = {crate: feature for feature, crates in FEATURES.items() for crate in crates}
RING_FILE = re.compile(
    r"(aes_nohw|montgomery\w*|curve25519\w*|ecp_nistz\w*|gfp_p\d+|p256\S*|limbs|poly1305\w*|cpu_intel|crypto)\.[cS]$"
)
CONSTANTS = "constants without a symbol (texts, tables, vtables)"
LIBC, OTHER = "libc (musl, compiler-rt)", "other crates (time, sha2, nix, lexopt, log, heapless)"
# A path's first segment: c++filt writes v0 names as `crate[hash]::module` and legacy ones without the hash.
ROOT = re.compile(r"(?<![\w:>])([a-z_]\w*)(?:\[[0-9a-f]+\])?::(\w+)?")
SYMTAB, NOBITS, ALLOC = 2, 8, 0x2
OBJECT, FUNC, FILE = 1, 2, 4


def sections(image):
    """Name, type, flags, address, offset, size and link of each section of a 64-bit little-endian ELF file."""
    if image[:6] != b"\x7fELF\x02\x01":
        sys.exit("cannot read the binary: it is no 64-bit little-endian ELF file: build it for x86_64 or aarch64")
    start = struct.unpack_from("<Q", image, 0x28)[0]
    size, count, names = struct.unpack_from("<HHH", image, 0x3A)
    raw = [struct.unpack_from("<IIQQQQI", image, start + i * size) for i in range(count)]
    base = raw[names][4]
    return [(text(image, base + r[0]), *r[1:]) for r in raw]


def text(image, at):
    """The zero-terminated string at `at`."""
    return image[at : image.index(b"\0", at)].decode("utf-8", "replace")


def symbols(image, found):
    """Address, size, name and source file (statics only) of each function and object."""
    table = next((s for s in found if s[1] == SYMTAB), None)
    if table is None:
        sys.exit("cannot attribute anything: the binary is stripped: make it with scripts/build.sh --symbols")
    strings = found[table[6]][4]
    file = ""
    for at in range(table[4], table[4] + table[5], 24):
        name, info, _, index, value, size = struct.unpack_from("<IBBHQQ", image, at)
        if info & 0xF == FILE:
            file = text(image, strings + name)
        elif info & 0xF in (OBJECT, FUNC) and size and index:
            yield value, size, text(image, strings + name), file if info >> 4 == 0 else ""


def demangled(names):
    """Each name as c++filt writes it."""
    out = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    return dict(zip(names, out.stdout.split("\n")))


def part(name, plain, file):
    """The row that a symbol counts for."""
    if name.startswith("sqlite3") or file == "sqlite3.c":
        return "sqlite"
    if name.startswith("ring_core_") or RING_FILE.match(file):
        return TLS
    if file.startswith(("libunwind", "Unwind")):
        return "std"
    if not name.startswith(("_R", "_ZN")):
        return CONSTANTS if file.startswith(OWN) else LIBC
    roots = ROOT.findall(plain)
    crate, module = next((r for r in roots if r[0] not in STD), ("std", ""))
    if crate == OWN:
        return f"src/{module}" if module in OWN_PARTS else "src/main.rs"
    return "std" if crate == "std" else CRATE_FEATURE.get(crate, OTHER)


def rows(image):
    """Bytes of each part. What two symbols share (identical code is folded) counts once."""
    found = sections(image)
    loaded = sorted((s[3], s[3] + s[5], s[0]) for s in found if s[2] & ALLOC and s[1] != NOBITS and s[3])
    starts = [s[0] for s in loaded]
    all_symbols = sorted(symbols(image, found), key=lambda s: (s[0], -s[1], s[2]))
    plain = demangled([s[2] for s in all_symbols])
    total, named, end = Counter(), Counter(), 0
    for at, size, name, file in all_symbols:
        where = bisect.bisect_right(starts, at) - 1
        if where < 0 or at >= loaded[where][1]:
            continue
        fresh = min(at + size, loaded[where][1]) - max(at, end)
        if fresh > 0:
            total[part(name, plain[name], file)] += fresh
            named[loaded[where][2]] += fresh
            end = at + size
    for start, stop, name in loaded:
        total[unnamed(name)] += stop - start - named[name]
    return total


def unnamed(section):
    """The row for what no symbol covers."""
    if section in (".text", ".init", ".fini", ".plt"):
        return "code without a symbol, alignment of functions"
    if section.startswith((".rodata", ".data")) or section == ".got":
        return CONSTANTS
    return "relocations and other sections of the loader"


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    size, budget = int(sys.argv[2]), int(sys.argv[3])
    with open(sys.argv[1], "rb") as file:
        total = rows(file.read())
    total["headers, alignment of segments"] = size - sum(total.values())
    print("| part | bytes | of the budget |\n|---|---|---|")
    for name, count in total.most_common():
        print(f"| {name} | {count:,} | {count / budget:.1%} |")
    print(f"| **the file** | **{size:,}** | **{size / budget:.1%} of {budget:,}** |")


if __name__ == "__main__":
    main()
