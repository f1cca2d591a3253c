#!/usr/bin/python3
"""Checks which shared libraries the programs load.

usage: linkage.py BASTIOND RESOLVER BASTIONCTL

BoringSSL and OpenSSL have the same symbols, so no program may load both; the resolver may load neither,
because what it calls (NSS modules) may bring OpenSSL by itself.
"""

import subprocess
import sys


def loaded(program: str) -> list[str]:
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [line.strip() for line in listing.splitlines()]


def main() -> int:
    bastiond, resolver, bastionctl = sys.argv[1:]
    problems = []
    for program in (bastiond, bastionctl):
        for library in loaded(program):
            if "not found" in library:
                problems.append(f"{program}: {library}")
            if library.startswith(("libcrypto.so", "libssl.so")) and "/android/" not in library:
                problems.append(f"{program} loads OpenSSL: {library}")
    for library in loaded(resolver):
        if library.startswith(("libcrypto.so", "libssl.so")):
            problems.append(f"{resolver} must load no crypto library: {library}")
    print("\n".join(problems) if problems else "linkage: ok")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
