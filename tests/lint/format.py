#!/usr/bin/python3
"""Checks that every C++ file is as clang-format 19 writes it; `./dev lint --fix` makes it so.

usage: format.py SOURCE_ROOT
"""

import pathlib
import subprocess
import sys

FOLDERS = ("base", "bench", "config", "crypto", "daemon", "proto", "tests")


def main() -> int:
    root = pathlib.Path(sys.argv[1])
    files = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*")) if path.suffix in (".cc", ".h")]
    return subprocess.run(["clang-format-19", "--dry-run", "-Werror", *files], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
