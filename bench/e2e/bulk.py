"""Bulk data by real ssh at both ends: CPU seconds for each GiB, and MB/s, by cipher and direction.

Beside the bastions go the least relays: bytes alone, with an open and a seal (what routed cannot do without), and with
one of them (ProxyJump). What a bastion takes beyond them is its own.
"""

import json
import subprocess
import time

from e2e.accounting import Cpu
from e2e.lab import environment
from e2e.measure import Samples
from e2e.run import Failed

MIB = 1024 * 1024


def transfer(way, target, direction: str, mib: int) -> float:
    """Moves so many MiB; gives the seconds, ssh's login included."""
    ssh = [str(way.lab.ssh), "-F", str(way.ssh_config(target)), "t"]
    source = ["dd", "if=/dev/zero", "bs=64K", f"count={mib * 16}", "status=none"]
    env = environment(way.lab.home)
    started = time.monotonic()
    if direction == "down":
        done = subprocess.run(
            [*ssh, " ".join(source)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=env, timeout=600,
        )  # fmt: skip
    else:
        with subprocess.Popen(source, stdout=subprocess.PIPE) as dd:
            done = subprocess.run(
                [*ssh, "cat >/dev/null"], stdin=dd.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                env=env, timeout=600,
            )  # fmt: skip
    if done.returncode != 0:
        raise Failed(f"{way.name}: ssh ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    return time.monotonic() - started


# Our names of ciphers -> those of bench_crypto.
PRIMITIVES = {
    "aes128-gcm": "aes128-gcm",
    "aes256-gcm": "aes256-gcm",
    "chacha20": "chacha20-poly1305",
    "aes128-ctr+etm": "aes128-ctr+sha256-etm",
}


def passes(lab, cipher: str) -> tuple[float, float]:
    """CPU s/GiB of one seal and of one open of packets of 32 KiB in a row, nothing else being done."""
    command = [
        lab.bench_program("bench_crypto"), f"--benchmark_filter=^(seal|open)/{PRIMITIVES[cipher].replace('+', '.')}/32768$",
        "--benchmark_format=json", "--benchmark_min_time=0.2",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise Failed(f"bench_crypto ended with {done.returncode}: {done.stderr}")
    ns = {each["name"].split("/")[0]: each["cpu_time"] for each in json.loads(done.stdout)["benchmarks"]}
    return tuple(ns[what] / 1e9 * (1024 * MIB / 32768) for what in ("seal", "open"))


def measure(ways, targets, *, rounds: int, mib: int, say) -> dict:
    """way -> "cipher direction" -> figures. CPU is that of the transfer less that of one of nothing, the login's.

    "two passes" and "one pass" are the cipher's work alone: a seal and an open, and the mean of them.
    """
    samples = Samples()
    for target in targets:
        for way in ways:
            transfer(way, target, "down", 1)
        for _ in range(rounds):
            seal, open_ = passes(ways[0].lab, target.cipher)
            for direction in ("down", "up"):
                samples.add(("two passes", f"{target.cipher} {direction}"), "cpu_s_per_gib", seal + open_)
                samples.add(("one pass", f"{target.cipher} {direction}"), "cpu_s_per_gib", (seal + open_) / 2)
            for direction in ("down", "up"):
                for way in ways:
                    with Cpu(way.group) as login:
                        transfer(way, target, direction, 0)
                    with Cpu(way.group) as cpu:
                        seconds = transfer(way, target, direction, mib)
                    key = (way.name, f"{target.cipher} {direction}")
                    samples.add(key, "cpu_s_per_gib", (cpu.seconds - login.seconds) * 1024 / mib)
                    samples.add(key, "mb_per_s", mib * MIB / 1e6 / seconds)
        say(f"bulk, {target.cipher}")
    return samples.medians()
