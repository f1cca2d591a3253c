"""Logins: CPU milliseconds of each, and how long the user waits, one at a time and sixteen at a time.

A login is the light client's: connect, key exchange, public key, a session channel at the target, `true`, its exit
status, goodbye. What waits is the whole of it; what is counted is the CPU of the bastion's processes until they are
quiet again. What a user of OpenSSH waits for, with sshd at the target, is measured besides.
"""

import subprocess
import time

from e2e.accounting import Cpu
from e2e.lab import environment
from e2e.measure import Samples, quantile
from e2e.run import Failed, result_of

CONCURRENT = (1, 16)


def measure(ways, target, *, rounds: int, counts: dict[str, int], say) -> dict:
    """`counts` has the number of logins by way's kind (bastiond, sshd, direct) at one at a time."""
    samples = Samples()
    for way in ways:
        result_of([*way.light(target), "logins", "--count", 2])  # what is made once is made now
    for number in range(rounds):
        for concurrent in CONCURRENT:
            for way in ways:
                count = counts[way.name.split()[0]] * (1 if concurrent == 1 else 2)
                command = [*way.light(target), "logins", "--count", count, "--concurrent", concurrent]
                key = (way.name, f"at {concurrent}")
                if way.group is None:
                    result = result_of(command)
                else:
                    with Cpu(way.group) as cpu:
                        result = result_of(command)
                    samples.add(key, "cpu_ms", cpu.seconds * 1000 / count)
                    samples.add(key, "logins_per_cpu_s", count / max(cpu.seconds, 1e-9))
                samples.add(key, "p50_ms", quantile(result["ms"], 0.5))
                samples.add(key, "p99_ms", quantile(result["ms"], 0.99))
        say(f"logins, round {number + 1} of {rounds}")
    return samples.medians()


def by_ssh(ways, target, *, rounds: int, count: int, say) -> dict:
    """way -> "by ssh" -> figures of `ssh target true`, one at a time, from its start to its end."""
    samples = Samples()
    for number in range(rounds):
        for way in ways:
            command = [str(way.lab.ssh), "-F", str(way.ssh_config(target)), "-n", "t", "true"]
            ms = []
            for _ in range(count):
                started = time.monotonic()
                done = subprocess.run(command, capture_output=True, env=environment(way.lab.home), timeout=60)
                if done.returncode != 0:
                    raise Failed(f"{way.name}: ssh ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
                ms.append((time.monotonic() - started) * 1000)
            samples.add((way.name, "by ssh"), "p50_ms", quantile(ms, 0.5))
        say(f"logins by ssh, round {number + 1} of {rounds}")
    return samples.medians()
