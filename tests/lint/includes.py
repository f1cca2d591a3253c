#!/usr/bin/python3
"""Checks the direction of includes: base <- crypto <- proto <- daemon, and base <- config <- daemon.

usage: includes.py SOURCE_ROOT
"""

import pathlib
import re
import sys

# Folder -> the folders (or single headers) that it may include. permissions.h is plain data that the policy compiles.
ALLOWED = {
    "base": {"base"},
    "crypto": {"base", "crypto"},
    "proto": {"base", "crypto", "proto"},
    "config": {"base", "crypto", "config", "proto/permissions.h"},
    "daemon": {"base", "crypto", "proto", "config", "daemon"},
    "bench": {"base", "crypto", "proto", "config", "daemon", "bench"},
    "tests": {"base", "crypto", "proto", "config", "daemon", "tests"},
}

# These programs run without BoringSSL, so without whatever includes crypto/.
ONLY_BASE = ("daemon/resolver/main.cc",)

# Library header -> the paths (regular expressions) that may include it.
LIBRARIES = {
    r"openssl/|ntruprime|sntrup|fips203|lib25519|crypto_kem|intel-ipsec-mb": r"crypto/.*\.cc$|tests/unit/crypto/|bench/",
    r"zstd\.h": r"daemon/recording/compress\.cc$|bench/",
    r"liburing": r"daemon/ring/|tests/unit/daemon/|bench/",
    r"yaml-cpp/": r"config/[^/]*(loader|yaml)[^/]*\.cc$",
    r"gtest/|gmock/": r"tests/",
    r"benchmark/": r"bench/",
    r"spdlog/": r"daemon/|tests/unit/daemon/",
    r"sys/socket\.h|netinet/|arpa/inet\.h|sys/epoll\.h": r"daemon/|tests/|bench/|base/ip\.cc$",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def problems_in(root: pathlib.Path, path: pathlib.Path) -> list[str]:
    name = path.relative_to(root).as_posix()
    folder = name.split("/")[0]
    found: list[str] = []
    seen: set[str] = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        where = f"{name}:{number}"
        quote, header = match.groups()
        if header in seen:
            found.append(f"{where}: {header} is included twice")
        seen.add(header)
        top = header.split("/")[0]
        if quote == '"':
            if top not in ALLOWED or "/" not in header:
                found.append(f'{where}: "{header}" is not written from the top of the source tree')
            elif not (root / header).is_file():
                found.append(f'{where}: "{header}" does not exist')
            elif top not in ALLOWED[folder] and header not in ALLOWED[folder]:
                found.append(f"{where}: {folder}/ may not include {top}/")
            elif name.startswith(ONLY_BASE) and top in ("crypto", "proto", "config"):
                found.append(f"{where}: this program must not depend on {top}/ (it runs without BoringSSL)")
        else:
            if top in ALLOWED and (root / header).is_file():
                found.append(f"{where}: our own headers are included with quotes")
            for library, users in LIBRARIES.items():
                if re.match(library, header) and not re.match(users, name):
                    found.append(f"{where}: <{header}> may be included only by {users}")
    return found


def main() -> int:
    root = pathlib.Path(sys.argv[1]).resolve()
    files = [
        path
        for folder in ALLOWED
        for path in sorted((root / folder).rglob("*"))
        if path.suffix in (".h", ".cc") and path.is_file()
    ]
    if not files:
        print(f"includes: no source found under {root}")
        return 1
    problems = [problem for path in files for problem in problems_in(root, path)]
    print("\n".join(problems) if problems else f"includes: {len(files)} files, all in the right direction")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
