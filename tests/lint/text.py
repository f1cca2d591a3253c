#!/usr/bin/python3
"""Checks the text of every file that git tracks.

usage: text.py SOURCE_ROOT

No path of the machine it was written on, no name of a package server, no note of unfinished work, no tabs or trailing
blanks in the code. The width of lines is clang-format's business.
"""

import pathlib
import re
import subprocess
import sys

# Written in pieces so that this file passes its own check.
FORBIDDEN = [
    (re.compile(r"(?<![\w.])/(wo" r"rk|ro" r"ot|home/\w+)/"), "a path of one machine"),
    (re.compile(r"\b(deb|ftp|security|snapshot)\.deb" r"ian\.org|reg" r"istry\.npmjs|pyp" r"i\.org", re.I), "a package server"),
    (re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b|not yet imp" r"lemented|not imp" r"lemented", re.I), "unfinished work"),
    (re.compile(r"^(<{7}|>{7}|={7})( |$)"), "a merge conflict"),
]
CODE = {".h", ".cc", ".in", ".py", ".build", ".options", ".sh"}
# Bytes from real peers and official vectors are kept as they came.
DATA = ("tests/vectors/", "tests/transcripts/", "tests/fuzz/corpus/")


def tracked(root: pathlib.Path) -> list[str]:
    listing = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [name for name in listing.split("\0") if name]


def problems_in(root: pathlib.Path, name: str) -> list[str]:
    path = root / name
    if name.startswith(DATA) or path.is_symlink() or not path.is_file():
        return []
    raw = path.read_bytes()
    if b"\0" in raw:
        return []
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return [f"{name}: not UTF-8"]
    found = []
    if text and not text.endswith("\n"):
        found.append(f"{name}: the last line has no end")
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, what in FORBIDDEN:
            if pattern.search(line):
                found.append(f"{name}:{number}: {what}: {line.strip()[:80]}")
        if path.suffix in CODE:
            if line != line.rstrip():
                found.append(f"{name}:{number}: trailing blanks")
            if "\t" in line:
                found.append(f"{name}:{number}: a tab")
    return found


def main() -> int:
    root = pathlib.Path(sys.argv[1]).resolve()
    names = tracked(root)
    problems = [problem for name in names for problem in problems_in(root, name)]
    print("\n".join(problems) if problems else f"text: {len(names)} files, nothing found")
    return 1 if problems or not names else 0


if __name__ == "__main__":
    sys.exit(main())
