"""What a relayed packet and a login cost in instructions: a number that does not depend on the machine's mood.

bench-instructions does the bastion's part of each in memory, between two ends that callgrind does not count: it
collects within the functions named in COUNTED only. Two runs with different numbers of packets or logins are taken
from one another, so what is done once is no part of the result.
"""

import collections
import pathlib
import re
import shutil

import pytest
import yaml

from support import process

ALLOWED = pathlib.Path(__file__).with_name("allowed.yaml")
# What a gate and a worker do (bench/memory), and the warden.
COUNTED = (
    "bastion::bench::MemoryRelay::bastion_*",
    "bastion::daemon::Warden::on_message*",
    "bastion::daemon::Warden::on_connected*",
)
COPIED_SHARE_MAX = 0.05
# Objects whose instructions are the cryptography's.
LIBRARIES = re.compile(r"libcrypto|IPSec_MB|25519|ntruprime|fips203")


def self_costs(profile: str) -> dict[str, int]:
    """Instructions by object file in a callgrind profile, calls to others not included."""
    names: dict[str, str] = {}
    found: dict[str, int] = collections.defaultdict(int)
    current = ""
    skip = False
    for line in profile.splitlines():
        if match := re.match(r"(c?ob)=\((\d+)\)(?: (.*))?$", line):
            if match[3]:
                names[match[2]] = match[3]
            if match[1] == "ob":
                current = names[match[2]]
        elif line.startswith("calls="):
            skip = True  # the next line is the callee's cost
        elif re.match(r"[+\-*\d]", line):
            if not skip:
                found[current] += int(line.split()[1])
            skip = False
    return found


def instructions(folder: pathlib.Path, *words) -> tuple[int, int]:
    """Instructions of our own code, and of the libraries of cryptography."""
    out = folder / "callgrind.out"
    toggles = [f"--toggle-collect={name}" for name in COUNTED]
    program = process.BUILD / "bench/bench-instructions"
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", *toggles, program, *words]
    done = process.run(command, timeout=150).ok()
    if share := re.search(r"copied share (\S+)", done.text):
        # A copy by `rep movsb` is one instruction, so copies are bounded by what the transports count.
        assert float(share[1]) <= COPIED_SHARE_MAX, f"{share[0]}: bulk data is copied on its way"
    costs = self_costs(out.read_text())
    assert costs, "callgrind counted nothing"
    theirs = sum(cost for name, cost in costs.items() if LIBRARIES.search(name))
    return sum(costs.values()) - theirs, theirs


def per_unit(folder: pathlib.Path, few: int, many: int, *words) -> float:
    more, _ = instructions(folder, *words, many)
    less, _ = instructions(folder, *words, few)
    return (more - less) / (many - few)


def check(name: str, found: float, allowances: pathlib.Path = ALLOWED) -> None:
    allowed = yaml.safe_load(allowances.read_text())[name]["allowed"]
    print(f"{name}: {found:,.0f} instructions, {allowed:,} allowed")
    assert found > allowed / 4, f"{name}: {found:,.0f} instructions cannot be all; is everything counted?"
    assert found <= allowed, (
        f"{name}: {found:,.0f} instructions, {allowed:,} are allowed.\n"
        f"`valgrind --tool=callgrind` with bench-instructions and callgrind_annotate show where they are. If the work "
        f"is worth it, say so in {ALLOWED.relative_to(process.ROOT)}."
    )


def test_valgrind_is_there():
    assert shutil.which("valgrind"), "valgrind is missing: run deploy/setup test"


def test_more_than_is_allowed_fails(tmp_path):
    allowances = tmp_path / "allowed.yaml"
    allowances.write_text("login: {measured: 100, allowed: 120}\n")
    check("login", 120, allowances)
    with pytest.raises(AssertionError, match="121 instructions, 120 are allowed"):
        check("login", 121, allowances)
    with pytest.raises(AssertionError, match="is everything counted"):
        check("login", 10, allowances)


def test_costs_are_added_by_object_and_without_calls():
    profile = """ob=(1) /lib/own
fn=(1) a
10 5
+1 7
cfn=(2)
calls=3 20
11 900
ob=(2) /lib/libcrypto.so
fn=(3) b
4 11
ob=(1)
fn=(1)
12 2
"""
    assert self_costs(profile) == {"/lib/own": 14, "/lib/libcrypto.so": 11}


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"])
def test_packet(cipher, tmp_path):
    check(f"packet of 32 KiB, {cipher}", per_unit(tmp_path, 32, 160, "packets", cipher))


def test_login(tmp_path):
    check("login", per_unit(tmp_path, 1, 5, "logins"))
